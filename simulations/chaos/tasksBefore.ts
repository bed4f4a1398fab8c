/** The handlers of the revision before, for the worker that has not been deployed anew. */
import { Layer } from "effect"
import { fail, unchanged, work } from "./handlers.ts"
import { DoomedBefore, PlainBefore } from "./kindsBefore.ts"

export const tasks = Layer.mergeAll(
  unchanged,
  PlainBefore.handle((payload, attempt) => work(payload, attempt.number)),
  DoomedBefore.handle((payload, attempt) => fail(payload, attempt.number))
)
