import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { auditRow, auditStream, tableOf } from "../../core/audit.ts"
import { rankOf } from "../../core/Priority.ts"
import { eventCodes } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { StoredRow } from "../Projections.ts"
import type { FoundStream, make as makeRows } from "./auditedRows.ts"
import { float8s, int2s, int4s, text, uuids } from "./parameters.ts"
import { placeOf } from "./rowPlace.ts"
import { orUnavailable } from "./sqlErrors.ts"

/** Everything that moves tasks waits behind a wait for these locks: rather give up soon, and try again. */
const lockTimeoutMs = 500

/**
 * Brings the rows of damaged tasks to what their events fold to. Each call is one transaction that first closes the projection
 * tables to writers: whoever moves a task writes one of them in the transaction that appends its event, so inside nothing
 * moves, and what is folded is the truth until the commit. What has become right since it was found is left alone.
 */
export const make = ({ audited, sql }: { readonly sql: SqlClient; readonly audited: ReturnType<typeof makeRows> }) => {
  const alone = <A, E, R>(change: Effect.Effect<A, E, R>) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql.unsafe(`SET LOCAL lock_timeout = ${lockTimeoutMs}`)
        yield* sql.unsafe(
          "LOCK TABLE duetime.due, duetime.in_progress, duetime.parked, duetime.dead_letter IN SHARE ROW EXCLUSIVE MODE"
        )
        return yield* change
      })
    )

  const removeDue = (places: ReadonlyArray<{ taskId: TaskId; kindId: number; rank: number; dueAtMs: number }>) =>
    sql.unsafe(removeDueSql, [
      uuids(places.map(({ taskId }) => taskId)),
      int4s(places.map(({ kindId }) => kindId)),
      int2s(places.map(({ rank }) => rank)),
      float8s(places.map(({ dueAtMs }) => dueAtMs))
    ])

  const removeById = (table: string, taskIds: ReadonlyArray<TaskId>) =>
    sql.unsafe(`DELETE FROM duetime.${table} WHERE task_id = ANY($1::uuid[]) RETURNING task_id`, [uuids(taskIds)])

  const remove = Effect.fnUntraced(function* (rows: ReadonlyArray<StoredRow>) {
    const streams = yield* audited.streamsById(rows.map(({ taskId }) => taskId))
    const found = new Map(streams.map((stream) => [stream.taskId, stream]))
    const places = rows.flatMap((row) => {
      const stream = found.get(row.taskId)
      const isStray = auditRow({ ...row, events: stream?.events ?? [] }).length > 0
      return isStray && (stream === undefined || isTrusted(stream)) ? [placeOf(row.place)] : []
    })
    let removedCount = (yield* removeDue(places.filter(({ table }) => table === "due"))).length
    for (const table of tablesById) {
      const taskIds = places.filter((place) => place.table === table).map(({ taskId }) => taskId)
      removedCount += (yield* removeById(table, taskIds)).length
    }
    return removedCount
  })

  const replace = Effect.fnUntraced(function* (taskIds: ReadonlyArray<TaskId>) {
    const streams = yield* audited.withRows(yield* audited.streamsById(taskIds))
    const damaged = streams.filter((stream) => isTrusted(stream) && auditStream(stream).some(isOfProjection))
    const rows = damaged.flatMap(rowOf)
    const idsOf = (isAt: (stream: FoundStream) => boolean) => damaged.filter(isAt).map(({ taskId }) => taskId)
    yield* removeDue(
      rows.map((row) => ({ taskId: row.task_id, kindId: row.kind_id, rank: row.priority, dueAtMs: row.due_at_ms }))
    )
    yield* removeById(
      "in_progress",
      idsOf(() => true)
    )
    yield* removeById(
      "parked",
      idsOf(() => true)
    )
    yield* removeById(
      "dead_letter",
      idsOf(({ state }) => state?.stage !== "dead")
    )
    const arrived = [text(JSON.stringify(rows))]
    for (const statement of insertStatements) yield* sql.unsafe(statement, arrived)
    return damaged.length
  })

  return {
    remove: (rows: ReadonlyArray<StoredRow>) => orUnavailable("remove")(alone(remove(rows))),
    replace: (taskIds: ReadonlyArray<TaskId>) => orUnavailable("replace")(alone(replace(taskIds)))
  }
}

const tablesById = ["in_progress", "parked", "dead_letter"] as const

const isOfProjection = ({ invariant }: { readonly invariant: string }): boolean => invariant === "S10"

/** The fold of a history with gaps, strange types or illegal steps says nothing; a person must look at it first. */
const isTrusted = (stream: FoundStream): boolean =>
  !auditStream(stream).some(({ invariant }) => ["S1", "S2", "S3"].includes(invariant))

/** The row that a task should have, if any; instants that are the last event's are taken from it by the statement. */
const rowOf = ({ kindId, state }: FoundStream) => {
  const table = state === null ? null : tableOf[state.stage]
  if (state === null || table === null) return []
  return [
    {
      in_table: table,
      task_id: state.taskId,
      kind_id: kindId,
      priority: rankOf(state.priority),
      due_at_ms: state.dueAtMs,
      version: state.version,
      attempt: state.attempt,
      charged: state.charged,
      deaths: state.deaths,
      fence_id: state.fence?.eventId ?? null,
      fence_version: state.fence?.version ?? null,
      session_id: state.sessionId,
      deadline_at_ms: state.deadlineAtMs,
      expires_at_ms: state.expiresAtMs,
      status: state.stage === "claimed" ? 1 : 2,
      cancel_requested: state.cancelRequested,
      followed: state.followed
    }
  ]
}

const removeDueSql = `DELETE FROM duetime.due d
  USING unnest($1::uuid[], $2::int4[], $3::int2[], $4::float8[]) AS p (task_id, kind_id, priority, due_at_ms)
  WHERE d.kind_id = p.kind_id AND d.priority = p.priority AND d.due_at = to_timestamp(p.due_at_ms / 1000.0) AND d.task_id = p.task_id
  RETURNING d.task_id`

const arrivedAt = (table: string): string => `jsonb_to_recordset($1::text::jsonb) AS r (
    in_table text, task_id uuid, kind_id int4, priority int2, due_at_ms float8, version int4, attempt int4, charged int4, deaths int2, fence_id uuid,
    fence_version int4, session_id int4, deadline_at_ms float8, status int2, cancel_requested bool,
    expires_at_ms float8, followed bool
  ) JOIN duetime.event e ON e.task_id = r.task_id AND e.version = r.version WHERE r.in_table = '${table}'`

const dueAt = "to_timestamp(r.due_at_ms / 1000.0)"

/** Of what may still start or be tried again by itself; the history guards the rest. */
const insertExpiring = (
  table: "due" | "in_progress"
): string => `INSERT INTO duetime.expiring (task_id, expires_at, look_at)
   SELECT r.task_id, to_timestamp(r.expires_at_ms / 1000.0), to_timestamp(r.expires_at_ms / 1000.0)
   FROM ${arrivedAt(table)} AND r.expires_at_ms IS NOT NULL
   ON CONFLICT (task_id) DO NOTHING`

/** The last redrive that came with a payload. */
const insertEdited = `INSERT INTO duetime.edited (task_id, version)
   SELECT e.task_id, max(e.version) FROM jsonb_to_recordset($1::text::jsonb) AS r (task_id uuid)
   JOIN duetime.event e ON e.task_id = r.task_id AND e.type = ${eventCodes.TaskRedriven} AND e.data IS NOT NULL
   GROUP BY e.task_id
   ON CONFLICT (task_id) DO UPDATE SET version = excluded.version`

const insertStatements = [
  insertEdited,
  insertExpiring("due"),
  insertExpiring("in_progress"),
  `INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged, deaths, followed)
   SELECT r.kind_id, r.priority, ${dueAt}, r.task_id, r.version, r.attempt, r.charged, r.deaths, r.followed FROM ${arrivedAt("due")}`,
  `INSERT INTO duetime.in_progress (due_at, deadline_at, task_id, fence_id, kind_id, session_id, version, fence_version, attempt,
     charged, deaths, priority, status, cancel_requested, followed)
   SELECT ${dueAt}, to_timestamp(r.deadline_at_ms / 1000.0), r.task_id, r.fence_id, r.kind_id, r.session_id, r.version,
     r.fence_version, r.attempt, r.charged, r.deaths, r.priority, r.status, r.cancel_requested, r.followed FROM ${arrivedAt("in_progress")}`,
  `INSERT INTO duetime.parked (due_at, parked_at, task_id, kind_id, version, attempt, charged, deaths, priority, cancel_requested)
   SELECT ${dueAt}, e.at, r.task_id, r.kind_id, r.version, r.attempt, r.charged, r.deaths, r.priority, r.cancel_requested
   FROM ${arrivedAt("parked")}`,
  // What the world was told is no event: it is kept for a letter whose row is of this very death.
  `INSERT INTO duetime.dead_letter AS l (due_at, dead_at, task_id, kind_id, version, attempt, charged, priority, data)
   SELECT ${dueAt}, e.at, r.task_id, r.kind_id, r.version, r.attempt, r.charged, r.priority, e.data
   FROM ${arrivedAt("dead_letter")}
   ON CONFLICT (task_id) DO UPDATE SET due_at = excluded.due_at, dead_at = excluded.dead_at, kind_id = excluded.kind_id,
     version = excluded.version, attempt = excluded.attempt, charged = excluded.charged, priority = excluded.priority,
     data = excluded.data, fingerprint = NULL, announced_at = CASE WHEN l.version = excluded.version THEN l.announced_at END`
]
