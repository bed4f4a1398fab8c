import type { Due } from "./calendar/Due.ts"
import type { KindPolicy } from "./KindPolicy.ts"
import type { Priority } from "./Priority.ts"
import type { AttemptError, ExpiryReason, FollowUps, Follows, Json, ReleaseReason, Traced } from "./TaskEvent.ts"
import type { EventId } from "./TaskId.ts"
import type { Fence } from "./TaskState.ts"

/** How an attempt ended, as the handler's outcome says. */
export type Outcome =
  | { readonly _tag: "Succeed"; readonly result: Json }
  /** `retryDue` or else `retryInMs` replaces what the policy says; `retryable: false` goes straight to the dead letters. */
  | {
      readonly _tag: "Fail"
      readonly error: AttemptError
      readonly retryable: boolean
      readonly retryInMs: number | null
      readonly retryDue?: Due
    }
  /** Try again later by the handler's wish; the attempt is not charged. */
  | { readonly _tag: "Snooze"; readonly inMs: number }
  /** The task is not worth another attempt; kept as a dead letter with the reason `discarded`. */
  | { readonly _tag: "Discard"; readonly reason: string }
  /** The worker drains: the attempt was interrupted by us and is not charged. */
  | { readonly _tag: "Release"; readonly reason: ReleaseReason }

/** What the outside knows of an interrupted attempt, as the reconciler of its kind says. */
export type Reconciliation = { readonly _tag: "Done"; readonly result: Json } | { readonly _tag: "NotDone" }

/** What somebody wants of a task. Time (`atMs`, the database's) and the new event's id come in with it. */
export type TaskCommand = { readonly atMs: number; readonly eventId: EventId } & (
  | (FollowUps &
      Traced & {
        readonly _tag: "Schedule"
        readonly kind: string
        readonly priority: Priority
        readonly dueAtMs: number
        readonly expiresAtMs?: number | null
        readonly key: string | null
        readonly payload: Json
        readonly follows?: Follows
      })
  | { readonly _tag: "Claim"; readonly sessionId: number }
  | { readonly _tag: "ReleaseClaim"; readonly fence: Fence; readonly reason: ReleaseReason }
  | {
      readonly _tag: "Start"
      readonly fence: Fence
      readonly sessionId: number
      readonly timeoutMs: number
      readonly dispatchedAtMs: number | null
    }
  | ({ readonly fence: Fence; readonly policy: KindPolicy } & Outcome)
  | { readonly _tag: "Expire"; readonly fence: Fence; readonly reason: ExpiryReason; readonly policy: KindPolicy }
  | {
      readonly _tag: "Reconcile"
      /** Of the parking. */
      readonly fence: Fence
      readonly answer: Reconciliation
      readonly policy: KindPolicy
    }
  /** Ends what has not started in time. */
  | { readonly _tag: "ExpireTask" }
  | { readonly _tag: "Cancel"; readonly reason: string | null }
  | { readonly _tag: "Reschedule"; readonly dueAtMs: number }
  | { readonly _tag: "Reprioritise"; readonly priority: Priority }
  | { readonly _tag: "RunNow" }
  /** With a payload: all attempts from then on are given that one. */
  | { readonly _tag: "Redrive"; readonly payload?: Json }
  /** A person has seen the dead letter and wants nothing more of it. */
  | { readonly _tag: "DiscardDead"; readonly reason: string }
)

export type CommandTag = TaskCommand["_tag"]

/** Why a command appends nothing. A rejection is an answer, not an error. */
export type Rejection =
  /** The table has no row for this stage and command. */
  | { readonly _tag: "NotPossible"; readonly stage: string; readonly command: CommandTag }
  /** The fence is not the current one: somebody else moved the task, or it was moved back. */
  | { readonly _tag: "LeaseLost" }
  /** A start before the due time by the database's clock. */
  | { readonly _tag: "TooEarly"; readonly dueAtMs: number }
  /** A start at or after the instant at which the task expires, or a wish that would make it due then. */
  | { readonly _tag: "TooLate"; readonly expiresAtMs: number }
