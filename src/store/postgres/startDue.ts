import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { suspectDeathsMin } from "../../core/deaths.ts"
import { priorities, rankOf } from "../../core/Priority.ts"
import { eventCodes } from "../../core/TaskEvent.ts"
import { type EventId, lowerBoundAt } from "../../core/TaskId.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import type { Started, StartDueRequest } from "../TaskStore.ts"
import { dayMs, dayOf } from "./byDay.ts"
import type { DatabaseClock } from "./DatabaseClock.ts"
import type { Kinds } from "./Kinds.ts"
import { float8s, instant, int2s, int4, int4s, msOf, uuid, uuids } from "./parameters.ts"
import { isNotPaused } from "./pause.ts"
import { isSqlError, isUndefinedTable, orUnavailable } from "./sqlErrors.ts"
import { type StartedRow, startedOf } from "./start.ts"
import {
  columnOf,
  type DueTables,
  goneFrom,
  isInTime,
  lockedPlace,
  now,
  payloadAt,
  sessionLives,
  tracedColumns
} from "./statements.ts"

const { AttemptStarted, TaskClaimed } = eventCodes

/**
 * A claim and a start in one: both events, and a row that is running from the beginning. What only the claim knows (which tasks)
 * cannot be sent along, so of what is due just those born on one day are started, whose payloads lie in one partition.
 * That filter and the others come behind the limit, so that whatever is due and unfit costs no longer scan. Waits for the
 * disk, as every start does.
 * $1 kind ids, $2 priorities, $3 timeouts in ms (a lane each), $4 due from, $5 to, $6 session, $7 event ids of the starts,
 * $8 and $9 bounds of the ids, $10 how many event ids.
 */
export const startDueSql = (
  dueTables: DueTables,
  eventTable: string,
  isTraced = false
): string => `WITH ${now}, candidate AS MATERIALIZED (
    SELECT d.*, lane.timeout_ms FROM unnest($1::int4[], $2::int2[], $3::float8[]) AS lane (kind_id, priority, timeout_ms)
    CROSS JOIN LATERAL (
      SELECT kind_id, priority, due_at, task_id, deaths FROM duetime.due w
      WHERE w.kind_id = lane.kind_id AND w.priority = lane.priority AND w.due_at >= $4::timestamptz AND w.due_at <= $5::timestamptz
      ORDER BY w.due_at, w.task_id
      LIMIT $10::int4 * 2
    ) d
    WHERE ${sessionLives("$6", "(SELECT at FROM now)")} AND ${isNotPaused("lane.kind_id")} AND d.due_at <= (SELECT at FROM now)
      AND d.task_id >= $8::uuid AND d.task_id < $9::uuid AND d.deaths < ${suspectDeathsMin} AND ${isInTime("d.task_id", "(SELECT at FROM now)")}
    ORDER BY d.priority, d.due_at, d.task_id
    LIMIT $10::int4 * 2
  ), locked AS MATERIALIZED (
    SELECT w.*, c.timeout_ms
    FROM candidate c ${lockedPlace({ from: "$4", to: "$5" })}
    LIMIT $10::int4
  ), picked AS MATERIALIZED (
    SELECT *, gen_random_uuid() AS claim_id, ($7::uuid[])[row_number() OVER ()] AS start_id FROM locked
  ), ${goneFrom(dueTables, "p.claim_id, p.start_id, p.timeout_ms", { from: "$4", to: "$5" })}, moved AS (
    INSERT INTO duetime.in_progress
      (task_id, fence_id, fence_version, version, kind_id, priority, due_at, session_id, attempt, charged, deaths, followed, status, deadline_at)
    SELECT task_id, start_id, version + 1, version + 1, kind_id, priority, due_at, $6::int4, attempt + 1, charged + 1, deaths, followed, 2,
      (SELECT at FROM now) + timeout_ms * interval '1 millisecond'
    FROM gone
  ), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at, session_id, attempt, deadline_at)
    SELECT task_id, version, ${TaskClaimed}, claim_id, (SELECT at FROM now), $6::int4, NULL::int4, NULL::timestamptz FROM gone
    UNION ALL
    SELECT task_id, version + 1, ${AttemptStarted}, start_id, (SELECT at FROM now), $6::int4, attempt + 1,
      (SELECT at FROM now) + timeout_ms * interval '1 millisecond'
    FROM gone
  )
  SELECT g.task_id, g.version + 1 AS version, g.start_id AS event_id, g.kind_id, g.priority, ${msOf("g.due_at")} AS due_at_ms,
    g.attempt + 1 AS attempt, g.charged + 1 AS charged, g.followed, ${msOf("(SELECT at FROM now)")} + g.timeout_ms AS deadline_at_ms,
    ${msOf("(SELECT at FROM now)")} AS started_at_ms, ${payloadAt({ taskId: "g.task_id", attempt: "g.attempt + 1" }, "$8", "$9", eventTable)} AS payload${
      isTraced ? tracedColumns({ taskId: "g.task_id", claimVersion: "g.version" }, "$8", "$9", eventTable) : ""
    }
  FROM gone g ORDER BY g.priority, g.due_at, g.task_id`

/** $1 event ids; $2, $3 bounds of the task ids. */
export const startedWithSql = `SELECT p.task_id, p.fence_version AS version, p.fence_id AS event_id, p.kind_id, p.priority,
    ${msOf("p.due_at")} AS due_at_ms, p.attempt, p.charged, p.followed, ${msOf("p.deadline_at")} AS deadline_at_ms,
    ${msOf(columnOf("at", "p.task_id", "p.fence_version", "$2", "$3"))} AS started_at_ms,
    ${payloadAt({ taskId: "p.task_id", attempt: "p.attempt" }, "$2", "$3")} AS payload${tracedColumns({ taskId: "p.task_id", claimVersion: "p.fence_version - 1" }, "$2", "$3")}
  FROM duetime.in_progress p
  WHERE p.fence_id = ANY($1::uuid[]) AND p.status = 2 AND p.task_id >= $2::uuid AND p.task_id < $3::uuid`

/** How long something may be due and still be looked for here: what waits longer is a claim's, which sweeps. */
export const dueSinceMsMax = 1_000
/** The estimate of the database's clock may be behind; the statement compares with the clock itself. */
const clockSlackMs = 5

export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly clock: DatabaseClock
  readonly dueTablesOf: (fromMs: number, toMs: number) => DueTables
  readonly eventTableOf: (dayStartMs: number) => string
}) => {
  const { clock, dueTablesOf, eventTableOf, kinds, sql } = options
  const started = startedOf(kinds)

  const run = Effect.fnUntraced(function* (request: StartDueRequest) {
    const timeoutMsOf = new Map(request.kinds.map(({ kind, timeoutMs }) => [kind, timeoutMs]))
    const ids = yield* kinds.knownIdsOf([...timeoutMsOf.keys()])
    if (ids.length === 0 || request.eventIds.length === 0) return []
    const lanes = ids.flatMap((id) => priorities.map((priority) => ({ id, rank: rankOf(priority) })))
    const nowMs = clock.nowMs()
    const fromMs = Math.floor(nowMs - dueSinceMsMax)
    const toMs = Math.ceil(nowMs + clockSlackMs)
    const day = dayOf(nowMs)
    const rows = yield* sql.unsafe<StartedRow>(
      startDueSql(dueTablesOf(fromMs, toMs), eventTableOf(day), request.isTraced),
      [
        int4s(lanes.map(({ id }) => id)),
        int2s(lanes.map(({ rank }) => rank)),
        float8s(lanes.map(({ id }) => timeoutMsOf.get(kinds.nameOf(id)) ?? 0)),
        instant(fromMs),
        instant(toMs),
        int4(request.sessionId),
        uuids(request.eventIds),
        uuid(lowerBoundAt(day)),
        uuid(lowerBoundAt(day + dayMs)),
        int4(request.eventIds.length)
      ]
    )
    return rows.map(started)
  })

  const find = Effect.fnUntraced(function* (eventIds: ReadonlyArray<EventId>) {
    const day = dayOf(clock.nowMs())
    // Asked after a lost answer, which may have come around midnight.
    const rows = yield* sql.unsafe<StartedRow>(startedWithSql, [
      uuids(eventIds),
      uuid(lowerBoundAt(day - dayMs)),
      uuid(lowerBoundAt(day + dayMs))
    ])
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    return rows.map(started)
  })

  return {
    startDue: (request: StartDueRequest): Effect.Effect<ReadonlyArray<Started>, StoreUnavailable> =>
      run(request).pipe(
        // Retired since the last maintenance: nothing was changed, and the next claim finds what is due.
        Effect.catchIf(
          (error) => isSqlError(error) && isUndefinedTable(error),
          () => Effect.succeed([])
        ),
        orUnavailable("startDue")
      ),
    startedWith: (eventIds: ReadonlyArray<EventId>): Effect.Effect<ReadonlyArray<Started>, StoreUnavailable> =>
      orUnavailable("startedWith")(find(eventIds))
  }
}
