/** A kind that kills the process that runs it, and one that takes longer than that. */
import { Effect } from "effect"
import { RetryPolicy, Task } from "../../../src/index.ts"

const options = { payload: {}, queue: "deaths", retry: RetryPolicy.fixed({ delay: 0, attemptsMax: 100 }) } as const
const Poison = Task.define("poison", options)
const Innocent = Task.define("innocent", options)

export const tasks = [
  Poison.handle(() =>
    Effect.delay(
      Effect.sync(() => process.kill(process.pid, "SIGKILL")),
      "500 millis"
    )
  ),
  Innocent.handle(() => Effect.sleep("1 second"))
]
