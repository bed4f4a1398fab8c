import * as Command from "effect/cli/Command"
import { changing, recurrenceName } from "../recurrences.ts"

export const recurPause = Command.make(
  "pause",
  { name: recurrenceName },
  changing((recurrences, name) => recurrences.pause(name))
).pipe(
  Command.withDescription("Let the instants of a recurrence pass without a task until it is resumed"),
  Command.withExamples([{ command: "duetime recur pause nightly-report", description: "No report tonight" }])
)
