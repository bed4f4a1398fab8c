/** A tasks module as a user writes one. */
import { Effect, Schema } from "effect"
import { Duetime, Task } from "../../../src/index.ts"

const Greet = Task.define("greet", { payload: { name: Schema.String }, queue: "greetings", result: Schema.String })
const Slow = Task.define("slow", { payload: {}, queue: "slow", timeout: "20 seconds" })

export const tasks = [
  Greet.handle(({ name }) => Effect.succeed(`Hello, ${name}!`)),
  // What layerFromEnv gives is there for handlers.
  Slow.handle(() => Effect.andThen(Duetime, Effect.sleep("4 seconds")))
]
