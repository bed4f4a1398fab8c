import * as Command from "effect/cli/Command"
import { checkPausable, pausable, pausing } from "../pausing.ts"

export const pause = Command.make(
  "pause",
  pausable,
  pausing(true, ({ duetime }, target) => duetime.pause(target))
).pipe(
  Command.validate(checkPausable),
  Command.withDescription("Start nothing more of a kind or queue until it is resumed; what has started goes on"),
  Command.withExamples([
    { command: "duetime pause --kind charge-card", description: "While the card processor is down" }
  ])
)
