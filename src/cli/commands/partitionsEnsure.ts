import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { withClient, withVitals } from "../connection.ts"

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only list what would be made, split or retired next"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const partitionsEnsure = Command.make(
  "ensure",
  { dryRun },
  answering(({ dryRun }) =>
    Effect.gen(function* () {
      const before = yield* withVitals((vitals) => vitals.partitions)
      const steps = before.steps.map(({ partitions, step, table }) => ({
        step,
        partitions: partitions.map((name) => `${table}_${name}`)
      }))
      const lines = steps.map(({ partitions, step }) => `${step}  ${partitions.join(" ")}`)
      if (dryRun) {
        const notes = [steps.length === 0 ? "All partitions are ready." : "Without --dry-run that is done."]
        return { document: { dryRun, steps }, text: () => lines.join("\n"), notes }
      }
      // Whoever connects as a client has them made; this goes on to what is left, such as days to be retired.
      yield* withClient(({ store }) => store.maintain)
      const after = yield* withVitals((vitals) => vitals.partitions)
      const left = after.steps.length
      return {
        document: { dryRun, steps, left },
        text: () => lines.join("\n"),
        notes: [
          left > 0
            ? "Not all could be done: another process is at it, or a transaction holds its locks. Repeat it."
            : "All partitions are ready."
        ]
      }
    })
  )
).pipe(
  Command.withDescription(
    "Make the partitions that are missing, and split and retire what is due for it, as engines do"
  ),
  Command.withExamples([{ command: "duetime partitions ensure --dry-run", description: "Is there anything to do?" }])
)
