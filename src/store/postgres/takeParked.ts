import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { askWaitsMs } from "../../core/asks.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { parkingOf } from "../parkingOf.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import type { Parked } from "../TaskStore.ts"
import type { Kinds } from "./Kinds.ts"
import { float8s, int4, int4s } from "./parameters.ts"
import { isNotPaused } from "./pause.ts"
import type { Reads } from "./read.ts"
import { orUnavailable } from "./sqlErrors.ts"

/**
 * The index `parked_asked`, per kind those waiting longest; what another worker is taking is passed over. The next ask is set
 * in the same statement, so who takes a task and dies has only spent one ask. Behind the end of the waits there is no value,
 * and the row waits for a person. $1 kind ids, $2 limit, $3 waits in ms.
 */
export const takeParkedSql = `WITH now AS MATERIALIZED (SELECT clock_timestamp() AS at), taken AS MATERIALIZED (
    SELECT w.task_id FROM unnest($1::int4[]) AS k (kind_id)
    CROSS JOIN LATERAL (
      SELECT p.task_id, p.ask_at FROM duetime.parked p
      WHERE p.kind_id = k.kind_id AND p.ask_at <= (SELECT at FROM now)
      ORDER BY p.ask_at, p.task_id
      LIMIT $2::int4
      FOR UPDATE SKIP LOCKED
    ) w
    WHERE ${isNotPaused("k.kind_id")}
    ORDER BY w.ask_at, w.task_id
    LIMIT $2::int4
  )
  UPDATE duetime.parked p
  SET asked = p.asked + 1, ask_at = (SELECT at FROM now) + ($3::float8[])[p.asked + 1] * interval '1 millisecond'
  FROM taken t WHERE p.task_id = t.task_id
  RETURNING p.task_id, p.asked, p.ask_at IS NULL AS is_last`

type TakenRow = { readonly task_id: TaskId; readonly asked: number; readonly is_last: boolean }

export const make = (options: { readonly sql: SqlClient; readonly kinds: Kinds; readonly reads: Reads }) => {
  const { kinds, reads, sql } = options
  const run = Effect.fnUntraced(function* (names: ReadonlyArray<string>, limit: number) {
    const ids = yield* kinds.knownIdsOf(names)
    if (ids.length === 0 || limit <= 0) return []
    const rows = yield* sql.unsafe<TakenRow>(takeParkedSql, [int4s(ids), int4(limit), float8s(askWaitsMs)])
    if (rows.length === 0) return []
    const streams = yield* reads.eventsOf(rows.map((row) => row.task_id))
    return rows.flatMap(({ asked, is_last, task_id }): ReadonlyArray<Parked> => {
      const parking = parkingOf(streams.get(task_id) ?? [])
      return parking === null ? [] : [{ ...parking, askedCount: asked, isLastAsk: is_last }]
    })
  })
  return (request: {
    readonly kinds: ReadonlyArray<string>
    readonly limit: number
  }): Effect.Effect<ReadonlyArray<Parked>, StoreUnavailable> =>
    orUnavailable("takeParked")(run(request.kinds, request.limit))
}
