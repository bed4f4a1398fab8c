import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { defaultQueue } from "../../core/KindPolicy.ts"
import { priorities } from "../../core/Priority.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import type { PauseTarget } from "../TaskStore.ts"
import type { Kinds } from "./Kinds.ts"
import { int2s, int4, msOf, text } from "./parameters.ts"
import { orUnavailable } from "./sqlErrors.ts"

/** The queue of a row of `kind`; the words of the index `kind_queue`. */
const queueOf = `coalesce(policy->>'queue', '${defaultQueue}')`

/**
 * Ids of the kinds that are paused by themselves or by their queue, as an array that is read once per statement, in its
 * snapshot: a claim or start that begins after a pause was committed sees it. With nothing paused it reads two empty
 * relations; the offset keeps the planner from walking all kinds to look up the queue of each.
 */
export const pausedKinds = `ARRAY(
      SELECT k.kind_id FROM duetime.kind k WHERE k.paused_at IS NOT NULL
      UNION ALL
      SELECT k.kind_id FROM duetime.paused_queue q
      CROSS JOIN LATERAL (SELECT kind_id FROM duetime.kind WHERE ${queueOf} = q.queue OFFSET 0) k
    )`

/**
 * Not written as `<> ALL`: of a table with few kinds the planner takes that for "no row" and begins with a scan of it. The
 * comparison of an integer with no statistics is taken for "nearly all".
 */
export const isNotPaused = (kindId: string): string => `(${kindId} = ANY (${pausedKinds}))::int4 <> 1`

/** Work is announced for the next minute only; polling finds the rest in good time. $1 kind id, $2 queue, $3 priorities. */
const resumedDueSql = `SELECT ${msOf("min(d.due_at)")} AS due_at_ms
  FROM duetime.kind k CROSS JOIN unnest($3::int2[]) AS lane (priority)
  CROSS JOIN LATERAL (
    SELECT w.due_at FROM duetime.due w
    WHERE w.kind_id = k.kind_id AND w.priority = lane.priority AND w.due_at <= (SELECT clock_timestamp()) + interval '1 minute'
    ORDER BY w.due_at
    LIMIT 1
  ) d
  WHERE (k.kind_id = $1::int4 OR ${queueOf} = $2::text) AND ${isNotPaused("k.kind_id")}`

/**
 * A flag on the kind or a row for the queue. A start that was under way when the flag was committed may still commit: its
 * snapshot is older, so it counts as before the pause. Waiting for those would cost every start a shared lock.
 */
export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  /** Told the earliest due time of what may be claimed again. */
  readonly scheduled: (dueAtMs: number) => void
}) => {
  const { kinds, scheduled, sql } = options

  const setKind = Effect.fnUntraced(function* (kind: string, isPaused: boolean) {
    const kindId = (yield* kinds.idsOf([kind])).get(kind) ?? 0
    yield* sql.unsafe(
      isPaused
        ? `UPDATE duetime.kind SET paused_at = clock_timestamp() WHERE kind_id = $1::int4 AND paused_at IS NULL`
        : `UPDATE duetime.kind SET paused_at = NULL WHERE kind_id = $1::int4 AND paused_at IS NOT NULL`,
      [int4(kindId)]
    )
    return kindId
  })

  const setQueue = (queue: string, isPaused: boolean) =>
    sql.unsafe(
      isPaused
        ? `INSERT INTO duetime.paused_queue (queue) VALUES ($1::text) ON CONFLICT (queue) DO NOTHING`
        : `DELETE FROM duetime.paused_queue WHERE queue = $1::text`,
      [text(queue)]
    )

  const run = Effect.fnUntraced(function* (target: PauseTarget, isPaused: boolean) {
    const kindId = target._tag === "Kind" ? yield* setKind(target.kind, isPaused) : null
    if (target._tag === "Queue") yield* setQueue(target.queue, isPaused)
    if (isPaused) return
    // What has become due meanwhile lies behind the marks of all claimers.
    const [earliest] = yield* sql.unsafe<{ readonly due_at_ms: number | null }>(resumedDueSql, [
      int4(kindId),
      text(target._tag === "Queue" ? target.queue : null),
      int2s(priorities.map((_, rank) => rank))
    ])
    if (typeof earliest?.due_at_ms === "number") scheduled(earliest.due_at_ms)
  })

  return (target: PauseTarget, isPaused: boolean): Effect.Effect<void, StoreUnavailable> =>
    orUnavailable("pause")(run(target, isPaused))
}
