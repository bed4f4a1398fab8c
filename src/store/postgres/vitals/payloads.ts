import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Json } from "../../../core/TaskEvent.ts"
import type { TaskId } from "../../../core/TaskId.ts"
import type { PendingPayload } from "../../Vitals.ts"
import { type ProjectionRow, type ProjectionTable, projectionTables, selectRows } from "../auditedRows.ts"
import { byDay } from "../byDay.ts"
import type { Kinds } from "../Kinds.ts"
import { float8, int2, int4, uuid, uuids } from "../parameters.ts"
import { cursorOf, placeOf } from "../rowPlace.ts"

/** Tasks per page: payloads of 256 KiB at most. */
const pageRowsMax = 1_000

/** Dead letters are behind all this: whoever redrives them looks at them first. */
const tables: ReadonlyArray<ProjectionTable> = projectionTables.filter((table) => table !== "dead_letter")

export const pendingPayloads = (sql: SqlClient, kinds: Kinds) =>
  Effect.fnUntraced(function* (after: string | null) {
    const place = placeOf(after)
    const rows =
      place.table === "due"
        ? yield* sql.unsafe<ProjectionRow>(
            `${selectRows.due} WHERE (kind_id, priority, due_at, task_id) > ($2::int4, $3::int2, to_timestamp($4::float8 / 1000.0), $5::uuid)
             ORDER BY kind_id, priority, due_at, task_id LIMIT $1::int4`,
            [int4(pageRowsMax), int4(place.kindId), int2(place.rank), float8(place.dueAtMs), uuid(place.taskId)]
          )
        : yield* sql.unsafe<ProjectionRow>(
            `${selectRows[place.table]} WHERE task_id > $2::uuid ORDER BY task_id LIMIT $1::int4`,
            [int4(pageRowsMax), uuid(place.taskId)]
          )
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    const payloads = yield* payloadsOf(
      sql,
      rows.map((row) => row.task_id)
    )
    const items = rows.flatMap((row): ReadonlyArray<PendingPayload> => {
      const payload = payloads.get(row.task_id)
      return payload === undefined ? [] : [{ taskId: row.task_id, kind: kinds.nameOf(row.kind_id), payload }]
    })
    const last = rows.at(-1)
    const [nextTable = null] = tables.slice(tables.indexOf(place.table) + 1)
    const next = rows.length < pageRowsMax || last === undefined ? nextTable : cursorOf(place.table, last)
    return { items, next }
  })

const payloadsOf = Effect.fnUntraced(function* (sql: SqlClient, taskIds: ReadonlyArray<TaskId>) {
  const payloads = new Map<TaskId, Json>()
  for (const day of byDay(taskIds.map((taskId) => ({ taskId })))) {
    const rows = yield* sql.unsafe<{ readonly task_id: TaskId; readonly data: Json }>(
      `SELECT task_id, data FROM duetime.event
       WHERE task_id = ANY ($1::uuid[]) AND task_id >= $2::uuid AND task_id < $3::uuid AND version = 1`,
      [uuids(day.rows.map((row) => row.taskId)), uuid(day.from), uuid(day.to)]
    )
    for (const { data, task_id } of rows) payloads.set(task_id, data)
  }
  return payloads
})
