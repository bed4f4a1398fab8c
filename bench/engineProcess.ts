/**
 * An engine and a worker in a process of their own, serving the kinds named by the arguments; prints `ready`, then a line for each handler
 * call, until SIGTERM.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Latch, Layer } from "effect"
import { Engine, Worker } from "../src/index.ts"
import { layerFromEnv } from "../src/layers.ts"
import { concurrencyPerWorker, countedKind } from "./spawnEngine.ts"

let lines: Array<string> = []
/** An idle process has nothing to write, and does not look for it. */
const called = Latch.makeUnsafe()
const flush = Effect.sync(() => {
  called.closeUnsafe()
  if (lines.length > 0) process.stdout.write(lines.join(""))
  lines = []
})

const handler = (kind: string) =>
  countedKind(kind).handle(({ workMs }, attempt) => {
    lines.push(`${attempt.taskId} ${attempt.number}\n`)
    called.openUnsafe()
    return workMs === 0 ? Effect.void : Effect.sleep(workMs)
  })

const program = Layer.mergeAll(
  Engine.layer,
  ...process.argv.slice(2).map(handler),
  Layer.effectDiscard(
    Effect.gen(function* () {
      process.stdout.write("ready\n")
      yield* Effect.addFinalizer(() => flush)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(called.await, Effect.delay(flush, 50))))
    })
  )
).pipe(Layer.provide(Worker.layer({ concurrency: concurrencyPerWorker })), Layer.provide(layerFromEnv))

NodeRuntime.runMain(Layer.launch(program))
