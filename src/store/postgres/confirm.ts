import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import { byDay } from "./byDay.ts"
import { uuid, uuids } from "./parameters.ts"
import { confirmSql } from "./statements.ts"

/**
 * Types of those events that are in the history. A request that moved nothing asks this about its own events: if they
 * are there, it is the repeat of a request whose answer was lost, and the answer is the one of the first time.
 */
export const confirm = Effect.fnUntraced(function* (
  sql: SqlClient,
  events: ReadonlyArray<{ readonly taskId: TaskId; readonly eventId: EventId }>
) {
  const found = new Map<EventId, number>()
  for (const day of byDay(events)) {
    const rows = yield* sql.unsafe<{ readonly event_id: EventId; readonly type: number }>(confirmSql, [
      uuids(day.rows.map((row) => row.taskId)),
      uuids(day.rows.map((row) => row.eventId)),
      uuid(day.from),
      uuid(day.to)
    ])
    for (const { event_id, type } of rows) found.set(event_id, type)
  }
  return found
})
