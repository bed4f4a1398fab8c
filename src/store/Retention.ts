import { Context, type Effect } from "effect"
import type { TaskEvent } from "../core/TaskEvent.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { StoreUnavailable } from "./StoreError.ts"

/**
 * The port of what is done to days of history by hand, for a store that keeps history in days. A day is the UTC day that its
 * tasks were due in when they were scheduled. Engines drop days behind the retention by themselves.
 */
export class Retention extends Context.Service<
  Retention,
  {
    /** The days that are there, oldest first: a retired one waits for its export, or to be dropped. */
    readonly days: Effect.Effect<ReadonlyArray<HistoryDay>, StoreUnavailable>
    /**
     * Takes all days up to and including this one, which must be over, out of the history: what has not ended in them is carried, look-ups find
     * it as before, and what has ended is found no more. Each stays by itself, whole, until `drop`. Nobody who works waits for it. Answers the days that
     * were retired: fewer than there are, if a transaction that has lasted for more than a second holds the history.
     */
    readonly retire: (day: string) => Effect.Effect<ReadonlyArray<string>, StoreUnavailable>
    /** Events of one day behind a place, by task and version, at most `limit`. */
    readonly events: (
      day: string,
      after: EventPlace | null,
      limit: number
    ) => Effect.Effect<ReadonlyArray<TaskEvent>, StoreUnavailable>
    /** Removes a retired day for good. */
    readonly drop: (day: string) => Effect.Effect<void, StoreUnavailable>
    /** The database's clock. */
    readonly nowMs: Effect.Effect<number, StoreUnavailable>
  }
>()("duetime/store/Retention") {}

export type HistoryDay = {
  /** `2026-11-15`. */
  readonly day: string
  readonly isRetired: boolean
  readonly bytes: number
}

export type EventPlace = { readonly taskId: TaskId; readonly version: number }
