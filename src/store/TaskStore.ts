import { Context, type Effect, type Queue, type Scope } from "effect"
import type { DeadLetter } from "../core/DeadLetter.ts"
import type { KindCaps, KindPolicy } from "../core/KindPolicy.ts"
import type { Priority } from "../core/Priority.ts"
import type { Outcome, Reconciliation, Rejection } from "../core/TaskCommand.ts"
import type { FollowUps, Follows, Json, ReleaseReason, TaskEvent, Traced } from "../core/TaskEvent.ts"
import type { EventId, TaskId } from "../core/TaskId.ts"
import type { Fence, Stage, TaskState } from "../core/TaskState.ts"
import type {
  BacklogRow,
  DeadGroup,
  DeadGroupsFilter,
  Ended,
  FindFilter,
  FindPage,
  KindRecord,
  Maintained,
  Parked,
  StoredStream
} from "./TaskReads.ts"
import type { DueBeyondHorizon, LeaseLost, StoreUnavailable, TaskNotFound } from "./StoreError.ts"

/**
 * The port to the truth. An append at the expected version is the only linearisation point: whoever loses it gets
 * `Lost` as a value, not an error. Every operation on many tasks is one statement for the whole batch.
 *
 * Commit unknown: every change carries the id of the event it appends and is idempotent by it. After a
 * `StoreUnavailable` the caller repeats the same request; a change that had been made answers as made.
 * A claim whose answer was lost is found again by `claimedBy`.
 *
 * All instants are the database's, in milliseconds since 1970 with fractions.
 */
export class TaskStore extends Context.Service<
  TaskStore,
  {
    /**
     * Database clock minus this process's `Clock.currentTimeNanos`, in ms with fractions; the store keeps it
     * fresh by itself. An estimate: it only sets timers and ids.
     */
    readonly clockOffsetMs: () => number

    /** Joins the caller's transaction if there is one. Answers in the order of the request. */
    readonly schedule: (
      batch: ReadonlyArray<NewTask>
    ) => Effect.Effect<ReadonlyArray<Scheduled>, StoreUnavailable | DueBeyondHorizon>

    /** PENDING to IN_PROGRESS for the most urgent and oldest tasks due within the look-ahead. Due instants to the millisecond. */
    readonly claim: (request: ClaimRequest) => Effect.Effect<Claimed, StoreUnavailable>
    /** Claims of a session not started yet and due before `dueBeforeMs`: after a lost answer, or to dispatch again. */
    readonly claimedBy: (
      sessionId: number,
      dueBeforeMs: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ClaimedTask>, StoreUnavailable>
    /**
     * Claims due since `overdueMs` that nobody has started, of whatever session: for a worker that no dispatch reaches. Only of
     * kinds that are not paused, and none that has expired. Locks nothing and moves nothing; `start` with the fence does.
     */
    readonly pull: (request: PullRequest) => Effect.Effect<ReadonlyArray<ClaimedTask>, StoreUnavailable>
    /** Gives claims back unstarted. */
    readonly release: (
      batch: ReadonlyArray<{
        readonly taskId: TaskId
        readonly fence: Fence
        readonly eventId: EventId
        readonly reason: ReleaseReason
      }>
    ) => Effect.Effect<ReadonlyArray<"Released" | "Lost">, StoreUnavailable>

    /**
     * Claimed to running by compare-and-set on the fence, never before due, only while the session's lease lasts. A claim of a
     * paused kind is `Lost` to it, and stays claimed; so is one of a task that has expired, until `expireTasks`.
     */
    readonly start: (
      sessionId: number,
      batch: ReadonlyArray<StartRequest>
    ) => Effect.Effect<ReadonlyArray<Started | { readonly _tag: "Lost" } | TooEarly>, StoreUnavailable>

    /**
     * Claims and starts in one append what is due now, the most urgent and oldest first: for a worker that a dispatch could only tell
     * what it can find out itself. It may leave out anything, which a claim then finds, and leaves out suspects. The kinds must
     * be without caps. Not idempotent: a start whose answer was lost is found by `startedWith`, and never made again.
     */
    readonly startDue: (request: StartDueRequest) => Effect.Effect<ReadonlyArray<Started>, StoreUnavailable>
    /** Attempts that are running since a start with one of these event ids, made since yesterday. */
    readonly startedWith: (eventIds: ReadonlyArray<EventId>) => Effect.Effect<ReadonlyArray<Started>, StoreUnavailable>

    /** Records outcomes, each at the fence of its start, and schedules what follows them, both or neither. */
    readonly finish: (batch: ReadonlyArray<FinishRequest>) => Effect.Effect<ReadonlyArray<Finished>, StoreUnavailable>
    /** Runs the effect and then the outcome in one transaction: both or neither. */
    readonly finishWith: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      request: (value: A) => FinishRequest
    ) => Effect.Effect<A, E | LeaseLost | StoreUnavailable, R>

    /** What an engine has to know each second, in one cheap statement. */
    readonly look: Effect.Effect<Look, StoreUnavailable>
    /**
     * Ends the claims and attempts of dead sessions and of attempts past their deadline. Whether a process has died, or
     * has left its session in order, is told in the event.
     *
     * What becomes of an attempt is for its kind's policy to say. One of a kind that no worker has announced waits until one has: a
     * worker that runs it did, and a failover has lost that.
     *
     * @param asOfMs only what had ended at this instant of the database's clock, if it is earlier than now: a clock that has been set
     *   since the look that decided to expire makes all leases look ended. Default now.
     */
    readonly expire: (limit: number, asOfMs?: number) => Effect.Effect<ReadonlyArray<Expired>, StoreUnavailable>
    /**
     * Ends tasks that have expired before they started. Answers which, and how many it has looked at: as many as the limit
     * means that there may be more.
     */
    readonly expireTasks: (limit: number) => Effect.Effect<ExpiredTasks, StoreUnavailable>

    /**
     * Parked tasks about which the outside is to be asked now, those waiting longest first; of kinds that are not paused. Taking
     * one puts it off at once, by `askWaitsMs`, and after the last ask for good: so the fleet asks about a task one at a time,
     * and boundedly, whoever dies meanwhile. Nothing is held, and nothing of the task changes.
     */
    readonly takeParked: (request: {
      readonly kinds: ReadonlyArray<string>
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<Parked>, StoreUnavailable>
    /** Records what the outside said of a parked task, at the fence of its parking: one answer at most is accepted. */
    readonly reconcile: (request: ReconcileRequest) => Effect.Effect<Finished, StoreUnavailable>

    /** A person's or client's wish; decided on the current state, retried while others move the task. */
    readonly act: (
      taskId: TaskId,
      eventId: EventId,
      wish: Wish
    ) => Effect.Effect<Acted, StoreUnavailable | TaskNotFound>

    /**
     * Pauses or resumes a kind or a queue. What has started goes on, what is claimed stays claimed. A claim or start that is
     * asked for after the answer takes nothing of it; one already under way counts as before. Idempotent.
     */
    readonly pause: (target: PauseTarget, isPaused: boolean) => Effect.Effect<void, StoreUnavailable>

    /**
     * Dead letters not announced yet, oldest first: locked while `announce` runs and marked when it has succeeded, so each is
     * announced at least once. Answers how many; `announce` is not called for none. It must not use this
     * store, and must end by itself within `announceMsMax`, or the database ends the transaction and the letters are announced again.
     */
    readonly relayDead: <E, R>(
      limit: number,
      announce: (letters: ReadonlyArray<DeadLetter>) => Effect.Effect<void, E, R>
    ) => Effect.Effect<number, E | StoreUnavailable, R>

    /** Works out the groups of dead letters that have none yet, the lowest ids first. Answers of how many. At most `batchSizeMax`. */
    readonly groupDead: (limit: number) => Effect.Effect<number, StoreUnavailable>
    /** The groups of the dead letters that have one, the largest first. */
    readonly deadGroups: (filter: DeadGroupsFilter) => Effect.Effect<ReadonlyArray<DeadGroup>, StoreUnavailable>

    readonly history: (taskId: TaskId) => Effect.Effect<ReadonlyArray<TaskEvent>, StoreUnavailable | TaskNotFound>
    /** How these tasks have ended; null: not yet. Tasks without a history are left out. At most `batchSizeMax`. */
    readonly ends: (taskIds: ReadonlyArray<TaskId>) => Effect.Effect<ReadonlyArray<Ended>, StoreUnavailable>
    readonly find: (filter: FindFilter) => Effect.Effect<FindPage, StoreUnavailable>
    /** Whole streams with their projection rows in id order, for the auditor. */
    readonly streams: (
      after: TaskId | null,
      limit: number
    ) => Effect.Effect<ReadonlyArray<StoredStream>, StoreUnavailable>
    readonly kinds: Effect.Effect<ReadonlyArray<KindRecord>, StoreUnavailable>
    readonly backlog: Effect.Effect<ReadonlyArray<BacklogRow>, StoreUnavailable>

    /** Due instants (ms) of work scheduled by anyone, coalesced; a hint that may be lost. */
    readonly wakeUps: Effect.Effect<Queue.Dequeue<number>, never, Scope.Scope>
    /** Partitions made ahead and old days retired. Safe to call from any number of engines. */
    readonly maintain: Effect.Effect<Maintained, StoreUnavailable>
  }
>()("duetime/store/TaskStore") {}

/** Largest batch of any operation above; a statement over 1,000 rows gains little and holds locks longer (bench/layout). */
export const batchSizeMax = 1_000
/** Bytes of a payload's JSON text. */
export const payloadBytesMaxDefault = 256 * 1024
/** Tries of an `act` against concurrent movers before it gives up as unavailable. */
export const actTriesMax = 10

/** Within it an announcement of dead letters succeeds or fails: its transaction waits for it, with rows locked. */
export const announceMsMax = 5_000

export type NewTask = FollowUps &
  Traced & {
    readonly taskId: TaskId
    readonly eventId: EventId
    readonly kind: string
    readonly priority: Priority
    readonly dueAtMs: number
    /** No attempt starts at or after it, whole ms; without: never too late. */
    readonly expiresAtMs?: number | null
    /** Idempotency key within the kind. */
    readonly key: string | null
    /**
     * Ms after the task's end from which another task may have its key; never while it lives, and a dead letter does. Without:
     * the key is held as long as the task's history.
     */
    readonly keyKeptMs?: number | null
    readonly payload: Json
    /** Only of a task that an end has scheduled. */
    readonly follows?: Follows
  }

export type Scheduled =
  | { readonly _tag: "Created"; readonly taskId: TaskId }
  /** The key was used before with an equal payload. */
  | { readonly _tag: "Existing"; readonly taskId: TaskId }
  /** The key was used before with another payload: nothing was scheduled. */
  | { readonly _tag: "KeyConflict"; readonly taskId: TaskId }

export type Look = {
  /** Whether some lease, deadline or expiry of a task has passed. */
  readonly anyExpired: boolean
  /** The database's time of the look itself: an estimate of it would learn of a step too late. */
  readonly databaseMs: number
  /** As `kinds` tells of them. */
  readonly kinds: ReadonlyArray<KindRecord>
}

export type ClaimRequest = {
  readonly sessionId: number
  /** Only these kinds; the rest waits, visible. */
  readonly kinds: ReadonlyArray<string>
  /** Only these lanes; default all. Lets critical tasks pass a window that lower ones fill. */
  readonly priorities?: ReadonlyArray<Priority> | undefined
  readonly lookAheadMs: number
  readonly limit: number
  /** Held exactly over all claimers. Only with exactly one kind, and then the look-ahead counts as 0. */
  readonly caps?: KindCaps | undefined
}

export type Claimed = {
  readonly tasks: ReadonlyArray<ClaimedTask>
  /** The earliest due time left among these kinds, if it is known to lie within a day: when to claim next. */
  readonly nextDueAtMs: number | null
  /** Null: no cap cut the claim short. Otherwise ask again in so many ms. */
  readonly cappedForMs: number | null
}

export type ClaimedTask = {
  readonly taskId: TaskId
  readonly kind: string
  readonly priority: Priority
  readonly dueAtMs: number
  readonly fence: Fence
  /** Its last attempts have died with their processes (`core/deaths.ts`): a worker runs one such task at a time. */
  readonly isSuspect: boolean
}

export type PullRequest = {
  readonly kinds: ReadonlyArray<string>
  /** Ms since the due time by the database's clock: what is younger may still be on its way. */
  readonly overdueMs: number
  readonly limit: number
  /** So many of the limit are taken from the least urgent end, that no lane starves; the others most urgent first. */
  readonly fromLowest: number
  /** Suspects among them at most, the most urgent first. */
  readonly suspectsMax: number
}

export type PauseTarget =
  | { readonly _tag: "Kind"; readonly kind: string }
  | { readonly _tag: "Queue"; readonly queue: string }

export type StartRequest = {
  readonly taskId: TaskId
  readonly fence: Fence
  readonly eventId: EventId
  readonly timeoutMs: number
  readonly dispatchedAtMs: number | null
  /** Answer also with what is stored of the trace. It costs a look-up or two, so only workers that trace ask for it. */
  readonly isTraced?: boolean
}

export type StartDueRequest = {
  readonly sessionId: number
  readonly kinds: ReadonlyArray<{ readonly kind: string; readonly timeoutMs: number }>
  /** Of the starts: as many are made at most. */
  readonly eventIds: ReadonlyArray<EventId>
  /** As of a `StartRequest`. */
  readonly isTraced?: boolean
}

export type Started = {
  readonly _tag: "Started"
  readonly taskId: TaskId
  readonly kind: string
  readonly priority: Priority
  readonly dueAtMs: number
  readonly startedAtMs: number
  readonly deadlineAtMs: number
  readonly attempt: number
  readonly charged: number
  readonly fence: Fence
  readonly payload: Json
  /** Something is to follow its end: whoever records it looks up what. */
  readonly followed: boolean
  /** Of a task that was scheduled in a trace, at least if it was asked for: the span, and when the task was claimed for this attempt. */
  readonly traced?: { readonly traceparent: string; readonly claimedAtMs: number }
}

/** Not due yet by the database's clock; whole ms until it surely is. */
export type TooEarly = { readonly _tag: "TooEarly"; readonly dueInMs: number }

export type FinishRequest = {
  readonly started: Started
  readonly eventId: EventId
  readonly outcome: Outcome
  readonly policy: KindPolicy
}

export type Finished = { readonly _tag: "Recorded"; readonly stage: Stage } | { readonly _tag: "Lost" }

export type Expired = { readonly taskId: TaskId; readonly from: "claimed" | "running"; readonly stage: Stage }

export type ExpiredTasks = { readonly taskIds: ReadonlyArray<TaskId>; readonly lookedAtCount: number }

export type ReconcileRequest = {
  readonly taskId: TaskId
  readonly fence: Fence
  readonly eventId: EventId
  readonly answer: Reconciliation
  readonly policy: KindPolicy
}

export type Wish =
  | { readonly _tag: "Cancel"; readonly reason: string | null }
  | { readonly _tag: "Reschedule"; readonly dueAtMs: number }
  | { readonly _tag: "Reprioritise"; readonly priority: Priority }
  | { readonly _tag: "RunNow" }
  | { readonly _tag: "Redrive"; readonly payload?: Json }
  | { readonly _tag: "DiscardDead"; readonly reason: string }

/** The state after the wish, whether it appended anything or was already so; or why it is not possible. */
export type Acted =
  | { readonly _tag: "Done"; readonly state: TaskState }
  | { readonly _tag: "Rejected"; readonly state: TaskState; readonly rejection: Rejection }

export * from "./TaskReads.ts"
