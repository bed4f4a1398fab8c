import { eventCodes } from "../../core/TaskEvent.ts"
import { wakeUpChannel } from "./WakeUps.ts"
import { msOf } from "./parameters.ts"
import { isNotPaused, pausedKinds } from "./pause.ts"

/**
 * The set-based statements of the hot path: schedule, claim, start, settle. Each is one text for a batch of any size, one
 * CTE that appends the events and moves the projection rows, so both or neither happen. The compare-and-set is the delete
 * or update of the projection row at the expected version or fence; whoever finds no row has lost. There is no test of
 * the status beside it: the fence implies it, and with stale statistics it made plans 40 to 70 times slower
 * (docs/adr/0001). CTEs of one statement are never joined with each other: the planner expects one row of each and loops over
 * all pairs. Batches come sorted by id, or two of them deadlock.
 *
 * What `decide` would say is computed by `decide` and passed in; SQL stamps instants by the database's clock and
 * evaluates the guards that only it can see (due, lease, cancel requested). test/store holds both equal.
 */

const { AttemptStarted, TaskClaimed, TaskScheduled } = eventCodes

/**
 * The commit of this statement does not wait for the disk, nor for a standby. For what may be lost with the server, because
 * nothing was promised by it: whatever builds on it commits later, waits, and so makes what came before durable too.
 */
const commitSoon = `set_config('synchronous_commit', 'off', true)`

/** One instant for a whole statement; read once, so that an event and its projection row never differ by a microsecond. */
export const now = `now AS MATERIALIZED (SELECT clock_timestamp() AS at)`

/** Asked once per statement, not per row. */
export const sessionLives = (sessionId: string, at: string): string =>
  `(SELECT s.lease_until > ${at} AND s.ended_at IS NULL FROM duetime.session s WHERE s.session_id = ${sessionId}::int4)`

/**
 * A column of one event, as a scalar subquery. As a join it would have the bounds that prune the partitions beside its
 * equality, and with stale statistics the planner believes in the bounds and scans the range once per row: 68 life cycles/s
 * instead of 9,000 (docs/adr/0001).
 */
export const columnOf = (
  column: string,
  taskId: string,
  version: string,
  from: string,
  to: string,
  table = "duetime.event"
): string =>
  `(SELECT e.${column} FROM ${table} e WHERE e.task_id = ${taskId} AND e.version = ${version} AND e.task_id >= ${from}::uuid AND e.task_id < ${to}::uuid)`

/**
 * What an attempt is given. Only one that is not the first can have another payload than the task was born with: then
 * `edited` says which event has it, and one look tells a whole statement that there is none.
 */
export const payloadAt = (
  row: { readonly taskId: string; readonly attempt: string },
  from: string,
  to: string,
  table = "duetime.event"
): string =>
  `coalesce(CASE WHEN ${row.attempt} > 1 AND (SELECT EXISTS (SELECT FROM duetime.edited)) THEN (
      SELECT ${columnOf("data", "x.task_id", "x.version", from, to, table)} -> 'payload' FROM duetime.edited x WHERE x.task_id = ${row.taskId}
    ) END, ${columnOf("data", row.taskId, "1", from, to, table)})`

/**
 * For a worker that traces: the span that scheduled a task, which lies beside the payload, and of the few that have one the claim.
 */
export const tracedColumns = (
  row: { readonly taskId: string; readonly claimVersion: string },
  from: string,
  to: string,
  table = "duetime.event"
): string => {
  const traceparent = columnOf("follow_ups ->> 'traceparent'", row.taskId, "1", from, to, table)
  const claimedAt = columnOf("at", row.taskId, row.claimVersion, from, to, table)
  return `, ${traceparent} AS traceparent, ${msOf(`CASE WHEN ${traceparent} IS NOT NULL THEN ${claimedAt} END`)} AS claimed_at_ms`
}

/**
 * What only some tasks have: one that expires tells so in its event and in a row of its own, one that is linked to others tells
 * what follows it, or what it follows. The statements for all other tasks know nothing of it.
 */
export type Extras = { readonly isExpiring: boolean; readonly isLinked: boolean }
export const noExtras: Extras = { isExpiring: false, isLinked: false }

/** The types of what comes behind the first seven parameters, in order. */
const extraTypes = ({ isExpiring, isLinked }: Extras): ReadonlyArray<string> => [
  ...(isExpiring ? ["timestamptz[]"] : []),
  ...(isLinked ? ["text[]"] : [])
]
const ofExtras = ({ isExpiring, isLinked }: Extras, expiring: string, linked: string): string =>
  (isExpiring ? expiring : "") + (isLinked ? linked : "")

const arrivedOf = (extras: Extras): string => `arrived AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::int2[], $5::timestamptz[], $6::text[], $7::text[]${extraTypes(
      extras
    )
      .map((type, index) => `, $${8 + index}::${type}`)
      .join("")})
      AS a (task_id, event_id, kind_id, priority, due_at, key, data${ofExtras(extras, ", expires_at", ", follow_ups")})
  )`
const appendArrived = (
  extras: Extras
): string => `INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, key, data${ofExtras(extras, ", deadline_at", ", follow_ups")})
    SELECT task_id, 1, ${TaskScheduled}, event_id, (SELECT clock_timestamp()), kind_id, priority, due_at, key, data::jsonb${ofExtras(extras, ", expires_at", ", follow_ups::jsonb")} FROM arrived`
/** A task that only follows another one, or was traced, is linked, and not followed. */
const followedOf = `, coalesce(follow_ups::jsonb - 'follows' - 'traceparent' <> '{}', false)`
const waitingFrom = (rows: string, { isLinked }: Extras): string => `waiting AS (
    INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged${isLinked ? ", followed" : ""})
    SELECT kind_id, priority, due_at, task_id, 1, 0, 0${isLinked ? followedOf : ""} FROM ${rows}
  )`
const expiringFrom = (rows: string): string => `, expiring AS (
    INSERT INTO duetime.expiring (task_id, expires_at, look_at)
    SELECT task_id, ${rows === "arrived" ? "expires_at, expires_at" : "deadline_at, deadline_at"} FROM ${rows}
    WHERE ${rows === "arrived" ? "expires_at" : "deadline_at"} IS NOT NULL
  )`

/**
 * Answers how many were appended, not which: a thousand ids to send and read back would say what is nearly always true of all.
 * $1 task ids, $2 event ids, $3 kind ids, $4 priorities, $5 due instants, $6 keys, $7 payloads; then, if some expire, when, and if
 * some are linked, how.
 */
export const scheduleSql = (extras: Extras): string => `WITH ${arrivedOf(extras)}, appended AS (
    ${appendArrived(extras)}
    ON CONFLICT (task_id, version) DO NOTHING
    RETURNING kind_id, priority, due_at, task_id${ofExtras(extras, ", deadline_at", ", follow_ups")}
  ), ${waitingFrom("appended", extras)}${extras.isExpiring ? expiringFrom("appended") : ""}
  SELECT count(*)::int4 AS appended_count FROM appended`

/**
 * The same for ids that are new, which is all but a repeat's: it fails as a whole when one is not. Looking for a conflict before
 * each row costs the server a fifth of its time, and a third if due times are spread over 30 partitions (bench/schedule).
 * Last what other processes are told at the commit, or null.
 */
export const scheduleNewSql = (extras: Extras): string => {
  const told = `$${8 + extraTypes(extras).length}::text`
  return `WITH ${arrivedOf(extras)}, appended AS (${appendArrived(extras)}), ${waitingFrom("arrived", extras)}${extras.isExpiring ? expiringFrom("arrived") : ""}
  SELECT count(*)::int4 AS appended_count, CASE WHEN ${told} IS NULL THEN NULL ELSE pg_notify('${wakeUpChannel}', ${told}) END AS told FROM arrived`
}

/** The earliest due time of these lanes behind an instant, within the far bound. */
const nextDue = (behind: string, farBound: string): string => `SELECT ${msOf("min(d.due_at)")} AS next_due_at_ms
  FROM unnest($1::int4[], $2::int2[]) AS lane (kind_id, priority)
  LEFT JOIN LATERAL (
    SELECT w.due_at FROM duetime.due w
    WHERE w.kind_id = lane.kind_id AND w.priority = lane.priority AND w.due_at > ${behind}::timestamptz AND w.due_at <= ${farBound}::timestamptz
    ORDER BY w.due_at
    LIMIT 1
  ) d ON true
  WHERE ${isNotPaused("lane.kind_id")}`

/** $1 kind ids, $2 priorities, $3 behind this instant, $4 far bound. */
export const nextDueSql = nextDue("$3", "$4")

/** The tables of the due partitions that a claim's bounds touch, or the whole table, pruned by the bounds. */
export type DueTables = ReadonlyArray<string>
export const wholeDue: DueTables = ["duetime.due"]

/** The bounds of due_at: parameters. */
type DueBounds = { readonly from: string; readonly to: string }

/** Locks the row of each `candidate c`, unless somebody else has, and finds its place as `w`. */
export const lockedPlace = ({ from, to }: DueBounds): string => `CROSS JOIN LATERAL (
      SELECT d.tableoid AS in_table, d.ctid AS at_place, d.version FROM duetime.due d
      WHERE d.kind_id = c.kind_id AND d.priority = c.priority AND d.due_at = c.due_at AND d.task_id = c.task_id
        AND d.due_at >= ${from}::timestamptz AND d.due_at <= ${to}::timestamptz
      LIMIT 1
      FOR UPDATE SKIP LOCKED
    ) w`

/**
 * One lane per kind and priority: the oldest of each lane by its index, then the most urgent and oldest of all. Rows
 * that another engine is claiming are skipped, so the candidates are twice the limit. Only what is claimed gets locked,
 * and what is locked is deleted by its place, not looked up a third time. Bounds on due_at prune the
 * partitions and keep the scan off the dead left edge of the index (a low mark is a hint; a sweep passes -infinity).
 *
 * What is deleted is named by its own partitions, without the bounds: with them, and with statistics of a day that was
 * empty when it was analyzed, the planner scans the range for every picked row (1,083,500 comparisons and half a second
 * for a claim of 500, PostgreSQL 18). By place alone there is no other way than the place. Every row tells how many were
 * picked: more than were deleted are in a partition that the caller did not name. And when the next task behind the horizon is
 * due, which a statement of its own told before: a round trip in front of everything that is due at once. A claim that is lost
 * with the server was never made: its start, which waits for the disk, finds no fence, and the task is due as before. And whether
 * the session lives: one that does not has seen nothing of what is due.
 * $1 kind ids, $2 priorities (a lane each), $3 low mark, $4 horizon, $5 limit, $6 session, $7 far bound of the next due time.
 */
export const claimSql = (dueTables: DueTables): string => `WITH candidate AS MATERIALIZED (
    SELECT d.* FROM unnest($1::int4[], $2::int2[]) AS lane (kind_id, priority)
    CROSS JOIN LATERAL (
      SELECT kind_id, priority, due_at, task_id FROM duetime.due w
      WHERE w.kind_id = lane.kind_id AND w.priority = lane.priority AND w.due_at >= $3::timestamptz AND w.due_at <= $4::timestamptz
      ORDER BY w.due_at, w.task_id
      LIMIT $5::int4 * 2
    ) d
    WHERE ${sessionLives("$6", "clock_timestamp()")} AND ${isNotPaused("lane.kind_id")}
    ORDER BY d.priority, d.due_at, d.task_id
    LIMIT $5::int4 * 2
  ), picked AS MATERIALIZED (
    SELECT w.*, gen_random_uuid() AS event_id
    FROM candidate c ${lockedPlace({ from: "$3", to: "$4" })}
    LIMIT $5::int4
  ), ${goneFrom(dueTables, "p.event_id", { from: "$3", to: "$4" })}, moved AS (
    INSERT INTO duetime.in_progress
      (task_id, fence_id, fence_version, version, kind_id, priority, due_at, session_id, attempt, charged, deaths, followed, status)
    SELECT task_id, event_id, version, version, kind_id, priority, due_at, $6::int4, attempt, charged, deaths, followed, 1 FROM gone
  ), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at, session_id)
    SELECT task_id, version, ${TaskClaimed}, event_id, (SELECT clock_timestamp()), $6::int4 FROM gone
  )
  SELECT task_id, kind_id, priority, ${msOf("due_at")} AS due_at_ms, version, event_id, deaths, p.count AS picked, p.lives, n.next_due_at_ms
  FROM (SELECT count(*)::int4, ${commitSoon}, ${sessionLives("$6", "clock_timestamp()")} AS lives FROM picked) p CROSS JOIN (${nextDue("$4", "$7")}) n LEFT JOIN gone ON true
  ORDER BY priority, due_at, task_id`

/** What was picked (`picked`, with in_table, at_place, version) is deleted from its tables; the rows keep these columns of it. */
export const goneFrom = (dueTables: DueTables, columns: string, bounds: DueBounds): string =>
  `${dueTables.map((table, index) => goneOf(table, index, columns, bounds)).join(", ")}, gone AS (
    ${dueTables.map((_, index) => `SELECT * FROM gone_${index}`).join(" UNION ALL ")}
  )`

const goneOf = (table: string, index: number, columns: string, { from, to }: DueBounds): string => `gone_${index} AS (
    DELETE FROM ${table} d USING picked p
    WHERE d.ctid = p.at_place AND d.version = p.version AND ${
      table === "duetime.due"
        ? `d.tableoid = p.in_table AND d.due_at >= ${from}::timestamptz AND d.due_at <= ${to}::timestamptz`
        : `p.in_table = '${table}'::regclass`
    }
    RETURNING d.kind_id, d.priority, d.due_at, d.task_id, d.version + 1 AS version, d.attempt, d.charged, d.deaths, d.followed, ${columns}
  )`

/** $1 session, $2 due before, $3 limit. */
export const claimedBySql = `SELECT task_id, kind_id, priority, ${msOf("due_at")} AS due_at_ms, fence_version AS version, fence_id AS event_id, deaths
  FROM duetime.in_progress
  WHERE session_id = $1::int4 AND status = 1 AND due_at < $2::timestamptz
  ORDER BY priority, due_at LIMIT $3::int4`

/**
 * Whether the task may still start. The first look is made once per statement, and nearly always the only one: it finds what has
 * expired and has not been ended yet, a second later at most. So a start costs the same whether or not its task expires.
 */
export const isInTime = (taskId: string, at: string): string =>
  `(NOT (SELECT EXISTS (SELECT FROM duetime.expiring l WHERE l.look_at <= ${at}))
        OR NOT EXISTS (SELECT FROM duetime.expiring x WHERE x.task_id = ${taskId} AND x.expires_at <= ${at}))`

/**
 * For tasks born within one day: the payload is read beside the start, straight from the day's partition where it has
 * one (planning the look-up through the partitioned table took 0.56 ms per start, 3.5 times its execution), otherwise from
 * the table, with a bound on the id that prunes its partitions.
 * $1 task ids, $2 fence ids, $3 fence versions, $4 event ids, $5 timeouts in ms, $6 dispatch instants in ms, $7 session,
 * $8 and $9 bounds of the ids.
 */
export const startSql = (eventTable: string, isTraced = false): string => `WITH ${now}, wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::uuid[], $5::float8[], $6::float8[])
      AS w (task_id, fence_id, fence_version, event_id, timeout_ms, dispatched_at_ms)
  ), started AS (
    UPDATE duetime.in_progress p
    SET status = 2, version = p.version + 1, fence_id = w.event_id, fence_version = p.version + 1, session_id = $7::int4,
      attempt = p.attempt + 1, charged = p.charged + 1,
      deadline_at = (SELECT at FROM now) + w.timeout_ms * interval '1 millisecond'
    FROM wanted w
    WHERE p.task_id = w.task_id AND p.fence_id = w.fence_id AND p.fence_version = w.fence_version
      AND p.due_at <= (SELECT at FROM now)
      AND ${sessionLives("$7", "(SELECT at FROM now)")}
      AND ${isNotPaused("p.kind_id")}
      AND ${isInTime("p.task_id", "(SELECT at FROM now)")}
    RETURNING p.task_id, p.version, p.fence_id, p.kind_id, p.priority, p.due_at, p.attempt, p.charged, p.followed, p.deadline_at, w.dispatched_at_ms, (SELECT at FROM now) AS at
  ), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at, session_id, attempt, deadline_at, dispatched_at)
    SELECT task_id, version, ${AttemptStarted}, fence_id, at, $7::int4, attempt, deadline_at,
      to_timestamp(dispatched_at_ms / 1000.0)
    FROM started
  )
  SELECT s.task_id, s.version, s.fence_id AS event_id, s.kind_id, s.priority, ${msOf("s.due_at")} AS due_at_ms, s.attempt, s.charged, s.followed,
    ${msOf("s.deadline_at")} AS deadline_at_ms, ${msOf("s.at")} AS started_at_ms, ${payloadAt({ taskId: "s.task_id", attempt: "s.attempt" }, "$8", "$9", eventTable)} AS payload${
      isTraced ? tracedColumns({ taskId: "s.task_id", claimVersion: "s.version - 1" }, "$8", "$9", eventTable) : ""
    }
  FROM started s`

/**
 * What became of starts that found no row: already mine, not due yet, or lost. For a claimed row the "start" is now, so
 * that due time and start tell whether it was too early. $1 task ids; $2, $3 bounds of the ids; $4 session.
 */
export const startedBeforeSql = `SELECT p.task_id, p.fence_version AS version, p.fence_id AS event_id, p.kind_id, p.priority,
    ${msOf("p.due_at")} AS due_at_ms, p.attempt, p.charged, p.followed, ${msOf("p.deadline_at")} AS deadline_at_ms,
    ${msOf(`CASE WHEN p.status = 2 THEN ${columnOf("at", "p.task_id", "p.fence_version", "$2", "$3")} ELSE clock_timestamp() END`)} AS started_at_ms,
    ${payloadAt({ taskId: "p.task_id", attempt: "p.attempt" }, "$2", "$3")} AS payload,
    p.kind_id = ANY (${pausedKinds}) AS is_paused, ${sessionLives("$4", "clock_timestamp()")} AS lives${tracedColumns({ taskId: "p.task_id", claimVersion: "p.fence_version - 1" }, "$2", "$3")}
  FROM duetime.in_progress p
  WHERE p.task_id = ANY($1::uuid[])`

/** Which of these events are in the history. $1 task ids, $2 event ids; $3, $4 bounds of the ids. */
export const confirmSql = `SELECT w.event_id, e.type FROM unnest($1::uuid[], $2::uuid[]) AS w (task_id, event_id)
  CROSS JOIN LATERAL (
    SELECT f.type FROM duetime.event f
    WHERE f.task_id = w.task_id AND f.event_id = w.event_id AND f.task_id >= $3::uuid AND f.task_id < $4::uuid
    LIMIT 1
  ) e`
