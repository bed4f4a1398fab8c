/** The tasks module of greet.ts after a change that forgot what waits. */
import { Effect, Schema } from "effect"
import { Task } from "../../../src/index.ts"

const Greet = Task.define("greet", { payload: { title: Schema.String }, queue: "greetings", result: Schema.String })

export const tasks = Greet.handle(({ title }) => Effect.succeed(`Hello, ${title}!`))
