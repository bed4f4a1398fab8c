import { deathsAfter, isQuarantined } from "./deaths.ts"
import type { CommandTag, TaskCommand } from "./TaskCommand.ts"
import type { EventTag } from "./TaskEvent.ts"
import { isExhausted } from "./RetryPolicy.ts"
import { retryDueAtMs } from "./retryDue.ts"
import type { Stage, TaskState } from "./TaskState.ts"

/**
 * The whole task machine. `decide` walks this table, `test/core/machine.test.ts` and `docs/reference/machine.md`
 * come from it, and the SQL of the store is held equal to it by differential tests.
 *
 * A command finds the first row whose stage and command match and whose guard holds. No row: not possible.
 * The event `null` means: already so, nothing to append.
 */
type Row = readonly [
  from: Stage | "none",
  command: CommandTag,
  guard: Guard,
  event: EventTag | null,
  to: Stage | "same"
]

export const machine: ReadonlyArray<Row> = [
  ["none", "Schedule", "always", "TaskScheduled", "pending"],

  ["pending", "Claim", "always", "TaskClaimed", "claimed"],
  ["claimed", "ReleaseClaim", "always", "ClaimReleased", "pending"],
  ["claimed", "Expire", "always", "ClaimReleased", "pending"],
  ["claimed", "Start", "always", "AttemptStarted", "running"],

  ["running", "Succeed", "always", "AttemptSucceeded", "succeeded"],
  ["running", "Fail", "cancelRequested", "TaskCancelled", "cancelled"],
  ["running", "Fail", "retriesTooLate", "TaskExpired", "expired"],
  ["running", "Fail", "mayRetry", "AttemptFailed", "pending"],
  ["running", "Fail", "always", "TaskDeadLettered", "dead"],
  ["running", "Snooze", "cancelRequested", "TaskCancelled", "cancelled"],
  ["running", "Snooze", "retriesTooLate", "TaskExpired", "expired"],
  ["running", "Snooze", "always", "AttemptSnoozed", "pending"],
  ["running", "Discard", "cancelRequested", "TaskCancelled", "cancelled"],
  ["running", "Discard", "always", "TaskDeadLettered", "dead"],
  ["running", "Release", "cancelRequested", "TaskCancelled", "cancelled"],
  ["running", "Release", "retriesTooLate", "TaskExpired", "expired"],
  ["running", "Release", "always", "AttemptReleased", "pending"],
  ["running", "Expire", "parks", "TaskParked", "parked"],
  ["running", "Expire", "cancelRequested", "TaskCancelled", "cancelled"],
  ["running", "Expire", "quarantines", "TaskDeadLettered", "dead"],
  ["running", "Expire", "retriesTooLate", "TaskExpired", "expired"],
  ["running", "Expire", "mayRetry", "AttemptExpired", "pending"],
  ["running", "Expire", "always", "TaskDeadLettered", "dead"],

  ["parked", "Reconcile", "wasDone", "TaskReconciled", "succeeded"],
  ["parked", "Reconcile", "cancelRequested", "TaskCancelled", "cancelled"],
  ["parked", "Reconcile", "retriesTooLate", "TaskExpired", "expired"],
  ["parked", "Reconcile", "mayRetry", "TaskResumed", "pending"],
  ["parked", "Reconcile", "always", "TaskDeadLettered", "dead"],

  ["pending", "ExpireTask", "isTooLate", "TaskExpired", "expired"],
  ["claimed", "ExpireTask", "isTooLate", "TaskExpired", "expired"],

  ["pending", "Cancel", "always", "TaskCancelled", "cancelled"],
  ["claimed", "Cancel", "always", "TaskCancelled", "cancelled"],
  ["running", "Cancel", "cancelRequested", null, "same"],
  ["running", "Cancel", "always", "CancelRequested", "running"],
  ["parked", "Cancel", "always", "TaskCancelled", "cancelled"],
  ["cancelled", "Cancel", "always", null, "same"],

  ["pending", "Reschedule", "always", "TaskRescheduled", "pending"],
  ["claimed", "Reschedule", "always", "TaskRescheduled", "pending"],
  ["pending", "Reprioritise", "samePriority", null, "same"],
  ["pending", "Reprioritise", "always", "TaskReprioritised", "pending"],
  ["claimed", "Reprioritise", "samePriority", null, "same"],
  ["claimed", "Reprioritise", "always", "TaskReprioritised", "pending"],
  ["running", "Reprioritise", "samePriority", null, "same"],
  ["running", "Reprioritise", "always", "TaskReprioritised", "running"],

  ["pending", "RunNow", "alreadyDue", null, "same"],
  ["pending", "RunNow", "always", "TaskRescheduled", "pending"],
  ["claimed", "RunNow", "alreadyDue", null, "same"],
  ["claimed", "RunNow", "always", "TaskRescheduled", "pending"],
  ["parked", "RunNow", "cancelRequested", "TaskCancelled", "cancelled"],
  ["parked", "RunNow", "always", "TaskResumed", "pending"],
  ["dead", "Redrive", "always", "TaskRedriven", "pending"],
  ["dead", "DiscardDead", "always", "TaskCancelled", "cancelled"]
]

const mayRetry = (state: TaskState, command: TaskCommand): boolean =>
  (command._tag === "Fail" && command.retryable && !isExhausted(command.policy.retry, state.charged)) ||
  ((command._tag === "Expire" || command._tag === "Reconcile") && !isExhausted(command.policy.retry, state.charged))

type Guard =
  | "always"
  | "cancelRequested"
  | "mayRetry"
  | "retriesTooLate"
  | "isTooLate"
  | "parks"
  | "quarantines"
  | "wasDone"
  | "samePriority"
  | "alreadyDue"

export const guards: Record<Guard, (state: TaskState, command: TaskCommand) => boolean> = {
  always: () => true,
  cancelRequested: (state) => state.cancelRequested,
  /** Attempts are charged at their start, so `charged` already holds the one that failed. */
  mayRetry: (state, command) => mayRetry(state, command),
  /** It would be tried again, but not before it expires. */
  retriesTooLate: (state, command) =>
    state.expiresAtMs !== null &&
    (command._tag === "Snooze" || command._tag === "Release" || mayRetry(state, command)) &&
    (retryDueAtMs(state, command) ?? Number.NEGATIVE_INFINITY) >= state.expiresAtMs,
  isTooLate: (state, command) => state.expiresAtMs !== null && state.expiresAtMs <= command.atMs,
  /** An interrupted attempt whose effects are unknown: asking comes before cancelling, too. */
  parks: (_, command) => command._tag === "Expire" && command.policy.onInterrupted === "park",
  /** A death, and the last one that the policy allows. */
  quarantines: (state, command) =>
    command._tag === "Expire" &&
    command.reason === "session-lost" &&
    isQuarantined(command.policy.deathsMax, deathsAfter(state.deaths)),
  /** What has happened in the outside is true whatever was asked for since. */
  wasDone: (_, command) => command._tag === "Reconcile" && command.answer._tag === "Done",
  samePriority: (state, command) => command._tag === "Reprioritise" && command.priority === state.priority,
  alreadyDue: (state, command) => state.dueAtMs <= command.atMs
}
