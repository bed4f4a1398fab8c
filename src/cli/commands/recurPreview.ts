import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { recurrenceName, withRecurrences } from "../recurrences.ts"
import { instant } from "../render/time.ts"

const count = Flag.Int("count").pipe(
  Flag.withDescription("Instants, 1 to 1,000; default 5"),
  Flag.withMetavar("count"),
  Flag.withDefault(5)
)

export const recurPreview = Command.make(
  "preview",
  { name: recurrenceName, count },
  answering(({ count, name }) =>
    withRecurrences(({ recurrences }) =>
      Effect.map(recurrences.preview(name, count), (instants) => ({
        document: instants,
        text: () => instants.map(instant).join("\n"),
        notes: instants.length === 0 ? ["Its rule has no instant any more."] : []
      }))
    )
  )
).pipe(
  Command.withDescription("Tell the next instants of a recurrence"),
  Command.withExamples([{ command: "duetime recur preview nightly-report --count 10", description: "The next ten" }])
)
