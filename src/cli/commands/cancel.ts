import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { acting, checkOnTasks, onTasks, type OnTasks } from "../acting.ts"

const reason = Flag.String("reason").pipe(
  Flag.withDescription("Kept in the history"),
  Flag.withMetavar("text"),
  Flag.optional
)

export const cancel = Command.make(
  "cancel",
  { ...onTasks(["pending", "claimed", "running", "parked"]), reason },
  acting("cancel", "pending", ({ duetime }, id, { reason }: OnTasks & { readonly reason: Option.Option<string> }) =>
    duetime.cancel(id, Option.getOrUndefined(reason))
  )
).pipe(
  Command.validate((input) => checkOnTasks(input)),
  Command.withDescription("End a waiting task; a running one is cancelled if its attempt does not succeed"),
  Command.withExamples([
    {
      command: "duetime cancel 019ab1d6-9c00-7a1b-8c2d-0123456789ab --reason 'order withdrawn'",
      description: "With a reason"
    },
    { command: "duetime cancel --all --kind send-reminder --dry-run", description: "How many would it be?" }
  ])
)
