import * as Command from "effect/cli/Command"
import { acting } from "../acting.ts"
import { id, priority } from "../parameters.ts"

export const reprioritise = Command.make(
  "reprioritise",
  { id, priority },
  acting(({ duetime }, { id, priority }) => duetime.reprioritise(id, priority))
).pipe(
  Command.withDescription("Change the priority of a task that has not ended"),
  Command.withExamples([
    {
      command: "duetime reprioritise 019ab1d6-9c00-7a1b-8c2d-0123456789ab --priority critical",
      description: "Before everything else that is due"
    }
  ])
)
