import { Effect, Predicate, Result } from "effect"
import { toStorable } from "./core/storable.ts"
import type { Json } from "./core/TaskEvent.ts"
import * as TaskId from "./core/TaskId.ts"
import { type OptionsRejected, PayloadRejected } from "./DuetimeError.ts"
import { rejected } from "./optionValues.ts"

/** What callers of the client give, checked before the store sees it. */

const isStorable = (text: string): boolean => Result.isSuccess(toStorable(text))

export const storablePayload = (
  kind: string,
  encoded: unknown,
  bytesMax: number
): Result.Result<Json, PayloadRejected> => {
  const stored = toStorable(encoded)
  if (Result.isFailure(stored)) {
    const { path, reason } = stored.failure
    const wayOut = "Give plain JSON: text, finite numbers, booleans, null, arrays and plain objects"
    return Result.fail(new PayloadRejected({ kind, path, problem: reason, wayOut }))
  }
  const bytes = Buffer.byteLength(JSON.stringify(stored.success))
  if (bytes <= bytesMax) return Result.succeed(stored.success)
  const problem = `${bytes} bytes of JSON, over the limit of ${bytesMax}`
  const wayOut = "Store the data elsewhere and put where it is into the payload"
  return Result.fail(new PayloadRejected({ kind, path: "$", problem, wayOut }))
}

/** Null: it is one. JavaScript gives its name, as other libraries ask for. */
export const notDefined = (kind: unknown): OptionsRejected | null =>
  Predicate.hasProperty(kind, "policy") && Predicate.hasProperty(kind, "encodePayload")
    ? null
    : rejected("kind", kind, "Give what Task.define has returned; scheduleUntyped takes kinds by their names")

export const checkedId = (id: string): Effect.Effect<TaskId.TaskId, OptionsRejected> => {
  const taskId = Predicate.isString(id) ? id.toLowerCase() : ""
  return TaskId.isTaskId(taskId) ? Effect.succeed(taskId) : Effect.fail(rejected("id", id, idWayOut(id)))
}

/** Receipts are easily given whole, or before they are there. */
const idWayOut = (given: unknown): string => {
  if (Predicate.hasProperty(given, "id")) return "That holds the id: pass its .id"
  if (Predicate.isPromiseLike(given)) return "Await what schedule returned, and pass its .id"
  return "Give the id that schedule returned, a UUID of version 7"
}

/** Characters of the reason of a cancellation or a discard. */
export const reasonLengthMax = 1_000

export const checkedReason = (reason: string, lengthMin: number): Effect.Effect<string, OptionsRejected> =>
  Predicate.isString(reason) && reason.length >= lengthMin && reason.length <= reasonLengthMax && isStorable(reason)
    ? Effect.succeed(reason)
    : Effect.fail(
        rejected(
          "reason",
          reason,
          `Give ${lengthMin === 0 ? "at most" : "1 to"} ${reasonLengthMax} characters without U+0000`
        )
      )
