import { Context, type Effect, type Queue, type Scope } from "effect"
import type { Priority } from "../core/Priority.ts"
import type { Line } from "../core/recurrence/auditLedger.ts"
import type { Policies } from "../core/recurrence/Policies.ts"
import type { Rule } from "../core/recurrence/Rule.ts"
import type { FollowUps, Json } from "../core/TaskEvent.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { RecurrenceNotFound, StoreUnavailable } from "./StoreError.ts"

/**
 * The port to recurrences and their ledger. A recurrence's row is locked by whoever decides about it, so that engines and edits
 * come one after another, and what was decided, the tasks of it and the watermark are written in one transaction.
 *
 * All instants are the database's, in whole milliseconds since 1970.
 */
export class RecurrenceStore extends Context.Service<
  RecurrenceStore,
  {
    /**
     * Makes it; its first instant is the first one from now on. If the name is taken, answers what has it, unchanged.
     * Joins the caller's transaction if there is one, as `revise` does.
     */
    readonly create: (
      name: string,
      definition: RecurrenceDefinition
    ) => Effect.Effect<{ readonly created: boolean; readonly recurrence: Recurrence }, StoreUnavailable>

    /**
     * Begins its next revision now. Instants up to now are the old one's; of those after it, what was decided ahead and
     * has not started is taken back and decided again, so that none fires under both. Idempotent: what is so already
     * stays as it is.
     *
     * @param repeatOf of a request whose answer was lost: how the recurrence was before. If it has been as this change wants it
     * at any revision since, it stays as it is now: somebody else may have changed it meanwhile, or given its name to another one.
     */
    readonly revise: (
      name: string,
      change: RecurrenceChange,
      repeatOf?: Seen
    ) => Effect.Effect<Revised, StoreUnavailable | RecurrenceNotFound>

    /**
     * Decides what is due to be decided, of at most so many recurrences: ledger, tasks and watermarks in one transaction.
     * Any number of engines may ask at once; each recurrence is decided by one of them.
     */
    readonly settle: (limit: number) => Effect.Effect<Settled, StoreUnavailable>

    readonly find: (name: string) => Effect.Effect<Recurrence, StoreUnavailable | RecurrenceNotFound>
    /** By name, those after `after`. */
    readonly list: (after: string | null, limit: number) => Effect.Effect<ReadonlyArray<Recurrence>, StoreUnavailable>
    /** The revisions that its ledger may speak of, oldest first. */
    readonly revisions: (recurrenceId: number) => Effect.Effect<ReadonlyArray<RecurrenceRevision>, StoreUnavailable>
    /** The ledger from an instant on, by instant: lines whose first instant lies behind `afterMs`. */
    readonly ledger: (
      recurrenceId: number,
      afterMs: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<LedgerLine>, StoreUnavailable>
    /** The ledger's latest lines, latest first. */
    readonly latest: (recurrenceId: number, limit: number) => Effect.Effect<ReadonlyArray<LedgerLine>, StoreUnavailable>
    /** Instants before it are not in the ledger any more. */
    readonly ledgerFromMs: Effect.Effect<number, StoreUnavailable>

    /** When a recurrence that was made or changed is to be decided, coalesced; a hint that may be lost. */
    readonly wakeUps: Effect.Effect<Queue.Dequeue<number>, never, Scope.Scope>
  }
>()("duetime/store/RecurrenceStore") {}

/** Recurrences of one `settle`; and it takes no further one when it has so many tasks. */
export const settleRecurrencesMax = 200
export const settleTasksMax = 1_000
/** Lines or recurrences of one page. */
export const recurrencePageMax = 1_000

export type RecurrenceDefinition = {
  /** Has been compiled once without complaint. */
  readonly rule: Rule
  readonly policies: Policies
  readonly kind: string
  /** Null: the kind's. */
  readonly priority: Priority | null
  readonly payload: Json
  /** Of each of its tasks. */
  readonly followUps?: FollowUps
  /** Of all the above: whether two definitions are the same. */
  readonly digest: string
}

export type Recurrence = RecurrenceDefinition & {
  readonly recurrenceId: number
  readonly name: string
  /** Counts edits, pauses and resumptions, from 1. */
  readonly revision: number
  readonly createdAtMs: number
  /** When this revision began. */
  readonly revisedAtMs: number
  readonly pausedAtMs: number | null
  /** Every instant up to it has a fate. */
  readonly settledUntilMs: number
  /** The first instant without one; null while it is paused, and where the rule has ended. */
  readonly nextAtMs: number | null
  /** The task of the latest instant that fired. */
  readonly lastTaskId: TaskId | null
}

export type RecurrenceChange =
  | {
      readonly _tag: "Edit"
      readonly definition: RecurrenceDefinition
      /** Leave it alone if it was so before and has been changed since: an older program says what it always said. */
      readonly unlessSuperseded: boolean
    }
  | { readonly _tag: "Pause" }
  | { readonly _tag: "Resume" }
  | { readonly _tag: "Delete" }

/** A recurrence at one of its revisions. */
export type Seen = Pick<Recurrence, "recurrenceId" | "revision">

export type Revised = {
  readonly _tag: "Changed" | "Unchanged" | "Superseded"
  /** As it is now; of a deleted one, as it was. */
  readonly recurrence: Recurrence
}

export type Settled = {
  readonly recurrencesCount: number
  readonly tasksCount: number
  /** Ms until there is something to decide again, as far as is known; null: nothing is. */
  readonly nextInMs: number | null
}

export type RecurrenceRevision = {
  readonly revision: number
  /** Its instants lie behind it. */
  readonly fromMs: number
  readonly isPaused: boolean
  readonly rule: Rule
  readonly policies: Policies
}

export type LedgerLine = Line & { readonly taskId: TaskId | null; readonly decidedAtMs: number }

/** After a look that found everything due locked by others. */
export const settleLockedPauseMs = 50
