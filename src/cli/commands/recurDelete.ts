import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { recurrenceName, ruleText, withRecurrences } from "../recurrences.ts"
import { usage } from "../usage.ts"

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only tell what would be deleted"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const yes = Flag.Boolean("yes").pipe(
  Flag.withDescription("Do not ask before"),
  Flag.withAlias("y"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const recurDelete = Command.make(
  "delete",
  { name: recurrenceName, dryRun, yes },
  answering(({ dryRun, name, yes }) =>
    withRecurrences(({ recurrences }) =>
      Effect.gen(function* () {
        const view = yield* recurrences.get(name)
        const words = `${view.name}  ${view.kind}  ${ruleText(view.rule)}`
        if (dryRun) {
          const document = { dryRun, name: view.name, deleted: false }
          return { document, text: () => `Would delete ${words}`, notes: [ahead, inCode] }
        }
        if (!yes) {
          const { canPrompt } = yield* TerminalCapabilities
          if (!canPrompt) return yield* usage(`This would delete ${words}. Add --yes, or look first with --dry-run.`)
          const isSure = yield* Prompt.run(Prompt.Confirm({ message: `Delete ${words}?` }))
          if (!isSure) {
            const document = { dryRun, name: view.name, deleted: false }
            return { document, text: () => "", notes: ["Nothing was deleted."] }
          }
        }
        yield* recurrences.delete(name)
        return {
          document: { dryRun, name: view.name, deleted: true },
          text: () => `Deleted ${words}`,
          notes: [ahead, inCode]
        }
      })
    )
  )
).pipe(
  Command.withDescription("Delete a recurrence; what of it is already due still runs"),
  Command.withExamples([{ command: "duetime recur delete nightly-report --dry-run", description: "Is it that one?" }])
)

const ahead =
  "Waiting tasks of instants that are still to come are cancelled; what is due by now, runs, or was asked for with run-now goes on."
const inCode = "Take it out of the code as well: a process that still declares it makes it anew when it starts."
