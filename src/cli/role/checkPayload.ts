import { Context, Effect, Layer, Result } from "effect"
import { toStorable } from "../../core/storable.ts"
import { PayloadRejected, TasksInvalid } from "../../DuetimeError.ts"
import { Handlers, layerFromEnv } from "../../index.ts"
import { HandlerHold } from "./HandlerHold.ts"
import { loadTasks, tasksFailed } from "./tasksModule.ts"

/**
 * Whether the kind's schema in the user's module can read a payload. The layers of the module are built as a worker builds them,
 * and nothing is served.
 */
export const checkPayload = (module: string, kind: string, payload: unknown) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { layer } = yield* loadTasks(module)
      const ground = yield* Layer.build(layerFromEnv)
      const hold = new HandlerHold()
      yield* Layer.build(layer).pipe(
        Effect.provide(Context.add(ground, Handlers, hold)),
        Effect.catchCause((cause) => Effect.fail(tasksFailed(module, "cannot be built", cause)))
      )
      const stored = toStorable(payload)
      // The redrive itself refuses it.
      if (Result.isFailure(stored)) return
      const handler = hold.handlers.find(({ policy }) => policy.kind === kind)
      if (handler === undefined) {
        return yield* new TasksInvalid({
          module,
          problem: `handles no kind "${kind}"`,
          wayOut: `It handles ${hold.kinds.join(", ") || "none"}; give the module of the worker that serves the kind`
        })
      }
      const problem = handler.unfitness(stored.success)
      if (problem === null) return
      const wayOut = "Give a payload that fits the kind's schema; nothing was redriven"
      return yield* new PayloadRejected({ kind, path: "$", problem, wayOut })
    })
  )
