import * as Effect from "effect/Effect"
import type { KafkaTopics } from "../../layers.ts"
import type { WaitingKind } from "../../store/Vitals.ts"
import { counted } from "../render/table.ts"
import { type Finding, shell, word } from "./Finding.ts"

/** Judgements about the topics of the queues that workers have announced, where DUETIME_KAFKA_BROKERS names a Kafka. */

export type QueueTopics = {
  readonly queue: string
  readonly liveSessions: number
  readonly topics: ReadonlyArray<{
    readonly topic: string
    readonly partitions: number
    readonly partitionsWanted: number
  }>
  /** Published and not acknowledged, over all topics of the queue. */
  readonly lag: number
}

/** Messages, of up to 64 hints: a window is fewer. */
const lagMax = 1_000

export const queuesOf = (kinds: ReadonlyArray<WaitingKind>): ReadonlyMap<string, number> => {
  const queues = new Map<string, number>()
  for (const { liveSessions, queue } of kinds) {
    if (queue !== null) queues.set(queue, Math.max(queues.get(queue) ?? 0, liveSessions))
  }
  return queues
}

export const readTopics = Effect.fnUntraced(function* (
  kafka: KafkaTopics["Service"],
  queues: ReadonlyMap<string, number>
) {
  return yield* Effect.forEach([...queues], ([queue, liveSessions]) =>
    Effect.gen(function* () {
      const topics = yield* kafka.describe([queue])
      // Kafka has no offsets of topics that are not there.
      const lags = yield* Effect.orElseSucceed(kafka.lagByTopic(queue), () => [])
      const lag = lags.reduce((sum, topic) => sum + topic.lag, 0)
      return { queue, liveSessions, topics, lag } satisfies QueueTopics
    })
  )
})

export const topics = (queues: ReadonlyArray<QueueTopics>): ReadonlyArray<Finding> =>
  queues.flatMap(({ queue, topics }): ReadonlyArray<Finding> => {
    const wrong = topics.filter(({ partitions, partitionsWanted }) => partitions < partitionsWanted)
    if (wrong.length === 0) return []
    const missing = wrong.filter(({ partitions }) => partitions === 0).length
    return [
      {
        check: "topics",
        severity: "problem",
        sentence: `${counted(wrong.length, "topic")} of queue ${queue} ${wrong.length === 1 ? "is" : "are"} not as configured (${missing} missing, ${wrong.length - missing} with too few partitions): workers of the queue refuse to start, and dispatches reach fewer of them.`,
        evidence: { queue, topics: wrong },
        advice: "Nothing has to stop for it.",
        commands: [shell(`duetime topics ensure --queue ${word(queue)}`)]
      }
    ]
  })

export const consumers = (queues: ReadonlyArray<QueueTopics>, worker: string): ReadonlyArray<Finding> =>
  queues.flatMap(({ lag, liveSessions, queue }): ReadonlyArray<Finding> => {
    if (lag <= lagMax) return []
    return [
      {
        check: "consumers",
        severity: "warning",
        sentence: `${counted(lag, "message")} of queue ${queue} ${lag === 1 ? "is" : "are"} published and not acknowledged, with ${counted(liveSessions, "live worker")}: its consumers are silent, and its tasks are only pulled.`,
        evidence: { queue, lag, lagMax, liveSessions },
        advice: "The messages are hints and nothing is lost with them. A worker that starts reads them away.",
        commands: [shell(worker)]
      }
    ]
  })

export const unreachable = (reason: string): Finding => ({
  check: "kafka",
  severity: "problem",
  sentence: `Kafka does not answer: tasks are pulled from the database, a quarter of a second later than they could be.`,
  evidence: { reason },
  advice: "See that the brokers run and that DUETIME_KAFKA_BROKERS names them. Then look again.",
  commands: [shell("duetime topics list")]
})
