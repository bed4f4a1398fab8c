import { Context, type Effect } from "effect"
import type { AuditedRow, AuditedStream } from "../core/audit.ts"
import type { KindPolicy } from "../core/KindPolicy.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { StoreUnavailable } from "./StoreError.ts"

/**
 * The port of the auditor and of the rebuild, for a store whose projections stand beside its events. Everything is read page by
 * page, and each page is one snapshot: its events and its rows are of the same instant, whatever engines and workers do
 * meanwhile. No snapshot lives longer than its page, so that none holds up the vacuum of a busy database. Pages need not agree
 * with each other, for streams do not depend on each other.
 */
export class Projections extends Context.Service<
  Projections,
  {
    /** Streams in the order of their ids, without payloads and results, each with the rows found by its events. */
    readonly streams: (after: TaskId | null) => Effect.Effect<Page<AuditedStream>, StoreUnavailable>
    /**
     * Of those of the tasks that have a history, for what only two streams together show. History of tasks born for an earlier
     * instant than `historyFromMs` may have been retired.
     */
    readonly linked: (
      taskIds: ReadonlyArray<TaskId>
    ) => Effect.Effect<
      { readonly streams: ReadonlyArray<AuditedStream>; readonly historyFromMs: number },
      StoreUnavailable
    >
    /** The rows themselves, table by table, each with the events of the task that it names. */
    readonly rows: (after: string | null) => Effect.Effect<Page<StoredRow>, StoreUnavailable>
    /** Streams that have an event id or a key in common with another one, `twinsMax` at most. */
    readonly twins: Effect.Effect<ReadonlyArray<AuditedStream>, StoreUnavailable>
    /** Live tasks that do not hold their key, and keys held by tasks without events; `keyFaultsMax` of each at most. */
    readonly keyFaults: Effect.Effect<ReadonlyArray<KeyFault>, StoreUnavailable>
    /** Policies as they are announced now, and since when each is what it is. */
    readonly policies: Effect.Effect<ReadonlyMap<string, AnnouncedPolicy>, StoreUnavailable>

    /**
     * Removes rows that are strays still. One short transaction, in which nobody else moves a task; answers how many it removed.
     */
    readonly remove: (rows: ReadonlyArray<StoredRow>) => Effect.Effect<number, StoreUnavailable>
    /**
     * Puts the fold of its events in the place of what is found for each task, `replacedMax` at most. One short transaction, in
     * which nobody else moves a task. Answers for how many; a task whose history cannot be trusted is left as it is.
     */
    readonly replace: (taskIds: ReadonlyArray<TaskId>) => Effect.Effect<number, StoreUnavailable>
    /** Gives keys back to the live tasks they were scheduled with and frees those of tasks without events. Answers how many. */
    readonly replaceKeys: Effect.Effect<number, StoreUnavailable>
  }
>()("duetime/store/Projections") {}

/** Streams with something in common that are held in memory at once. */
export const twinsMax = 1_000
export const keyFaultsMax = 1_000
/** Tasks whose rows are replaced in one transaction: some 50 ms in which no other task moves. */
export const replacedMax = 500

export type Page<A> = {
  readonly items: ReadonlyArray<A>
  /** Where the next page begins; null: this was the last one. */
  readonly next: string | null
}

/** A projection row with its place, which only the store can read. */
export type StoredRow = AuditedRow & { readonly place: string }

export type KeyFault = {
  readonly taskId: TaskId
  readonly kind: string
  readonly key: string
  /** Who has the key instead, or the task itself if it is one without events. */
  readonly holderId: TaskId | null
}

export type AnnouncedPolicy = { readonly policy: KindPolicy; readonly sinceMs: number }
