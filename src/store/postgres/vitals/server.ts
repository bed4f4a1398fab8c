import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { type ApplicationConnections, holdersMax, type ServerSetting, type SnapshotHolder } from "../../Vitals.ts"
import { make as makeClock } from "../DatabaseClock.ts"
import { int4, msOf } from "../parameters.ts"

/** What the server says of itself, and who stands in the way of its vacuum. */
export const serverVitals = (sql: SqlClient) =>
  Effect.gen(function* () {
    const clock = yield* makeClock(sql)
    const clockOffsetMs = clock.offsetMs()
    const settings = yield* sql.unsafe<ServerSetting>(
      `SELECT name, setting AS value, source, current_user::text AS account FROM pg_settings
       WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum') ORDER BY name`
    )
    const [limits] = yield* sql.unsafe<{ readonly version: string; readonly database: string; readonly max: number }>(
      `SELECT current_setting('server_version') AS version, current_database()::text AS database,
         current_setting('max_connections')::int4 - current_setting('superuser_reserved_connections')::int4 AS max`
    )
    const applications = yield* sql.unsafe<ApplicationConnections>(
      `SELECT coalesce(application_name, '') AS application, count(*)::int4 AS count,
         count(*) FILTER (WHERE state = 'idle')::int4 AS "idleCount"
       FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1 ORDER BY 2 DESC, 1`
    )
    const { database = "", max = 0, version = "" } = limits ?? {}
    return { version, database, clockOffsetMs, settings, connectionsMax: max, applications }
  }).pipe(Effect.scoped)

export const snapshotHolders = (sql: SqlClient) => sql.unsafe<SnapshotHolder>(snapshotsSql, [int4(holdersMax)])

/**
 * A connection holds rows back while it has a snapshot or a transaction id; one that is merely open holds nothing. What other
 * databases of the server do matters to its catalogs only.
 */
const snapshotsSql = `SELECT * FROM (
    SELECT 'Connection' AS _tag, pid::text AS name, coalesce(application_name, '') AS application, coalesce(state, backend_type) AS state,
      ${msOf("clock_timestamp() - coalesce(xact_start, backend_start)")} AS "sinceMs", left(coalesce(query, ''), 200) AS query
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')
      AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    UNION ALL
    SELECT 'Prepared', gid, owner::text, 'prepared', ${msOf("clock_timestamp() - prepared")}, ''
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    -- The server keeps no time of it before version 17: its age in transactions tells that it is old.
    SELECT 'Slot', slot_name::text, '', 'not read', age(xmin)::float8, ''
    FROM pg_replication_slots WHERE NOT active AND xmin IS NOT NULL
  ) h ORDER BY "sinceMs" DESC LIMIT $1::int4`
