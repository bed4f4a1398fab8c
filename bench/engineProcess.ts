/**
 * Engines and workers in a process of their own: for each argument a worker that serves the kinds named in it, with commas between them, and
 * an engine, a session and connections that it shares with no other. Prints `ready`, then a line for each handler call, until SIGTERM, and at
 * SIGUSR2 what its heap has in use after a garbage collection.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Latch, Layer, Logger } from "effect"
import { Engine, Worker } from "../src/index.ts"
import { layerFromEnv } from "../src/layers.ts"
import { concurrencyPerWorker, countedKind, heapLine } from "./spawnEngine.ts"

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

const stack = (kinds: string) =>
  Layer.fresh(
    Layer.mergeAll(Engine.layer, ...kinds.split(",").map(handler)).pipe(
      Layer.provide(Worker.layer({ concurrency: concurrencyPerWorker })),
      Layer.provide(layerFromEnv)
    )
  )

process.on("SIGUSR2", () => {
  globalThis.gc?.()
  process.stdout.write(`${heapLine}${process.memoryUsage().heapUsed / 2 ** 20}\n`)
})

const [first = "", ...others] = process.argv.slice(2)
const program = Layer.mergeAll(stack(first), ...others.map(stack)).pipe(
  Layer.tap(() =>
    Effect.gen(function* () {
      process.stdout.write("ready\n")
      yield* Effect.addFinalizer(() => flush)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(called.await, Effect.delay(flush, 50))))
    })
  )
)

// Each line of stdout is a call.
NodeRuntime.runMain(Effect.provideService(Layer.launch(program), Logger.LogToStderr, true))
