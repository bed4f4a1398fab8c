import type { DueJitter } from "./KindPolicy.ts"
import type { Priority } from "./Priority.ts"
import type { EventId, TaskId } from "./TaskId.ts"

/** Any JSON value: payloads and results as they are stored. */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/** What a handler's failure leaves in the history; texts are truncated by the worker. */
export type AttemptError = { readonly name: string; readonly message: string; readonly stack?: string }

/** `quarantined`: the processes of as many attempts in a row as the policy allows have died. */
export type DeadReason = "exhausted" | "not-retryable" | "discarded" | "quarantined"
export type ReleaseReason = "drained" | "session-lost" | "unserved" | "paused"
/**
 * `session-lost`: the worker's process let its session run out, and nobody has heard of it: it died, or froze.
 * `session-left`: the process stopped in order, and left the attempt where it was.
 */
export type ExpiryReason = "session-lost" | "session-left" | "deadline"
/** A person asked for it, or the outside said that the interrupted attempt has done nothing. */
export type ResumeReason = "run-now" | "not-done"

/**
 * A task that is scheduled by the end of another one, in the same append (`followUps.ts`). All of it was settled when the first one
 * was scheduled, so that nothing has to be looked up at its end.
 */
export type FollowUp = FollowUps & {
  readonly kind: string
  readonly priority: Priority
  /** Due so long after the end; 0: at once. */
  readonly inMs: number
  readonly dueJitter: DueJitter | null
  readonly payload: Json
}
export type FollowUps = { readonly onSuccess?: FollowUp; readonly onDead?: FollowUp }
/** The W3C `traceparent` of the span in which a task was scheduled (`traceparent.ts`); absent: nobody traced it. */
export type Traced = { readonly traceparent?: string }
/** The end that a task follows. */
export type Follows = { readonly taskId: TaskId; readonly version: number }

/**
 * Past-tense facts about one task, all that duetime ever stores of it. Times in a body are durations (`...InMs`)
 * or instants given by a caller; the store stamps `at` by the database's clock and turns durations into instants,
 * so that no node's clock decides anything.
 */
export type EventBody =
  | (FollowUps &
      Traced & {
        readonly _tag: "TaskScheduled"
        readonly kind: string
        readonly priority: Priority
        /** The due time, jitter included. */
        readonly dueAtMs: number
        /** No attempt starts at or after it; null or absent: never too late. */
        readonly expiresAtMs?: number | null
        readonly key: string | null
        /** Here, and where a redrive has replaced it (`payloadOf.ts`). */
        readonly payload: Json
        /** Absent: somebody has scheduled it, and no end. */
        readonly follows?: Follows
      })
  | { readonly _tag: "TaskClaimed"; readonly sessionId: number }
  | { readonly _tag: "ClaimReleased"; readonly reason: ReleaseReason }
  | {
      readonly _tag: "AttemptStarted"
      /** Numbered from 1 and never reused, whether the attempt is charged in the end or not. */
      readonly attempt: number
      readonly sessionId: number
      readonly deadlineAtMs: number
      /** When the engine published the task; null when the worker pulled it itself. */
      readonly dispatchedAtMs: number | null
    }
  | { readonly _tag: "AttemptSucceeded"; readonly attempt: number; readonly result: Json }
  | { readonly _tag: "AttemptFailed"; readonly attempt: number; readonly error: AttemptError; readonly dueAtMs: number }
  | { readonly _tag: "AttemptSnoozed"; readonly attempt: number; readonly dueAtMs: number }
  | {
      readonly _tag: "AttemptReleased"
      readonly attempt: number
      readonly reason: ReleaseReason
      readonly dueAtMs: number
    }
  | {
      readonly _tag: "AttemptExpired"
      readonly attempt: number
      readonly reason: ExpiryReason
      readonly dueAtMs: number
    }
  | { readonly _tag: "TaskParked"; readonly attempt: number; readonly reason: ExpiryReason }
  | { readonly _tag: "TaskResumed"; readonly reason: ResumeReason; readonly dueAtMs: number }
  /** The outside said that the interrupted attempt has done its work: the task has succeeded. */
  | { readonly _tag: "TaskReconciled"; readonly attempt: number; readonly result: Json }
  | {
      readonly _tag: "TaskDeadLettered"
      readonly attempt: number
      readonly reason: DeadReason
      readonly error: AttemptError
    }
  /** With a payload, a person has mended it: attempts from here on are given that one. */
  | { readonly _tag: "TaskRedriven"; readonly dueAtMs: number; readonly payload?: Json }
  | { readonly _tag: "TaskRescheduled"; readonly dueAtMs: number }
  | { readonly _tag: "TaskReprioritised"; readonly priority: Priority }
  | { readonly _tag: "CancelRequested"; readonly reason: string | null }
  /** Also of a dead letter that a person has discarded. */
  | { readonly _tag: "TaskCancelled"; readonly reason: string | null }
  /** Too late to start (again); with the failure after which it would have been tried again, if there was one. */
  | { readonly _tag: "TaskExpired"; readonly error: AttemptError | null }

export type EventTag = EventBody["_tag"]

/** A body with its place in the stream: what the store returns and `evolve` folds. */
export type TaskEvent = EventBody & {
  readonly taskId: TaskId
  /** 1, 2, 3 ... without gap: the optimistic lock. */
  readonly version: number
  readonly eventId: EventId
  /** Stamped by the database's clock, ms since 1970 with fractions of a millisecond. */
  readonly atMs: number
}

/**
 * Codes stored in `event.type`. Append only: a code is never reused or renumbered.
 * 1-9 before an attempt, 10-19 attempts, 20-29 people's wishes, 30-39 ends.
 */
export const eventCodes = {
  TaskScheduled: 1,
  TaskClaimed: 2,
  ClaimReleased: 3,
  AttemptStarted: 10,
  AttemptFailed: 11,
  AttemptSnoozed: 12,
  AttemptReleased: 13,
  AttemptExpired: 14,
  TaskParked: 15,
  TaskResumed: 20,
  TaskRedriven: 21,
  TaskRescheduled: 22,
  TaskReprioritised: 23,
  CancelRequested: 24,
  AttemptSucceeded: 30,
  TaskDeadLettered: 31,
  TaskCancelled: 32,
  TaskReconciled: 33,
  TaskExpired: 34
} as const satisfies Record<EventTag, number>
