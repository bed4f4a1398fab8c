/** The words of the spec: what is known of a task, what can be asked of it, what can have happened to it. */
import type { Outcome, Reconciliation } from "../../src/core/TaskCommand.ts"
import type { AttemptError, DeadReason, ExpiryReason, Json, ReleaseReason } from "../../src/core/TaskEvent.ts"
import type { Stage } from "../../src/core/TaskState.ts"
import type { Wish } from "../../src/store/TaskStore.ts"

/** Within a run a task, and what follows its end, has a name: `t3`, `t3@5>`. */
export type Name = string
export type PriorityWord = "critical" | "high" | "normal" | "low"

/** What of a policy has a say here. Delays are without jitter: that is drawn from ids, of which the spec knows nothing. */
export type Rules = {
  readonly kind: string
  readonly queue: string
  readonly attemptsMax: number
  readonly delayMs: (attemptsCharged: number) => number
  readonly parks: boolean
  readonly deathsMax: number
}

export type Link = {
  readonly kind: string
  readonly priority: PriorityWord
  readonly inMs: number
  readonly dueJitter: null
  readonly payload: Json
}
export type Links = { readonly onSuccess?: Link; readonly onDead?: Link }
export type Born = Links & {
  readonly kind: string
  readonly priority: PriorityWord
  readonly dueAtMs: number
  readonly expiresAtMs: number | null
  readonly key: string | null
  readonly payload: Json
  readonly follows?: { readonly task: Name; readonly version: number }
}

/** A fact, without the ids of the real ones; sessions are numbered from 0. */
export type Fact =
  | ({ readonly tag: "TaskScheduled" } & Born)
  | { readonly tag: "TaskClaimed"; readonly session: number }
  | { readonly tag: "ClaimReleased"; readonly reason: ReleaseReason }
  | {
      readonly tag: "AttemptStarted"
      readonly attempt: number
      readonly session: number
      readonly deadlineAtMs: number
      readonly dispatchedAtMs: number | null
    }
  | { readonly tag: "AttemptSucceeded" | "TaskReconciled"; readonly attempt: number; readonly result: Json }
  | { readonly tag: "AttemptFailed"; readonly attempt: number; readonly error: AttemptError; readonly dueAtMs: number }
  | { readonly tag: "AttemptSnoozed"; readonly attempt: number; readonly dueAtMs: number }
  | {
      readonly tag: "AttemptReleased"
      readonly attempt: number
      readonly reason: ReleaseReason
      readonly dueAtMs: number
    }
  | {
      readonly tag: "AttemptExpired"
      readonly attempt: number
      readonly reason: ExpiryReason
      readonly dueAtMs: number
    }
  | { readonly tag: "TaskParked"; readonly attempt: number; readonly reason: ExpiryReason }
  | { readonly tag: "TaskResumed"; readonly reason: "run-now" | "not-done"; readonly dueAtMs: number }
  | {
      readonly tag: "TaskDeadLettered"
      readonly attempt: number
      readonly reason: DeadReason
      readonly error: AttemptError
    }
  | { readonly tag: "TaskRedriven" | "TaskRescheduled"; readonly dueAtMs: number }
  | { readonly tag: "TaskReprioritised"; readonly priority: PriorityWord }
  | { readonly tag: "CancelRequested" | "TaskCancelled"; readonly reason: string | null }
  | { readonly tag: "TaskExpired"; readonly error: AttemptError | null }

/** With its place, its time, and the number of the request that asked for it; null: nobody's, the store named it itself. */
export type Recorded = Fact & { readonly version: number; readonly atMs: number; readonly by: number | null }

export type Task = {
  readonly stage: Stage
  readonly kind: string
  readonly priority: PriorityWord
  readonly dueAtMs: number
  readonly expiresAtMs: number | null
  readonly version: number
  /** Version of the claim, start or parking that is in force. */
  readonly fence: number | null
  readonly session: number | null
  readonly attempt: number
  readonly charged: number
  readonly deaths: number
  readonly deadlineAtMs: number | null
  readonly cancelRequested: boolean
  readonly followed: boolean
}

export type Command =
  | { readonly tag: "Claim"; readonly session: number }
  | { readonly tag: "Unclaim"; readonly fence: number; readonly reason: ReleaseReason }
  | {
      readonly tag: "Start"
      readonly fence: number
      readonly session: number
      readonly timeoutMs: number
      readonly dispatchedAtMs: number | null
    }
  | { readonly tag: "Settle"; readonly fence: number; readonly outcome: Outcome }
  | { readonly tag: "Interrupt"; readonly fence: number; readonly reason: ExpiryReason }
  | { readonly tag: "Reconcile"; readonly fence: number; readonly answer: Reconciliation }
  | { readonly tag: "TooLate" }
  | { readonly tag: "Wish"; readonly wish: Wish }

/** `null`: it is so already. */
export type Decision = Fact | null | { readonly tag: "Rejected"; readonly why: Why }
export type Why =
  | { readonly _tag: "NotPossible"; readonly stage: Stage; readonly command: string }
  | { readonly _tag: "LeaseLost" }
  | { readonly _tag: "TooEarly"; readonly dueAtMs: number }
  | { readonly _tag: "TooLate"; readonly expiresAtMs: number }

/** In place of an answer that the port leaves open: any will do. */
export const anything = "anything"
