import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { eventCodes } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { type Ended, endTags, isEndEvent } from "../TaskStore.ts"
import { byDay } from "./byDay.ts"
import { type EventRow, fromRow } from "./events.ts"
import type { Kinds } from "./Kinds.ts"
import { msOf, uuid, uuids } from "./parameters.ts"
import { orUnavailable } from "./sqlErrors.ts"

const endCodes = endTags.map((tag) => eventCodes[tag]).join(", ")

/**
 * The last event of each task, by its primary key: asked again and again while somebody waits, so the payload of one that
 * nobody has claimed yet stays where it is. $1 task ids; $2, $3 bounds of the ids.
 */
export const endsSql = `SELECT l.task_id, l.version, l.event_id, l.type, ${msOf("l.at")} AS at_ms, NULL::float8 AS due_at_ms,
    NULL::float8 AS deadline_at_ms, NULL::float8 AS dispatched_at_ms, NULL::int4 AS kind_id, l.session_id, l.attempt, l.priority, l.key,
    CASE WHEN l.type IN (${endCodes}) THEN l.data END AS data, l.type IN (${endCodes}) AS is_end
  FROM unnest($1::uuid[]) AS w (task_id)
  CROSS JOIN LATERAL (
    SELECT * FROM duetime.event e
    WHERE e.task_id = w.task_id AND e.task_id >= $2::uuid AND e.task_id < $3::uuid
    ORDER BY e.version DESC
    LIMIT 1
  ) l`

/** How tasks have ended; a statement for each day that they were born in. */
export const make =
  ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) =>
  (taskIds: ReadonlyArray<TaskId>) =>
    Effect.gen(function* () {
      const found: Array<Ended> = []
      for (const day of byDay([...new Set(taskIds)].map((taskId) => ({ taskId })))) {
        const parameters = [uuids(day.rows.map((row) => row.taskId)), uuid(day.from), uuid(day.to)]
        for (const row of yield* sql.unsafe<EventRow & { readonly is_end: boolean }>(endsSql, parameters)) {
          const event = row.is_end ? fromRow(row, kinds.nameOf) : null
          found.push({ taskId: row.task_id, end: event !== null && isEndEvent(event) ? event : null })
        }
      }
      return found
    }).pipe(orUnavailable("ends"))
