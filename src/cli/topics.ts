import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import type { KafkaTopics } from "../layers.ts"
import { withClient } from "./connection.ts"

/** Named or not, the queues that a command about topics is about. */
export const queue = Flag.String("queue").pipe(
  Flag.withDescription(
    "Only of this queue; may be repeated. Default: the queues of all kinds that a worker has served"
  ),
  Flag.withMetavar("name"),
  Flag.atLeast(0)
)

/** Asks the database only if no queue was named. */
export const queuesOf = (named: ReadonlyArray<string>) =>
  named.length > 0
    ? Effect.succeed([...new Set(named)])
    : withClient(({ store }) =>
        Effect.map(store.kinds, (kinds) => [
          ...new Set(kinds.filter(({ known }) => known).map(({ policy }) => policy.queue))
        ])
      )

/** Runs an effect with a connection to Kafka, loaded here and not before. */
export const withTopics = Effect.fnUntraced(function* <A, E, R>(
  use: (topics: KafkaTopics["Service"]) => Effect.Effect<A, E, R>
) {
  const { KafkaTopics, layerTopics } = yield* Effect.promise(() => import("../layers.ts"))
  return yield* Effect.provide(Effect.flatMap(KafkaTopics, use), layerTopics)
})

export const noQueues = "No worker has served a kind yet, so no queue is known. Name one with --queue."
