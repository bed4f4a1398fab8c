import * as Command from "effect/cli/Command"
import { changing, recurrenceName } from "../recurrences.ts"

export const recurResume = Command.make(
  "resume",
  { name: recurrenceName },
  changing((recurrences, name) => recurrences.resume(name))
).pipe(
  Command.withDescription("Let a paused recurrence go on with its next instant"),
  Command.withExamples([{ command: "duetime recur resume nightly-report", description: "Go on" }])
)
