/**
 * An engine, a worker or both in a process of their own, as the JSON of a `Role` in the first argument says. Prints `ready`
 * once the fleet knows it; ends on SIGTERM and when its standard input is closed, so that it never outlives its parent.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Engine, Worker } from "../../src/index.ts"
import { layerFromEnv } from "../../src/layers.ts"
import { define, type KindSpec, roleOfText } from "./role.ts"

const role = roleOfText(process.argv[2] ?? "")

process.stdin.once("close", () => process.kill(process.pid, "SIGTERM")).resume()
process.stdout.on("error", () => {})

const handler = (spec: KindSpec) =>
  define(spec).handle(() => (spec.handlerMs === 0 ? Effect.void : Effect.sleep(spec.handlerMs)))

const announced = Effect.gen(function* () {
  const worker = yield* Worker
  while (!worker.status().isAnnounced) yield* Effect.sleep(10)
})

const worker =
  role.worker === null
    ? Layer.empty
    : Layer.effectDiscard(announced).pipe(
        Layer.provide(Layer.mergeAll(Layer.empty, ...role.worker.kinds.map(handler))),
        Layer.provide(Worker.layer({ concurrency: role.worker.concurrency }))
      )

const program = Layer.effectDiscard(Effect.sync(() => process.stdout.write("ready\n"))).pipe(
  Layer.provide(Layer.mergeAll(worker, role.engine ? Engine.layer : Layer.empty)),
  Layer.provide(layerFromEnv)
)

NodeRuntime.runMain(Layer.launch(program))
