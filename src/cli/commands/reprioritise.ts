import * as Command from "effect/cli/Command"
import type { Priority } from "../../core/Priority.ts"
import { acting, checkOnTasks, onTasks, type OnTasks } from "../acting.ts"
import { priority } from "../parameters.ts"

export const reprioritise = Command.make(
  "reprioritise",
  { ...onTasks(["pending", "claimed", "running", "parked"]), priority },
  acting("reprioritise", "pending", ({ duetime }, id, { priority }: OnTasks & { readonly priority: Priority }) =>
    duetime.reprioritise(id, priority)
  )
).pipe(
  Command.validate((input) => checkOnTasks(input)),
  Command.withDescription("Change the priority of a task that has not ended"),
  Command.withExamples([
    {
      command: "duetime reprioritise 019ab1d6-9c00-7a1b-8c2d-0123456789ab --priority critical",
      description: "Before everything else that is due"
    }
  ])
)
