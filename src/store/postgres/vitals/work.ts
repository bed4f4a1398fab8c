import type { SqlClient } from "effect/sql/SqlClient"
import { priorities } from "../../../core/Priority.ts"
import { holdersMax, type SilentSession, type TableVitals, type WaitingKind } from "../../Vitals.ts"
import { int4, msOf } from "../parameters.ts"

/** Rows counted per lane before it is called "this many or more". */
const lanesCountMax = 10_000
/** A claim is dispatched within milliseconds; one that is not started by then has met nobody. */
const unstartedAfterSeconds = 60

export const tableVitals = (sql: SqlClient) =>
  sql.unsafe<TableVitals>(`SELECT s.relname::text AS name, s.n_live_tup::float8 AS "liveRows", s.n_dead_tup::float8 AS "deadRows",
      pg_total_relation_size(s.relid)::float8 AS bytes,
      NOT coalesce('autovacuum_enabled=false' = ANY (c.reloptions), false) AS "isAutovacuumed"
    FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
    WHERE s.schemaname = 'duetime' ORDER BY s.n_dead_tup DESC, 1`)

export const silentSessions = (sql: SqlClient) =>
  sql.unsafe<SilentSession>(
    `SELECT s.session_id AS "sessionId", s.process, ${msOf("clock_timestamp() - s.lease_until")} AS "silentMs",
       coalesce(p.held, 0)::int4 AS "heldCount"
     FROM duetime.session s LEFT JOIN (SELECT session_id, count(*) AS held FROM duetime.in_progress GROUP BY 1) p USING (session_id)
     WHERE s.ended_at IS NULL AND s.lease_until <= clock_timestamp() ORDER BY s.lease_until LIMIT $1::int4`,
    [int4(holdersMax)]
  )

export const waitingKinds = (sql: SqlClient) => sql.unsafe<WaitingKind>(waitingSql)

const perKind = (columns: string, rows: string) =>
  `LEFT JOIN (SELECT kind_id, ${columns} FROM duetime.${rows} GROUP BY kind_id)`

const waitingSql = `WITH served AS (
    SELECT served.kind_id, count(*)::int4 AS live
    FROM duetime.session s CROSS JOIN LATERAL unnest(s.kind_ids) AS served (kind_id)
    WHERE s.ended_at IS NULL AND s.lease_until > clock_timestamp() GROUP BY 1
  )
  SELECT k.name AS kind, CASE WHEN k.policy IS NULL THEN NULL ELSE coalesce(k.policy->>'queue', 'default') END AS queue,
    coalesce(served.live, 0) AS "liveSessions",
    CASE WHEN k.paused_at IS NOT NULL THEN 'kind' WHEN q.queue IS NOT NULL THEN 'queue' END AS "pausedBy",
    coalesce(d.due, 0)::int4 AS "dueCount", ${msOf("clock_timestamp() - d.oldest")} AS "oldestDueForMs",
    coalesce(p.n, 0)::int4 AS "inProgressCount", coalesce(p.unstarted, 0)::int4 AS "unstartedCount", coalesce(h.n, 0)::int4 AS "parkedForPersonCount",
    coalesce(l.n, 0)::int4 AS "deadCount", coalesce(l.lately, 0)::int4 AS "deadLatelyCount"
  FROM duetime.kind k
  LEFT JOIN served USING (kind_id)
  LEFT JOIN duetime.paused_queue q ON q.queue = coalesce(k.policy->>'queue', 'default')
  LEFT JOIN LATERAL (
    SELECT count(*) AS due, min(w.due_at) AS oldest
    FROM generate_series(0, ${priorities.length - 1}) AS rank
    CROSS JOIN LATERAL (
      SELECT due_at FROM duetime.due r
      WHERE r.kind_id = k.kind_id AND r.priority = rank AND r.due_at <= (SELECT clock_timestamp())
      ORDER BY due_at LIMIT ${lanesCountMax}
    ) w
  ) d ON true
  ${perKind(`count(*) AS n, count(*) FILTER (WHERE status = 1 AND due_at < clock_timestamp() - interval '${unstartedAfterSeconds} seconds') AS unstarted`, "in_progress")} p USING (kind_id)
  ${perKind("count(*) AS n", "parked WHERE ask_at IS NULL")} h USING (kind_id)
  ${perKind("count(*) AS n, count(*) FILTER (WHERE dead_at > clock_timestamp() - interval '1 hour') AS lately", "dead_letter")} l USING (kind_id)
  ORDER BY k.name`
