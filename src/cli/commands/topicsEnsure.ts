import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { answering } from "../Answer.ts"
import { wholeNumber } from "../parameters.ts"
import { table } from "../render/table.ts"
import { noQueues, queue, queuesOf, withTopics } from "../topics.ts"

const partitions = wholeNumber("partitions", 1, 1_000).pipe(
  Flag.withDescription("Partitions of each topic, 1 to 1,000; default DUETIME_KAFKA_PARTITIONS"),
  Flag.withMetavar("count"),
  Flag.optional
)
const replication = wholeNumber("replication", 1, 10).pipe(
  Flag.withDescription("Copies of each topic that is made, 1 to 10; default DUETIME_KAFKA_REPLICATION"),
  Flag.withMetavar("count"),
  Flag.optional
)
const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only list what would be made or widened"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const topicsEnsure = Command.make(
  "ensure",
  { queue, partitions, replication, dryRun },
  answering(({ dryRun, partitions, queue, replication }) =>
    Effect.gen(function* () {
      const queues = yield* queuesOf(queue)
      const options = {
        queues,
        dryRun,
        ...(Option.isSome(partitions) ? { partitions: partitions.value } : {}),
        ...(Option.isSome(replication) ? { replicationFactor: replication.value } : {})
      }
      const topics = queues.length === 0 ? [] : yield* withTopics((kafka) => kafka.ensure(options))
      const changes = topics.filter(({ outcome }) => outcome !== "Ready").length
      return {
        document: { dryRun, topics },
        text: (paint) =>
          topics.length === 0
            ? ""
            : table(
                topics,
                [
                  { title: "TOPIC", value: ({ topic }) => topic },
                  { title: "PARTITIONS", value: ({ partitions }) => String(partitions), align: "right" },
                  {
                    title: dryRun ? "WOULD BE" : "IS",
                    value: ({ outcome }) => outcomes[outcome],
                    paint: (text, { outcome }) => (outcome === "Ready" ? text : paint.good(text))
                  }
                ],
                paint
              ),
        notes: [
          queues.length === 0
            ? noQueues
            : changes === 0
              ? "All topics are ready."
              : dryRun
                ? `${changes} to make or widen; without --dry-run that is done.`
                : `${changes} made or widened.`
        ]
      }
    })
  )
).pipe(
  Command.withDescription("Make the topics that are missing and widen those with too few partitions; deletes nothing"),
  Command.withExamples([
    { command: "duetime topics ensure --queue email --partitions 16", description: "For up to 16 workers" }
  ])
)

const outcomes = { Created: "made", Extended: "widened", Ready: "ready" } as const
