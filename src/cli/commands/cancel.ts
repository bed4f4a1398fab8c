import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { acting } from "../acting.ts"
import { id } from "../parameters.ts"

const reason = Flag.String("reason").pipe(
  Flag.withDescription("Kept in the history"),
  Flag.withMetavar("text"),
  Flag.optional
)

export const cancel = Command.make(
  "cancel",
  { id, reason },
  acting(({ duetime }, { id, reason }) => duetime.cancel(id, Option.getOrUndefined(reason)))
).pipe(
  Command.withDescription("End a waiting task; a running one is cancelled if its attempt does not succeed"),
  Command.withExamples([
    {
      command: "duetime cancel 019ab1d6-9c00-7a1b-8c2d-0123456789ab --reason 'order withdrawn'",
      description: "With a reason"
    }
  ])
)
