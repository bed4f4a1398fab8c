import * as Command from "effect/cli/Command"
import { acting } from "../acting.ts"
import { dueAt, dueIn, id, whenOf } from "../parameters.ts"

export const reschedule = Command.make(
  "reschedule",
  { id, in: dueIn, at: dueAt },
  acting(({ duetime }, input) => duetime.reschedule(input.id, whenOf(input)))
).pipe(
  Command.withDescription("Move the due time of a waiting task"),
  Command.withExamples([
    {
      command: "duetime reschedule 019ab1d6-9c00-7a1b-8c2d-0123456789ab --in 30m",
      description: "Half an hour from now"
    }
  ])
)
