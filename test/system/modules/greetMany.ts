/** A tasks module for two releases at once: whichever process runs `ask` schedules greetings that bear its number. */
import { Effect, Schema } from "effect"
import { Duetime, Task } from "../../../src/index.ts"

const Greet = Task.define("greet", { payload: { askedBy: Schema.String }, queue: "greetings" })
const Ask = Task.define("ask", { payload: { count: Schema.Int }, queue: "greetings" })

export const tasks = [
  Greet.handle(() => Effect.void),
  Ask.handle(({ count }) =>
    Effect.gen(function* () {
      const duetime = yield* Duetime
      const greetings = Array.from({ length: count }, (_, n) => ({
        payload: { askedBy: String(process.pid) },
        in: n * 20
      }))
      yield* duetime.scheduleMany(Greet, greetings)
    })
  )
]
