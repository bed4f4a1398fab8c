import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Handlers } from "../../index.ts"
import { layerRehearsal } from "../../layers.ts"
import { HandlerHold } from "../role/HandlerHold.ts"
import { loadTasks, tasksFailed, withoutHandlers } from "../role/tasksModule.ts"
import type { Fits } from "./payloads.ts"

/** What a module's handlers can read; their layers are built, and close with the scope. */
export const fitsOf = Effect.fnUntraced(function* (module: string) {
  const { layer } = yield* loadTasks(module)
  const hold = new HandlerHold()
  const ground = yield* Layer.build(layerRehearsal)
  yield* Layer.build(layer).pipe(
    Effect.provide(Context.add(ground, Handlers, hold)),
    Effect.catchCause((cause) => Effect.fail(tasksFailed(module, "cannot be built", cause)))
  )
  if (hold.kinds.length === 0) return yield* withoutHandlers(module)
  const unfit = new Map(hold.handlers.map(({ policy, unfitness }) => [policy.kind, unfitness]))
  const fits: Fits = ({ kind, payload }) => unfit.get(kind)?.(payload)
  return fits
})
