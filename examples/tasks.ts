import { Console, Schema } from "effect"
import { Task } from "../src/index.ts"

const Greet = Task.define("greet", { payload: { name: Schema.String } })
export const tasks = [Greet.handle(({ name }) => Console.log(`Hello, ${name}!`))]
