import { eventCodes } from "../../core/TaskEvent.ts"
import { kindRecordsSql } from "./kindRecords.ts"
import { msOf } from "./parameters.ts"
import { now } from "./statements.ts"

/** The supervisor's: leases and deadlines that have passed, and tasks that it has become too late to start. */

/** Now, or the instant $1 in milliseconds if that is earlier; null for none. */
const asOf = "least(clock_timestamp(), to_timestamp($1::float8 / 1000))"

/**
 * A session that has been ended is over for good; the condition is checked again on the locked row, so a renewal that came
 * first keeps its session, however late it was. $1 as of when.
 */
export const endSessionsSql = `UPDATE duetime.session SET ended_at = clock_timestamp()
  WHERE ended_at IS NULL AND lease_until <= ${asOf} RETURNING session_id`

/** As a value that the statement asks for first, and an index can be searched for: the function itself would be compared with each row. */
const once = "(SELECT clock_timestamp())"

/** What has ended, and may be ended: an attempt only by the policy of its kind, which a failover may have lost. */
const isExpired = (at: string) => `(s.session_id IS NULL OR p.deadline_at <= ${at})
    AND (p.status = 1 OR (SELECT k.policy IS NOT NULL FROM duetime.kind k WHERE k.kind_id = p.kind_id))`
const holders = `duetime.in_progress p LEFT JOIN duetime.session s ON s.session_id = p.session_id AND s.ended_at IS NULL`

/**
 * Whether there may be anything to end, with each kind: asked every second by every engine, where the statements that end it are
 * four, and the answer is nearly always no. Where there is no kind yet, its columns are null.
 */
export const lookSql = `SELECT l.*, k.* FROM (
    SELECT EXISTS (SELECT FROM duetime.session l WHERE l.ended_at IS NULL AND l.lease_until <= clock_timestamp())
      OR EXISTS (SELECT FROM ${holders} WHERE ${isExpired("clock_timestamp()")})
      OR EXISTS (SELECT FROM duetime.expiring x WHERE x.look_at <= ${once}) AS any_expired,
      ${msOf("clock_timestamp()")} AS now_ms
    OFFSET 0
  ) l LEFT JOIN (${kindRecordsSql}) k ON true
  ORDER BY k.name`

/**
 * Claims and attempts whose session has been ended, and attempts past their deadline; locked against their own outcome. A lease
 * that ran out since the sessions were ended may still be renewed, and is none of them. A session that ended before its lease did was
 * left by its process in order. $1 as of when, $2 limit.
 */
export const expiredSql = `SELECT p.task_id, p.fence_id, p.fence_version, p.version, p.kind_id, p.priority, p.status, p.attempt, p.charged, p.deaths,
    p.cancel_requested, p.followed, p.session_id, ${msOf("p.due_at")} AS due_at_ms, ${msOf("p.deadline_at")} AS deadline_at_ms,
    ${msOf("clock_timestamp()")} AS now_ms, s.session_id IS NULL AS session_over,
    EXISTS (SELECT FROM duetime.session l WHERE l.session_id = p.session_id AND l.ended_at < l.lease_until) AS session_left
  FROM ${holders}
  WHERE ${isExpired(asOf)}
  ORDER BY p.task_id
  LIMIT $2::int4
  FOR UPDATE OF p SKIP LOCKED`

/** Tasks to look at because they have expired, locked against other supervisors. $1 limit. */
export const lateSql = `SELECT x.task_id FROM duetime.expiring x
  WHERE x.look_at <= ${once}
  ORDER BY x.look_at
  LIMIT $1::int4
  FOR UPDATE SKIP LOCKED`

/**
 * Ends what waits or is claimed, at the version that was looked at; what was moved since is looked at again.
 * $1 task ids, $2 event ids, $3 versions, $4 kind ids, $5 priorities, $6 due instants.
 */
export const endLateSql = `WITH ${now}, wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::int4[], $5::int2[], $6::timestamptz[])
      AS w (task_id, event_id, version, kind_id, priority, due_at)
  ), waiting AS (
    DELETE FROM duetime.due d USING wanted w
    WHERE d.kind_id = w.kind_id AND d.priority = w.priority AND d.due_at = w.due_at AND d.task_id = w.task_id AND d.version = w.version
    RETURNING w.task_id, w.event_id, w.version + 1 AS version
  ), held AS (
    DELETE FROM duetime.in_progress p USING wanted w
    WHERE p.task_id = w.task_id AND p.version = w.version AND p.status = 1
    RETURNING w.task_id, w.event_id, w.version + 1 AS version
  ), gone AS (
    SELECT * FROM waiting UNION ALL SELECT * FROM held
  ), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at)
    SELECT task_id, version, ${eventCodes.TaskExpired}, event_id, (SELECT at FROM now) FROM gone
  )
  SELECT task_id FROM gone`

/** $1 ids of tasks that can never wait again, or that their history guards from now on. */
export const forgetExpirySql = `DELETE FROM duetime.expiring WHERE task_id = ANY($1::uuid[])`

/** Whether what runs is tried again is asked when its attempt ends. $1 task ids. */
export const lookAgainSql = `UPDATE duetime.expiring SET look_at = clock_timestamp() + interval '1 minute' WHERE task_id = ANY($1::uuid[])`
