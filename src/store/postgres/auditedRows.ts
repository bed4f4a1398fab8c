import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { type AuditedProjection, type AuditedStream, tableOf } from "../../core/audit.ts"
import { fold } from "../../core/evolve.ts"
import { priorityOf, rankOf } from "../../core/Priority.ts"
import { eventCodes, type Json } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { stages, type TaskState } from "../../core/TaskState.ts"
import { byDay } from "./byDay.ts"
import { deathOf, type EventRow, fromRow, selectEvents, tagOf } from "./events.ts"
import type { Kinds } from "./Kinds.ts"
import { float8s, int2s, int4s, msOf, uuid, uuids } from "./parameters.ts"

/** Events and projection rows as the auditor reads them: without payloads, with every column of every row. */
export type FoundStream = AuditedStream & {
  /** As the first event names it; a number, since it may be one that no kind has. */
  readonly kindId: number
  readonly state: TaskState | null
}

export type ProjectionRow = {
  readonly task_id: TaskId
  readonly stage: string
  readonly kind_id: number
  readonly priority: number
  readonly due_at_ms: number
  readonly version: number
  readonly attempt: number
  readonly charged: number
  readonly deaths: number | null
  readonly fence_id: string | null
  readonly fence_version: number | null
  readonly session_id: number | null
  readonly deadline_at_ms: number | null
  readonly cancel_requested: boolean | null
  readonly followed: boolean | null
  readonly since_ms: number | null
  readonly data: Json
}

/** Reasons are read, payloads, results and errors are not: those may be 256 KiB each. */
const { AttemptExpired, TaskDeadLettered, TaskParked } = eventCodes
export const selectAudited = selectEvents
  .replace(
    "e.data",
    `CASE WHEN e.type IN (${AttemptExpired}, ${TaskParked}, ${TaskDeadLettered}) THEN e.data END AS data`
  )
  .replace(
    "e.follow_ups",
    `(e.follow_ups - '{onSuccess,onDead}'::text[]) || jsonb_strip_nulls(jsonb_build_object(${["onSuccess", "onDead"]
      .map((end) => `'${end}', (e.follow_ups->'${end}') - '{payload,onSuccess,onDead}'::text[]`)
      .join(", ")})) AS follow_ups`
  )

const common = `task_id, kind_id, priority, ${msOf("due_at")} AS due_at_ms, version, attempt, charged`
const notHeld = `NULL::uuid AS fence_id, NULL::int4 AS fence_version, NULL::int4 AS session_id, NULL::float8 AS deadline_at_ms`

/** The rows of each table in the same columns. */
export const selectRows = {
  due: `SELECT 'pending' AS stage, ${common}, deaths, ${notHeld}, NULL::bool AS cancel_requested, followed, NULL::float8 AS since_ms, NULL::jsonb AS data
    FROM duetime.due`,
  in_progress: `SELECT CASE status WHEN 1 THEN 'claimed' ELSE 'running' END AS stage, ${common}, deaths, fence_id, fence_version, session_id,
      ${msOf("deadline_at")} AS deadline_at_ms, cancel_requested, followed, NULL::float8 AS since_ms, NULL::jsonb AS data
    FROM duetime.in_progress`,
  parked: `SELECT 'parked' AS stage, ${common}, deaths, ${notHeld}, cancel_requested, NULL::bool AS followed, ${msOf("parked_at")} AS since_ms, NULL::jsonb AS data
    FROM duetime.parked`,
  dead_letter: `SELECT 'dead' AS stage, ${common}, NULL::int2 AS deaths, ${notHeld}, NULL::bool AS cancel_requested, NULL::bool AS followed, ${msOf("dead_at")} AS since_ms, data
    FROM duetime.dead_letter`
} as const

export type ProjectionTable = keyof typeof selectRows
export const projectionTables: ReadonlyArray<ProjectionTable> = ["due", "in_progress", "parked", "dead_letter"]

/** `due` has no index by the task alone: its rows are looked up where the events put them. */
const rowsOfSql = `${selectRows.due} JOIN unnest($2::uuid[], $3::int4[], $4::int2[], $5::float8[]) AS e (task_id, kind_id, priority, due_at_ms)
    USING (task_id, kind_id, priority) WHERE due_at = to_timestamp(e.due_at_ms / 1000.0)
  UNION ALL ${selectRows.in_progress} WHERE task_id = ANY($1::uuid[])
  UNION ALL ${selectRows.parked} WHERE task_id = ANY($1::uuid[])
  UNION ALL ${selectRows.dead_letter} WHERE task_id = ANY($1::uuid[])`

export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  /** Whole streams out of rows that are in the order of task and version. */
  const streamsOf = Effect.fnUntraced(function* (rows: ReadonlyArray<EventRow>) {
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    const streams: Array<FoundStream> = []
    for (let from = 0, to = 0; from < rows.length; from = to) {
      const first = rows[from]
      while (to < rows.length && rows[to]?.task_id === first?.task_id) to++
      if (first !== undefined) streams.push(streamOf(first, rows.slice(from, to), kinds))
    }
    return streams
  })

  const streamsById = Effect.fnUntraced(function* (taskIds: Iterable<TaskId>) {
    const rows: Array<EventRow> = []
    for (const day of byDay([...new Set(taskIds)].map((taskId) => ({ taskId })))) {
      const found = yield* sql.unsafe<EventRow>(
        `${selectAudited} WHERE e.task_id = ANY($1::uuid[]) AND e.task_id >= $2::uuid AND e.task_id < $3::uuid ORDER BY e.task_id, e.version`,
        [uuids(day.rows.map((row) => row.taskId)), uuid(day.from), uuid(day.to)]
      )
      for (const row of found) rows.push(row)
    }
    return yield* streamsOf(rows)
  })

  /** The streams with the rows found for them. */
  const withRows = Effect.fnUntraced(function* (streams: ReadonlyArray<FoundStream>) {
    const pending = streams.flatMap(({ kindId, state }) => (state?.stage === "pending" ? [{ kindId, state }] : []))
    const rows = yield* sql.unsafe<ProjectionRow>(rowsOfSql, [
      uuids(streams.map(({ taskId }) => taskId)),
      uuids(pending.map(({ state }) => state.taskId)),
      int4s(pending.map(({ kindId }) => kindId)),
      int2s(pending.map(({ state }) => rankOf(state.priority))),
      float8s(pending.map(({ state }) => state.dueAtMs))
    ])
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    const projections = new Map<TaskId, Array<AuditedProjection>>()
    for (const row of rows) {
      const found = projections.get(row.task_id)
      if (found === undefined) projections.set(row.task_id, [projectionOf(row, kinds)])
      else found.push(projectionOf(row, kinds))
    }
    return streams.map((stream): FoundStream => ({ ...stream, projections: projections.get(stream.taskId) ?? [] }))
  })

  return { streamsOf, streamsById, withRows }
}

const streamOf = (first: EventRow, rows: ReadonlyArray<EventRow>, kinds: Kinds): FoundStream => {
  const known = rows.filter((row) => tagOf(row.type) !== undefined)
  const events = known.map((row) => fromRow(row, kinds.nameOf))
  const stream = { taskId: first.task_id, events, projections: [], kindId: first.kind_id ?? 0, state: fold(events) }
  if (known.length === rows.length) return stream
  return { ...stream, unknown: rows.filter((row) => tagOf(row.type) === undefined) }
}

export const projectionOf = (row: ProjectionRow, kinds: Kinds): AuditedProjection => {
  const stage = stages.find((stage) => stage === row.stage) ?? "pending"
  const fence = row.fence_id === null ? null : { version: row.fence_version ?? 0, eventId: row.fence_id }
  const isHeld = tableOf[stage] === "in_progress"
  return {
    stage,
    kind: kinds.nameOf(row.kind_id),
    priority: priorityOf(row.priority),
    dueAtMs: row.due_at_ms,
    version: row.version,
    attempt: row.attempt,
    charged: row.charged,
    ...(row.deaths === null ? {} : { deaths: row.deaths }),
    ...(isHeld ? { fence, sessionId: row.session_id, deadlineAtMs: row.deadline_at_ms } : {}),
    ...(row.followed === null ? {} : { followed: row.followed }),
    ...(row.cancel_requested === null ? {} : { cancelRequested: row.cancel_requested }),
    ...(row.since_ms === null ? {} : { sinceMs: row.since_ms }),
    ...(stage === "dead" ? { death: deathOf(row.data) } : {})
  }
}
