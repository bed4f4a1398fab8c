import { Result } from "effect"
import { deathsAfter } from "./deaths.ts"
import { linksOf } from "./followUps.ts"
import { guards, machine } from "./machine.ts"
import { retryDueAtMs } from "./retryDue.ts"
import type { Rejection, TaskCommand } from "./TaskCommand.ts"
import type { AttemptError, EventBody, EventTag, ExpiryReason } from "./TaskEvent.ts"
import type { Stage, TaskState } from "./TaskState.ts"

/**
 * The next event of a task, none if the wish is already fulfilled, or the reason why it is not possible. Pure and
 * total: time and the event's id come in with the command. The store appends the event at `state.version + 1`
 * or not at all.
 */
export const decide = (
  command: TaskCommand,
  state: TaskState | null
): Result.Result<ReadonlyArray<EventBody>, Rejection> => {
  const stage: Stage | "none" = state === null ? "none" : state.stage
  if (state !== null && "fence" in command && !holdsFence(state, command.fence))
    return Result.fail({ _tag: "LeaseLost" })
  if (state !== null && command._tag === "Start" && stage === "claimed" && command.atMs < state.dueAtMs) {
    return Result.fail({ _tag: "TooEarly", dueAtMs: state.dueAtMs })
  }
  if (state !== null && command._tag === "Start" && stage === "claimed" && isTooLate(state, command.atMs)) {
    return Result.fail({ _tag: "TooLate", expiresAtMs: state.expiresAtMs })
  }
  for (const [from, tag, guard, event] of machine) {
    if (from !== stage || tag !== command._tag) continue
    if (state !== null && !guards[guard](state, command)) continue
    if (event === null) return Result.succeed([])
    const body = bodyOf(event, command, state)
    if (body === null) return Result.fail({ _tag: "NotPossible", stage, command: command._tag })
    // A wish that nothing could come of. What was to be tried again has its own rows.
    if (
      state !== null &&
      "dueAtMs" in body &&
      isWish(command) &&
      isTooLate(state, Math.max(body.dueAtMs, command.atMs))
    ) {
      return Result.fail({ _tag: "TooLate", expiresAtMs: state.expiresAtMs })
    }
    return Result.succeed([body])
  }
  return Result.fail({ _tag: "NotPossible", stage, command: command._tag })
}

/** Whether an attempt that starts at the instant would start too late. */
const isTooLate = (state: TaskState, atMs: number): state is TaskState & { readonly expiresAtMs: number } =>
  state.expiresAtMs !== null && state.expiresAtMs <= atMs

const isWish = ({ _tag }: TaskCommand): boolean => _tag === "Reschedule" || _tag === "RunNow" || _tag === "Redrive"

const holdsFence = (state: TaskState, fence: { readonly version: number; readonly eventId: string }): boolean =>
  state.fence !== null && state.fence.eventId === fence.eventId && state.fence.version === fence.version

/** The body of the event that the table names for this command; null for a pair the table never names. */
const bodyOf = (event: EventTag, command: TaskCommand, state: TaskState | null): EventBody | null => {
  const attempt = state?.attempt ?? 0
  const dueAtMs = retryDueAtMs(state, command) ?? command.atMs
  if (event === "TaskExpired") return { _tag: "TaskExpired", error: command._tag === "Fail" ? command.error : null }
  switch (command._tag) {
    case "Schedule": {
      const { dueAtMs, expiresAtMs = null, key, kind, payload, priority } = command
      const body: EventBody = {
        _tag: "TaskScheduled",
        kind,
        priority,
        dueAtMs,
        key,
        payload,
        ...linksOf(command)
      }
      return expiresAtMs === null ? body : { ...body, expiresAtMs }
    }
    case "Claim":
      return { _tag: "TaskClaimed", sessionId: command.sessionId }
    case "ReleaseClaim":
      return { _tag: "ClaimReleased", reason: command.reason }
    case "Start":
      return {
        _tag: "AttemptStarted",
        attempt: attempt + 1,
        sessionId: command.sessionId,
        deadlineAtMs: command.atMs + command.timeoutMs,
        dispatchedAtMs: command.dispatchedAtMs
      }
    case "Succeed":
      return { _tag: "AttemptSucceeded", attempt, result: command.result }
    case "Fail":
      if (event === "AttemptFailed") {
        return { _tag: "AttemptFailed", attempt, error: command.error, dueAtMs }
      }
      if (event === "TaskCancelled") return { _tag: "TaskCancelled", reason: command.error.message }
      return {
        _tag: "TaskDeadLettered",
        attempt,
        reason: command.retryable ? "exhausted" : "not-retryable",
        error: command.error
      }
    case "Snooze":
      return event === "TaskCancelled"
        ? { _tag: "TaskCancelled", reason: null }
        : { _tag: "AttemptSnoozed", attempt, dueAtMs }
    case "Discard":
      return event === "TaskCancelled"
        ? { _tag: "TaskCancelled", reason: command.reason }
        : {
            _tag: "TaskDeadLettered",
            attempt,
            reason: "discarded",
            error: { name: "Discarded", message: command.reason }
          }
    case "Release":
      return event === "TaskCancelled"
        ? { _tag: "TaskCancelled", reason: null }
        : { _tag: "AttemptReleased", attempt, reason: command.reason, dueAtMs }
    case "Expire":
      return expiryBody(event, command, state, attempt, dueAtMs)
    case "Reconcile":
      return reconciledBody(event, command, attempt, dueAtMs)
    case "ExpireTask":
      return null
    case "Cancel":
      return event === "CancelRequested"
        ? { _tag: "CancelRequested", reason: command.reason }
        : { _tag: "TaskCancelled", reason: command.reason }
    case "Reschedule":
      return { _tag: "TaskRescheduled", dueAtMs: command.dueAtMs }
    case "Reprioritise":
      return { _tag: "TaskReprioritised", priority: command.priority }
    case "RunNow":
      if (event === "TaskCancelled") return { _tag: "TaskCancelled", reason: null }
      return event === "TaskResumed"
        ? { _tag: "TaskResumed", reason: "run-now", dueAtMs: Math.ceil(command.atMs) }
        : { _tag: "TaskRescheduled", dueAtMs: Math.ceil(command.atMs) }
    case "Redrive": {
      const redriven = { _tag: "TaskRedriven", dueAtMs: Math.ceil(command.atMs) } as const
      return command.payload === undefined ? redriven : { ...redriven, payload: command.payload }
    }
    case "DiscardDead":
      return { _tag: "TaskCancelled", reason: command.reason }
  }
}

const expiryBody = (
  event: EventTag,
  command: Extract<TaskCommand, { _tag: "Expire" }>,
  state: TaskState | null,
  attempt: number,
  dueAtMs: number
): EventBody => {
  switch (event) {
    case "ClaimReleased":
      return { _tag: "ClaimReleased", reason: "session-lost" }
    case "TaskParked":
      return { _tag: "TaskParked", attempt, reason: command.reason }
    case "TaskCancelled":
      return { _tag: "TaskCancelled", reason: null }
    case "AttemptExpired":
      return { _tag: "AttemptExpired", attempt, reason: command.reason, dueAtMs }
    default:
      return state !== null && guards.quarantines(state, command)
        ? { _tag: "TaskDeadLettered", attempt, reason: "quarantined", error: diedWith(deathsAfter(state.deaths)) }
        : { _tag: "TaskDeadLettered", attempt, reason: "exhausted", error: interrupted(command.reason) }
  }
}

/** Done is an end of its own; otherwise the attempt counts as one that has failed. */
const reconciledBody = (
  event: EventTag,
  { answer }: Extract<TaskCommand, { _tag: "Reconcile" }>,
  attempt: number,
  dueAtMs: number
): EventBody => {
  if (answer._tag === "Done") return { _tag: "TaskReconciled", attempt, result: answer.result }
  switch (event) {
    case "TaskCancelled":
      return { _tag: "TaskCancelled", reason: null }
    case "TaskResumed":
      return { _tag: "TaskResumed", reason: "not-done", dueAtMs }
    default:
      return { _tag: "TaskDeadLettered", attempt, reason: "exhausted", error: nothingDone }
  }
}

const nothingDone: AttemptError = {
  name: "AttemptExpired",
  message: "the attempt was interrupted and, as its reconciler found, has done nothing"
}

const interrupted = (reason: ExpiryReason): AttemptError => ({
  name: "AttemptExpired",
  message: reason === "deadline" ? "the attempt ran past its deadline" : "the worker's session ended during the attempt"
})

const diedWith = (deaths: number): AttemptError => ({
  name: "AttemptExpired",
  message:
    deaths === 1
      ? "the worker's process died during the attempt"
      : `the worker's process died during each of the last ${deaths} attempts`
})
