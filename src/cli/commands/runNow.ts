import * as Command from "effect/cli/Command"
import { acting, checkOnTasks, onTasks } from "../acting.ts"

export const runNow = Command.make(
  "run-now",
  onTasks(["pending", "parked"]),
  acting("run-now", "pending", ({ duetime }, id) => duetime.runNow(id))
).pipe(
  Command.validate((input) => checkOnTasks(input)),
  Command.withDescription("Make a waiting task due now, or let a parked one go on"),
  Command.withExamples([
    { command: "duetime run-now 019ab1d6-9c00-7a1b-8c2d-0123456789ab", description: "Do not wait for its due time" }
  ])
)
