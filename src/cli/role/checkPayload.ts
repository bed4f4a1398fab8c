import { Effect, Result } from "effect"
import { toStorable } from "../../core/storable.ts"
import { PayloadRejected, TasksInvalid } from "../../DuetimeError.ts"
import { rehearsed } from "./rehearsal.ts"

/** Whether the kind's schema in the user's module can read a payload. */
export const checkPayload = (module: string, kind: string, payload: unknown) =>
  Effect.scoped(
    Effect.gen(function* () {
      const hold = yield* rehearsed(module)
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
