import * as Effect from "effect/Effect"
import { rehearsed } from "../role/rehearsal.ts"
import { withoutHandlers } from "../role/tasksModule.ts"
import type { Fits } from "./payloads.ts"

/** What a module's handlers can read; their layers are built, and close with the scope. */
export const fitsOf = Effect.fnUntraced(function* (module: string) {
  const hold = yield* rehearsed(module)
  if (hold.kinds.length === 0) return yield* withoutHandlers(module)
  const unfit = new Map(hold.handlers.map(({ policy, unfitness }) => [policy.kind, unfitness]))
  const fits: Fits = ({ kind, payload }) => unfit.get(kind)?.(payload)
  return fits
})
