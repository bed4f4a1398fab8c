import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { priorityOf } from "../../../core/Priority.ts"
import { eventCodes } from "../../../core/TaskEvent.ts"
import { lowerBoundAt, nominalDueAtMsOf } from "../../../core/TaskId.ts"
import { type DriftRow, type DriftSpan, type DriftVitals, driftEventsMax, type Percentiles } from "../../Vitals.ts"
import { int4, msOf, text, uuid } from "../parameters.ts"

type Row = {
  readonly kind: string
  readonly queue: string
  readonly priority: number
  readonly attempts: number
  readonly early: number
  readonly drift: ReadonlyArray<number>
  readonly claim: ReadonlyArray<number>
  readonly dispatch: ReadonlyArray<number> | null
  readonly delivery: ReadonlyArray<number>
}

/**
 * By the ids, which say when a task was born to be due: they are the only order that the history is indexed by. So an attempt counts
 * for when its task was due first, not for when it started, and those of tasks that are late without end are not missed.
 */
export const driftVitals = (sql: SqlClient) =>
  Effect.fnUntraced(function* ({ kind, lastMs }: DriftSpan) {
    const [now] = yield* sql.unsafe<{ readonly ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS ms`)
    const nowMs = now?.ms ?? 0
    const to = lowerBoundAt(nowMs + 1)
    const [cut] = yield* sql.unsafe<{ readonly task_id: string }>(
      `SELECT task_id FROM duetime.event WHERE task_id >= $1::uuid AND task_id < $2::uuid
       ORDER BY task_id DESC, version DESC OFFSET $3::int4 LIMIT 1`,
      [uuid(lowerBoundAt(nowMs - lastMs)), uuid(to), int4(driftEventsMax)]
    )
    // The stream at the cut may be cut itself, and is left out with those of its millisecond.
    const fromMs = cut === undefined ? nowMs - lastMs : nominalDueAtMsOf(cut.task_id) + 1
    const rows = yield* sql.unsafe<Row>(driftSql, [uuid(lowerBoundAt(fromMs)), uuid(to), text(kind ?? null)])
    return { rows: rows.map(driftRowOf), fromMs, isCut: cut !== undefined } satisfies DriftVitals
  })

const driftRowOf = (row: Row): DriftRow => ({
  kind: row.kind,
  queue: row.queue,
  priority: priorityOf(row.priority),
  attemptsCount: row.attempts,
  earlyCount: row.early,
  drift: percentilesOf(row.drift),
  claim: percentilesOf(row.claim),
  dispatch: row.dispatch === null ? null : percentilesOf(row.dispatch),
  delivery: percentilesOf(row.delivery)
})

const percentilesOf = ([p50 = 0, p90 = 0, p99 = 0, max = 0]: ReadonlyArray<number>): Percentiles => ({
  p50,
  p90,
  p99,
  max
})

const { AttemptStarted, TaskClaimed, TaskReprioritised, TaskScheduled } = eventCodes

/** Whole ms of an instant before the year 2527 beside the version, so that the greatest one is that of the latest event. */
const dueBits = 44
const percentiles = (column: string) =>
  `percentile_cont('{0.5, 0.9, 0.99, 1}'::float8[]) WITHIN GROUP (ORDER BY ${column})`

/** In each stream, what the events before a start say of it: as `attemptsOf` does, for all at once. $1 and $2 ids, $3 a kind. */
const driftSql = `WITH e AS (
    SELECT type, ${msOf("at")} AS at_ms, ${msOf("dispatched_at")} AS dispatched_ms,
      max(kind_id) OVER stream AS kind_id,
      max(CASE WHEN type IN (${TaskScheduled}, ${TaskReprioritised}) THEN (version::int8 << 4) | priority END) OVER stream & 15 AS priority,
      max(CASE WHEN type = ${TaskClaimed} THEN ${msOf("at")} END) OVER stream AS claimed_ms,
      max(CASE WHEN due_at IS NOT NULL THEN (version::int8 << ${dueBits}) | greatest(0, ${msOf("due_at")})::int8 END) OVER stream
        & ((1::int8 << ${dueBits}) - 1) AS due_ms
    FROM duetime.event WHERE task_id >= $1::uuid AND task_id < $2::uuid
    WINDOW stream AS (PARTITION BY task_id ORDER BY version)
  ), s AS (
    SELECT kind_id, priority, at_ms - due_ms AS drift, ready_ms - due_ms AS claim, dispatched_ms - ready_ms AS dispatch,
      at_ms - coalesce(dispatched_ms, ready_ms) AS delivery
    FROM e CROSS JOIN LATERAL (SELECT greatest(due_ms, claimed_ms) AS ready_ms) r WHERE type = ${AttemptStarted}
  )
  SELECT k.name AS kind, coalesce(k.policy->>'queue', 'default') AS queue, s.priority::int4 AS priority, count(*)::int4 AS attempts,
    count(*) FILTER (WHERE drift < 0)::int4 AS early,
    ${percentiles("drift")} AS drift, ${percentiles("claim")} AS claim,
    CASE WHEN count(dispatch) > 0 THEN ${percentiles("dispatch")} END AS dispatch, ${percentiles("delivery")} AS delivery
  FROM s JOIN duetime.kind k USING (kind_id)
  WHERE $3::text IS NULL OR k.name = $3::text
  GROUP BY k.kind_id, s.priority ORDER BY k.name, s.priority`
