import { Cause, Data, Exit } from "effect"
import type { Due } from "../core/calendar/Due.ts"
import type { Outcome } from "../core/TaskCommand.ts"
import type { Json } from "../core/TaskEvent.ts"
import { toStorableText } from "../core/storable.ts"
import { errorMessageLengthMax, toAttemptError } from "./errorText.ts"
import { HandlerUnfit, PayloadUnfit } from "./AttemptFailure.ts"

/**
 * How a handler says more than "succeeded" or "failed". Each is an error that can be yielded in an Effect and thrown
 * in an async function, so that both kinds of handlers have the same four words.
 */
export type HandlerSignal = Snooze | Discard | Fatal | RetryIn

/** Try again later; the attempt is not charged. */
export class Snooze extends Data.TaggedError("Snooze")<{ readonly inMs: number }> {}
/** Not worth another attempt; kept as a dead letter with the reason `discarded`. */
export class Discard extends Data.TaggedError("Discard")<{ readonly reason: string }> {}
/** Failed, and another attempt would fail alike: a dead letter at once. */
export class Fatal extends Data.TaggedError("Fatal")<{ readonly error: unknown }> {}
/** Failed, try again then instead of when the policy says: after a delay, or at a due time that knows more. */
export class RetryIn extends Data.TaggedError("RetryIn")<{ readonly retry: number | Due; readonly error: unknown }> {}

/**
 * The outcome to record for a handler's exit; null if it was interrupted, which only the one who interrupted can
 * judge. A typed failure goes before a defect, a defect before an interruption.
 */
export const outcomeOf = (exit: Exit.Exit<Json, unknown>): Outcome | null => {
  if (Exit.isSuccess(exit)) return { _tag: "Succeed", result: exit.value }
  let defect: { readonly value: unknown } | null = null
  for (const reason of exit.cause.reasons) {
    if (Cause.isFailReason(reason)) return outcomeOfFailure(reason.error)
    if (Cause.isDieReason(reason)) defect ??= { value: reason.defect }
  }
  return defect === null ? null : outcomeOfFailure(defect.value)
}

/** The outcome of an attempt that failed with this; a thrown signal counts like a yielded one. */
export const outcomeOfFailure = (failure: unknown): Outcome => {
  if (failure instanceof Snooze) return { _tag: "Snooze", inMs: failure.inMs }
  if (failure instanceof Discard) {
    return { _tag: "Discard", reason: toStorableText(failure.reason, errorMessageLengthMax) }
  }
  if (failure instanceof Fatal) return failed(failure.error, false, null)
  if (failure instanceof RetryIn) {
    const { error, retry } = failure
    return typeof retry === "number" ? failed(error, true, retry) : { ...failed(error, true, null), retryDue: retry }
  }
  // The same bytes would not decode next time either, nor the same handler return something else.
  return failed(failure, !(failure instanceof PayloadUnfit || failure instanceof HandlerUnfit), null)
}

const failed = (error: unknown, retryable: boolean, retryInMs: number | null): Extract<Outcome, { _tag: "Fail" }> => ({
  _tag: "Fail",
  error: toAttemptError(error),
  retryable,
  retryInMs
})
