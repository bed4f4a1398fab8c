import * as Command from "effect/cli/Command"
import { acting, checkOnTasks, onTasks, type OnTasks } from "../acting.ts"
import { dueAt, dueIn, whenOf } from "../parameters.ts"

export const reschedule = Command.make(
  "reschedule",
  { ...onTasks(["pending"]), in: dueIn, at: dueAt },
  acting("reschedule", "pending", ({ duetime }, id, input: OnTasks & Parameters<typeof whenOf>[0]) =>
    duetime.reschedule(id, whenOf(input))
  )
).pipe(
  Command.validate((input) => checkOnTasks(input)),
  Command.withDescription("Move the due time of a waiting task"),
  Command.withExamples([
    {
      command: "duetime reschedule 019ab1d6-9c00-7a1b-8c2d-0123456789ab --in 30m",
      description: "Half an hour from now"
    }
  ])
)
