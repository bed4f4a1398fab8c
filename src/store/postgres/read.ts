import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { fold } from "../../core/evolve.ts"
import { priorities, priorityOf } from "../../core/Priority.ts"
import { eventCodes, type TaskEvent } from "../../core/TaskEvent.ts"
import { lowerBoundAt, nominalDueAtMsOf, type TaskId } from "../../core/TaskId.ts"
import { type Stage, stages, type TaskState } from "../../core/TaskState.ts"
import { TaskNotFound } from "../StoreError.ts"
import type { BacklogRow, FindFilter, FindPage, Projection, StoredStream } from "../TaskStore.ts"
import { byDay, dayMs, dayOf } from "./byDay.ts"
import { type EventRow, fromRow, selectEvents } from "./events.ts"
import { type KindRecordRow, kindRecordsOf, kindRecordsSql } from "./kindRecords.ts"
import type { Kinds } from "./Kinds.ts"
import { instants, int2s, int4, int4s, msOf, uuid, uuids } from "./parameters.ts"
import { orUnavailable } from "./sqlErrors.ts"

export type Reads = ReturnType<typeof make>

/** Events that a page of ended tasks looks through: half a second of reading, if none of them is in memory. */
const lookedThroughMax = 200_000
/** Rows counted per lane before a backlog is called "this many or more". */
const backlogCountMax = 10_000

/** What people, the auditor and `act` read. Nothing here is on the hot path; everything pages by key, never by offset. */
export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  const eventsOf = Effect.fnUntraced(function* (taskIds: ReadonlyArray<TaskId>) {
    const streams = new Map<TaskId, Array<TaskEvent>>()
    for (const day of byDay(taskIds.map((taskId) => ({ taskId })))) {
      const rows = yield* sql.unsafe<EventRow>(
        `${selectEvents} WHERE e.task_id = ANY($1::uuid[]) AND e.task_id >= $2::uuid AND e.task_id < $3::uuid ORDER BY e.task_id, e.version`,
        [uuids(day.rows.map((row) => row.taskId)), uuid(day.from), uuid(day.to)]
      )
      yield* kinds.ensureNames(rows.map((row) => row.kind_id))
      for (const row of rows) {
        const stream = streams.get(row.task_id)
        const event = fromRow(row, kinds.nameOf)
        if (stream === undefined) streams.set(row.task_id, [event])
        else stream.push(event)
      }
    }
    return streams
  })

  const history = Effect.fnUntraced(function* (taskId: TaskId) {
    const events = (yield* orUnavailable("history")(eventsOf([taskId]))).get(taskId)
    return events ?? (yield* new TaskNotFound({ taskId }))
  })

  const find = (filter: FindFilter) =>
    orUnavailable("find")(
      Effect.gen(function* () {
        const { lookedThroughTo, rows: ids } = yield* pageOf(filter)
        const streams = yield* eventsOf(ids.map((row) => row.task_id))
        const tasks = ids.flatMap((row) => stateOf(streams.get(row.task_id)))
        const last = ids.at(-1)
        const next = ids.length < filter.limit || last === undefined ? lookedThroughTo : (last.cursor ?? last.task_id)
        return { tasks, next } satisfies FindPage
      })
    )

  type IdRow = { readonly task_id: TaskId; readonly cursor?: string }

  const pageOf = Effect.fnUntraced(function* (filter: FindFilter) {
    switch (filter.stage) {
      case "succeeded":
      case "cancelled":
      case "expired":
        return yield* pageOfEnded(filter, endCodes[filter.stage])
      default:
        return { rows: yield* pageOfRows(filter, filter.stage), lookedThroughTo: null }
    }
  })

  const pageOfRows = Effect.fnUntraced(function* (filter: FindFilter, stage: Exclude<Stage, keyof typeof endCodes>) {
    const kindIds = filter.kind === undefined ? null : yield* kinds.knownIdsOf([filter.kind])
    switch (stage) {
      case "pending":
        return yield* pageOfDue(filter, kindIds)
      case "claimed":
      case "running":
        return yield* sql<IdRow>`SELECT task_id FROM duetime.in_progress
          WHERE status = ${stage === "claimed" ? 1 : 2}::int2 AND task_id > ${after(filter)}::uuid ${ofKind(kindIds)}
          ORDER BY task_id LIMIT ${filter.limit}`
      case "parked":
        return yield* sql<IdRow>`SELECT task_id FROM duetime.parked WHERE task_id > ${after(filter)}::uuid ${ofKind(kindIds)}
          ORDER BY task_id LIMIT ${filter.limit}`
      case "dead":
        return yield* sql<IdRow>`SELECT task_id FROM duetime.dead_letter
          WHERE task_id > ${after(filter)}::uuid ${ofKind(kindIds)} ${filter.group === undefined ? sql.literal("") : sql`AND fingerprint = ${filter.group}`}
          ORDER BY task_id LIMIT ${filter.limit}`
    }
  })

  /**
   * No row is kept for what has ended well: the history answers, in the order of its primary key. It is looked through piece by piece,
   * since those that ended otherwise may be few among very many: a page may come without a task, and with a cursor to go on from.
   */
  const pageOfEnded = Effect.fnUntraced(function* (filter: FindFilter, codes: ReadonlyArray<number>) {
    const kindIds = filter.kind === undefined ? null : yield* kinds.knownIdsOf([filter.kind])
    const [edge] = yield* sql<IdRow>`SELECT task_id FROM duetime.event WHERE task_id > ${after(filter)}::uuid
      ORDER BY task_id OFFSET ${lookedThroughMax} LIMIT 1`
    const rows = yield* sql<IdRow>`SELECT e.task_id FROM duetime.event e
      WHERE e.type = ANY(${int2s(codes)})
        AND e.task_id > ${after(filter)}::uuid
        ${edge === undefined ? sql.literal("") : sql`AND e.task_id <= ${edge.task_id}::uuid`}
        ${kindIds === null ? sql.literal("") : sql`AND EXISTS (SELECT 1 FROM duetime.event s WHERE s.task_id = e.task_id AND s.version = 1 AND s.kind_id = ANY(${int4s(kindIds)}))`}
      ORDER BY e.task_id LIMIT ${filter.limit}`
    return { rows, lookedThroughTo: edge?.task_id ?? null }
  })

  /** Pending tasks by due time: the oldest of every lane behind the cursor, merged. */
  const pageOfDue = Effect.fnUntraced(function* (filter: FindFilter, kindIds: ReadonlyArray<number> | null) {
    const ids =
      kindIds ?? (yield* sql<{ readonly kind_id: number }>`SELECT kind_id FROM duetime.kind`).map((row) => row.kind_id)
    const [afterDueMs, afterId] = dueCursor(filter.after)
    return yield* sql.unsafe<IdRow>(
      `SELECT d.task_id, (${msOf("d.due_at")})::text || '/' || d.task_id AS cursor
       FROM unnest($1::int4[], $2::int2[]) AS lane (kind_id, priority)
       CROSS JOIN LATERAL (
         SELECT w.due_at, w.task_id FROM duetime.due w
         WHERE w.kind_id = lane.kind_id AND w.priority = lane.priority AND (w.due_at, w.task_id) > ($3::timestamptz, $4::uuid)
         ORDER BY w.due_at, w.task_id LIMIT $5::int4
       ) d
       ORDER BY d.due_at, d.task_id LIMIT $5::int4`,
      [
        int4s(ids.flatMap((id) => priorities.map(() => id))),
        int2s(ids.flatMap(() => priorities.map((_, rank) => rank))),
        new Date(afterDueMs),
        uuid(afterId),
        int4(filter.limit)
      ]
    )
  })

  const ofKind = (kindIds: ReadonlyArray<number> | null) =>
    kindIds === null ? sql.literal("") : sql`AND kind_id = ANY(${int4s(kindIds)})`

  const streams = Effect.fnUntraced(function* (afterId: TaskId | null, limit: number) {
    const rows = yield* sql<{ readonly task_id: TaskId }>`SELECT task_id FROM duetime.event
        WHERE version = 1 AND task_id > ${afterId ?? lowestId}::uuid ORDER BY task_id LIMIT ${limit}`
    const ids = rows.map((row) => row.task_id)
    const events = yield* eventsOf(ids)
    const projections = yield* projectionsOf(ids, events)
    return ids.map((taskId): StoredStream => ({
      taskId,
      events: events.get(taskId) ?? [],
      projections: projections.get(taskId) ?? []
    }))
  }, orUnavailable("streams"))

  /** Rows of `due` are looked up where the fold says they are (there is no index by id alone); `strays` finds the rest. */
  const projectionsOf = Effect.fnUntraced(function* (
    ids: ReadonlyArray<TaskId>,
    events: ReadonlyMap<TaskId, ReadonlyArray<TaskEvent>>
  ) {
    const states = ids.flatMap((id) => stateOf(events.get(id)))
    const kindIds = yield* kinds.idsOf(states.map((task) => task.kind))
    const rows = yield* sql.unsafe<{
      readonly task_id: TaskId
      readonly stage: string
      readonly kind_id: number
      readonly priority: number
      readonly due_at_ms: number
      readonly version: number
      readonly attempt: number
      readonly charged: number
    }>(
      `SELECT w.task_id, 'pending' AS stage, w.kind_id, w.priority, ${msOf("w.due_at")} AS due_at_ms, w.version, w.attempt, w.charged
       FROM unnest($1::uuid[], $2::int4[], $3::int2[], $4::timestamptz[]) AS e (task_id, kind_id, priority, due_at)
       JOIN duetime.due w USING (kind_id, priority, due_at, task_id)
       UNION ALL SELECT task_id, CASE status WHEN 1 THEN 'claimed' ELSE 'running' END, kind_id, priority, ${msOf("due_at")}, version, attempt, charged
       FROM duetime.in_progress WHERE task_id = ANY($1::uuid[])
       UNION ALL SELECT task_id, 'parked', kind_id, priority, ${msOf("due_at")}, version, attempt, charged
       FROM duetime.parked WHERE task_id = ANY($1::uuid[])
       UNION ALL SELECT task_id, 'dead', kind_id, priority, ${msOf("due_at")}, version, attempt, charged
       FROM duetime.dead_letter WHERE task_id = ANY($1::uuid[])`,
      [
        uuids(states.map((task) => task.taskId)),
        int4s(states.map((task) => kindIds.get(task.kind))),
        int2s(states.map((task) => priorities.indexOf(task.priority))),
        instants(states.map((task) => task.dueAtMs))
      ]
    )
    const projections = new Map<TaskId, Array<Projection>>()
    for (const row of rows) {
      const projection: Projection = {
        stage: stages.find((stage) => stage === row.stage) ?? "pending",
        kind: kinds.nameOf(row.kind_id),
        priority: priorityOf(row.priority),
        dueAtMs: row.due_at_ms,
        version: row.version,
        attempt: row.attempt,
        charged: row.charged
      }
      projections.set(row.task_id, [...(projections.get(row.task_id) ?? []), projection])
    }
    return projections
  })

  const kindRecords = orUnavailable("kinds")(Effect.map(sql.unsafe<KindRecordRow>(kindRecordsSql), kindRecordsOf))

  const backlog = orUnavailable("backlog")(
    Effect.map(
      sql.unsafe<{
        readonly name: string
        readonly due: number
        readonly oldest_ms: number | null
        readonly in_progress: number
        readonly parked: number
        readonly dead: number
      }>(
        `SELECT k.name, coalesce(d.due, 0)::int4 AS due, d.oldest_ms, coalesce(p.n, 0)::int4 AS in_progress,
           coalesce(s.n, 0)::int4 AS parked, coalesce(l.n, 0)::int4 AS dead
         FROM duetime.kind k
         LEFT JOIN LATERAL (
           SELECT count(*) AS due, ${msOf("min(w.due_at)")} AS oldest_ms
           FROM generate_series(0, ${priorities.length - 1}) AS rank
           CROSS JOIN LATERAL (
             SELECT due_at FROM duetime.due q
             WHERE q.kind_id = k.kind_id AND q.priority = rank AND q.due_at <= (SELECT clock_timestamp())
             ORDER BY due_at LIMIT ${backlogCountMax}
           ) w
         ) d ON true
         LEFT JOIN (SELECT kind_id, count(*) AS n FROM duetime.in_progress GROUP BY kind_id) p USING (kind_id)
         LEFT JOIN (SELECT kind_id, count(*) AS n FROM duetime.parked GROUP BY kind_id) s USING (kind_id)
         LEFT JOIN (SELECT kind_id, count(*) AS n FROM duetime.dead_letter GROUP BY kind_id) l USING (kind_id)
         ORDER BY k.name`
      ),
      (rows) =>
        rows.map((row): BacklogRow => ({
          kind: row.name,
          dueCount: row.due,
          oldestDueAtMs: row.oldest_ms,
          inProgressCount: row.in_progress,
          parkedCount: row.parked,
          deadCount: row.dead
        }))
    )
  )

  return { eventsOf, history, find, streams, kinds: kindRecords, backlog }
}

const stateOf = (events: ReadonlyArray<TaskEvent> | undefined): ReadonlyArray<TaskState> => {
  const state = fold(events ?? [])
  return state === null ? [] : [state]
}

/** Of the events that end a task so. */
const endCodes = {
  succeeded: [eventCodes.AttemptSucceeded, eventCodes.TaskReconciled],
  cancelled: [eventCodes.TaskCancelled],
  expired: [eventCodes.TaskExpired]
}

const lowestId = lowerBoundAt(0)

const after = (filter: FindFilter): TaskId => filter.after ?? lowestId

/** Cursor of a page by due time: `<ms>/<id>`. A malformed one starts from the beginning. */
const dueCursor = (cursor: string | undefined): readonly [number, TaskId] => {
  const [ms, id] = (cursor ?? "").split("/")
  const dueAtMs = Number(ms)
  return ms === undefined || ms === "" || id === undefined || !Number.isFinite(dueAtMs)
    ? [-2_208_988_800_000, lowestId]
    : [dueAtMs, id]
}

/** Day bounds of one id, for statements about a single task. */
export const boundsOf = (taskId: TaskId): readonly [from: TaskId, to: TaskId] => {
  const day = dayOf(nominalDueAtMsOf(taskId))
  return [lowerBoundAt(day), lowerBoundAt(day + dayMs)]
}
