import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { recurrenceName, withRecurrences } from "../recurrences.ts"

export const recurRunNow = Command.make(
  "run-now",
  { name: recurrenceName },
  answering(({ name }) =>
    withRecurrences(({ recurrences }) =>
      Effect.map(recurrences.runNow(name), (receipt) => ({
        document: receipt,
        text: () => receipt.id,
        notes: ["One more task, beside the instants of the rule."]
      }))
    )
  )
).pipe(
  Command.withDescription("Schedule one more task of a recurrence, due now"),
  Command.withExamples([{ command: "duetime recur run-now nightly-report", description: "The report at once" }])
)
