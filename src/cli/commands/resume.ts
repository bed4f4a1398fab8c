import * as Command from "effect/cli/Command"
import { checkPausable, pausable, pausing } from "../pausing.ts"

export const resume = Command.make(
  "resume",
  pausable,
  pausing(false, ({ duetime }, target) => duetime.resume(target))
).pipe(
  Command.validate(checkPausable),
  Command.withDescription("Let a paused kind or queue go on, the most urgent and oldest first"),
  Command.withExamples([{ command: "duetime resume --kind charge-card", description: "When it is up again" }])
)
