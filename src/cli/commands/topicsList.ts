import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { table } from "../render/table.ts"
import { noQueues, queue, queuesOf, withTopics } from "../topics.ts"

/** Queues asked about at a time. */
const queuesInParallel = 4

type Row = {
  readonly topic: string
  /** 0: the topic does not exist. */
  readonly partitions: number
  readonly partitionsWanted: number
  /** Published and not acknowledged; null where that is nobody's to say. */
  readonly lag: number | null
}

export const topicsList = Command.make(
  "list",
  { queue },
  answering(({ queue }) =>
    Effect.gen(function* () {
      const queues = yield* queuesOf(queue)
      const rows = queues.length === 0 ? [] : yield* rowsOf(queues)
      const missing = rows.filter(({ partitions, partitionsWanted }) => partitions < partitionsWanted).length
      return {
        document: rows,
        rows,
        text: (paint) =>
          rows.length === 0
            ? ""
            : table(
                rows,
                [
                  { title: "TOPIC", value: ({ topic }) => topic },
                  {
                    title: "PARTITIONS",
                    value: ({ partitions, partitionsWanted }) =>
                      partitions === 0
                        ? "missing"
                        : partitions < partitionsWanted
                          ? `${partitions} of ${partitionsWanted}`
                          : String(partitions),
                    align: "right",
                    paint: (text, { partitions, partitionsWanted }) =>
                      partitions < partitionsWanted ? paint.bad(text) : text
                  },
                  {
                    title: "LAG",
                    value: ({ lag }) => (lag === null ? "" : lag.toLocaleString("en-US")),
                    align: "right"
                  }
                ],
                paint
              ),
        notes:
          queues.length === 0
            ? [noQueues]
            : missing > 0
              ? [`${missing} missing or too narrow: "duetime topics ensure" makes and widens them.`]
              : []
      }
    })
  )
).pipe(
  Command.withDescription("List topics with their partitions, and how much of each waits for a worker"),
  Command.withExamples([{ command: "duetime topics list --queue email", description: "Of one queue" }])
)

const rowsOf = (queues: ReadonlyArray<string>) =>
  withTopics((kafka) =>
    Effect.gen(function* () {
      const topics = yield* kafka.describe(queues)
      const missing = new Set(topics.filter(({ partitions }) => partitions === 0).map(({ topic }) => topic))
      const lags = yield* Effect.forEach(
        queues,
        // Kafka has no offsets of topics that are not there.
        (queue) => (missing.size > 0 ? Effect.option(kafka.lagByTopic(queue)) : Effect.asSome(kafka.lagByTopic(queue))),
        { concurrency: queuesInParallel }
      )
      const lagOf = new Map(
        lags.flatMap((found) => (found._tag === "Some" ? found.value.map(({ lag, topic }) => [topic, lag]) : []))
      )
      return topics.map((topic): Row => ({ ...topic, lag: lagOf.get(topic.topic) ?? null }))
    })
  )
