/** What a role looks at before it begins: the topics of its queues. Kafka or the database being away stops nobody. */
import { Effect } from "effect"
import type { BrokerRefused, BrokerUnavailable, TopicMissing, TopicTooNarrow } from "../../DuetimeError.ts"
import type { KafkaTopics } from "../../layers.ts"
import type { KindRecord, TaskStore } from "../../store/TaskStore.ts"

export type Topics = { readonly kafka: KafkaTopics["Service"]; readonly createTopics: boolean }

/** Makes them if that is allowed, otherwise fails for one that is missing or too narrow. */
export const haveTopics = (
  { createTopics, kafka }: Topics,
  queues: ReadonlyArray<string>
): Effect.Effect<void, TopicMissing | TopicTooNarrow | BrokerRefused> =>
  queues.length === 0
    ? Effect.void
    : Effect.asVoid<unknown, TopicMissing | TopicTooNarrow | BrokerRefused | BrokerUnavailable, never>(
        createTopics ? kafka.ensure({ queues }) : kafka.check(queues)
      ).pipe(
        Effect.catchTag("BrokerUnavailable", (error) =>
          Effect.logWarning(`The topics of ${queues.join(", ")} could not be looked at: ${error.reason}`)
        )
      )

/**
 * An engine serves every queue there will ever be. It needs the topics of those that are served now; a queue that no worker
 * serves any more, or not yet, keeps no engine from starting.
 */
export const haveKnownTopics = Effect.fnUntraced(function* (topics: Topics, look: TaskStore["Service"]["kinds"]) {
  const kinds = yield* Effect.catchTag(look, "StoreUnavailable", (error) =>
    Effect.as(
      Effect.logWarning(`The topics could not be looked at, since the kinds could not be: ${error.reason}`),
      noKinds
    )
  )
  const [known, unknown] = [kinds.filter(({ known }) => known), kinds.filter(({ known }) => !known)]
  if (unknown.length > 0) {
    const names = unknown.slice(0, namesMax).map(({ policy }) => policy.kind)
    yield* Effect.logWarning(
      `The queues of ${unknown.length} kinds are not known, since no worker ever served them: ${names.join(", ")}`
    )
  }
  const queuesOf = (kinds: ReadonlyArray<KindRecord>) => [...new Set(kinds.map(({ policy }) => policy.queue))]
  const served = queuesOf(known.filter(({ liveSessions }) => liveSessions > 0))
  const others = queuesOf(known).filter((queue) => !served.includes(queue))
  yield* haveTopics(topics, served)
  const warn = (error: TopicMissing | TopicTooNarrow) =>
    Effect.logWarning(`Nobody serves the queue now, so the engine starts: ${error.message}`)
  yield* Effect.forEach(
    others,
    (queue) => Effect.catchTags(haveTopics(topics, [queue]), { TopicMissing: warn, TopicTooNarrow: warn }),
    { discard: true }
  )
})

const noKinds: ReadonlyArray<KindRecord> = []
const namesMax = 10
