/** Tasks whose layers do more than handle: one is declared to recur as soon as they are built. */
import { Effect, Schema } from "effect"
import { Task } from "../../../src/index.ts"

const Greet = Task.define("greet-daily", { payload: { name: Schema.String } })

export const tasks = [
  Greet.handle(() => Effect.void),
  Greet.recur("greet-the-world", { every: "1 day", payload: { name: "world" } })
]
