import { Context, Effect, Layer } from "effect"
import { Handlers } from "../../index.ts"
import { layerRehearsal } from "../../layers.ts"
import { HandlerHold } from "./HandlerHold.ts"
import { loadTasks, tasksFailed } from "./tasksModule.ts"

/**
 * The handlers of a module, to be looked at and not run: their layers are built on `layerRehearsal`, so what they schedule or declare reaches
 * nobody. They close with the scope.
 */
export const rehearsed = Effect.fnUntraced(function* (module: string) {
  const { layer } = yield* loadTasks(module)
  const hold = new HandlerHold()
  const ground = yield* Layer.build(layerRehearsal)
  yield* Layer.build(layer).pipe(
    Effect.provide(Context.add(ground, Handlers, hold)),
    Effect.catchCause((cause) => Effect.fail(tasksFailed(module, "cannot be built", cause)))
  )
  return hold
})
