/** The handlers of this revision: `duetime worker --tasks tasks.ts`. */
import { Effect, Layer } from "effect"
import { fail, unchanged, work } from "./handlers.ts"
import { Doomed, Fresh, Plain } from "./kinds.ts"

export const tasks = Layer.mergeAll(
  unchanged,
  Plain.handle((payload, attempt) => Effect.as(work(payload, attempt.number), payload.note)),
  Fresh.handle((payload, attempt) => work(payload, attempt.number)),
  Doomed.handle((payload, attempt) => fail(payload, attempt.number))
)
