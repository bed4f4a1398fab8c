/** The program of a node: the layers that `duetime run`, `duetime engine` and `duetime worker` launch. */
import { Layer } from "effect"
import { Duetime } from "../../src/Duetime.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { commitSql, type handlersOf } from "./handlers.ts"

export type Role = "both" | "engine" | "worker"

export const nodeProgram = (role: Role, handlers: ReturnType<typeof handlersOf>, concurrency: number) => {
  if (role === "engine") return Layer.launch(Layer.fresh(Engine.layer))
  const worker = handlers.pipe(
    Layer.provideMerge(Duetime.layer),
    Layer.provideMerge(Worker.layer({ concurrency })),
    Layer.provide(commitSql)
  )
  if (role === "worker") return Layer.launch(Layer.fresh(worker))
  return Layer.launch(Layer.fresh(Engine.layer.pipe(Layer.provideMerge(worker))))
}
