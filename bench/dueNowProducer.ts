/** Schedules tasks due at once, one by one at a steady rate, from a process of its own. */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Schema } from "effect"
import { Task } from "../src/index.ts"
import { layerClient } from "../src/layers.ts"

const DueNow = Task.define("bench.due-now", { payload: { n: Schema.Finite } })
const [count, perSecond] = process.argv.slice(2).map(Number)

const program = Effect.gen(function* () {
  // The first call opens connections; it is not what is measured.
  for (let n = 0; n < (count ?? 0); n++) {
    yield* Effect.sleep(1_000 / (perSecond ?? 1))
    yield* DueNow.schedule({ n })
  }
})

NodeRuntime.runMain(Effect.provide(program, layerClient))
