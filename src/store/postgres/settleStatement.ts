import { deathsMaxLimit } from "../../core/deaths.ts"
import { eventCodes } from "../../core/TaskEvent.ts"
import { msFromNow, msOf } from "./parameters.ts"
import { now } from "./statements.ts"

const { AttemptExpired, AttemptFailed, AttemptReleased, AttemptSnoozed, AttemptSucceeded } = eventCodes
const { ClaimReleased, TaskCancelled, TaskDeadLettered, TaskExpired, TaskParked } = eventCodes

const tryAgain = [AttemptFailed, AttemptSnoozed, AttemptReleased, AttemptExpired].join(", ")
/** What is due at an instant of its own comes with 0 ms, and never in the past of this statement. */
const dueAgain = (isFixed: boolean): string => {
  const fromNow = msFromNow("w.due_in_ms")
  return `CASE WHEN w.due_in_ms IS NULL THEN p.due_at ELSE ${isFixed ? `greatest(${fromNow}, w.due_at)` : fromNow} END`
}

/** What only some batches need: the statement for all others does not ask for it. */
export type SettleExtras = { readonly isFixed: boolean; readonly isFollowed: boolean }

/**
 * Ends claims and attempts: outcomes, releases and expiries alike. The type and data are what `decide` said without a
 * cancel request; if one stands, everything but a success of a running task becomes TaskCancelled. A due time in ms from
 * now makes the task pending again; null with a pending type keeps the old due time. Only a claim can be released, and only
 * an attempt has an outcome. What would be tried again at or after the instant at which it expires becomes TaskExpired. A death is one more, and any other end of an attempt begins their count anew.
 * Answers where in its stream each end stands only if something may follow one.
 * $1 task ids, $2 fence ids, $3 fence versions, $4 event ids, $5 types, $6 due in ms, $7 data, $8 data if cancelled; if some are due
 * at instants that a calendar or a handler has named, $9 these.
 */
export const settleSql = ({ isFixed, isFollowed }: SettleExtras): string => `WITH ${now}, wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::uuid[], $5::int2[], $6::float8[], $7::text[], $8::text[]${isFixed ? ", $9::timestamptz[]" : ""})
      AS w (task_id, fence_id, fence_version, event_id, type, due_in_ms, data, cancelled_data${isFixed ? ", due_at" : ""})
  ), gone AS (
    DELETE FROM duetime.in_progress p USING wanted w
    WHERE p.task_id = w.task_id AND p.fence_id = w.fence_id AND p.fence_version = w.fence_version
      AND (p.status = 1) = (w.type = ${ClaimReleased})
    RETURNING p.task_id, p.version + 1 AS version, p.kind_id, p.priority, p.attempt, p.charged, p.followed, p.cancel_requested, w.event_id, w.cancelled_data,
      CASE WHEN p.cancel_requested AND w.type NOT IN (${AttemptSucceeded}, ${TaskParked}) THEN ${TaskCancelled}
        WHEN w.type IN (${tryAgain}) AND (SELECT x.expires_at FROM duetime.expiring x WHERE x.task_id = p.task_id) <= ${dueAgain(isFixed)} THEN ${TaskExpired}
        ELSE w.type END AS type,
      CASE WHEN w.type = ${AttemptFailed} THEN w.data END AS expired_data, w.data,
      CASE WHEN w.type = ${ClaimReleased} THEN p.deaths
        WHEN w.type IN (${AttemptExpired}, ${TaskParked}) AND w.data = '"session-lost"' THEN least(p.deaths + 1, ${deathsMaxLimit})
        ELSE 0 END AS deaths,
      ${dueAgain(isFixed)} AS due_at, w.due_in_ms IS NOT NULL AS due_changed
  ), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at, attempt, due_at, data)
    SELECT task_id, version, type, event_id, (SELECT at FROM now),
      CASE WHEN type NOT IN (${ClaimReleased}, ${TaskCancelled}, ${TaskExpired}) THEN attempt END,
      CASE WHEN due_changed AND type NOT IN (${TaskCancelled}, ${TaskExpired}) THEN due_at END,
      (CASE type WHEN ${TaskCancelled} THEN cancelled_data WHEN ${TaskExpired} THEN expired_data ELSE data END)::jsonb
    FROM gone
  ), waiting AS (
    INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, followed, charged, deaths)
    SELECT kind_id, priority, due_at, task_id, version, attempt, followed,
      CASE WHEN type IN (${AttemptSnoozed}, ${AttemptReleased}) THEN greatest(charged - 1, 0) ELSE charged END, deaths
    FROM gone WHERE type IN (${ClaimReleased}, ${AttemptFailed}, ${AttemptSnoozed}, ${AttemptReleased}, ${AttemptExpired})
  ), dead AS (
    INSERT INTO duetime.dead_letter (task_id, kind_id, priority, due_at, dead_at, version, attempt, charged, data)
    SELECT task_id, kind_id, priority, due_at, (SELECT at FROM now), version, attempt, charged, data::jsonb
    FROM gone WHERE type = ${TaskDeadLettered}
  ), stopped AS (
    INSERT INTO duetime.parked (task_id, kind_id, priority, due_at, parked_at, version, attempt, charged, deaths, cancel_requested)
    SELECT task_id, kind_id, priority, due_at, (SELECT at FROM now), version, attempt, charged, deaths, cancel_requested
    FROM gone WHERE type = ${TaskParked}
  )
  SELECT event_id, type, ${msOf("due_at")} AS due_at_ms${isFollowed ? `, task_id, version, ${msOf("(SELECT at FROM now)")} AS at_ms` : ""} FROM gone`
