/** Reads what a run cost: WAL bytes are exact, CPU is the whole server's, buffers come from EXPLAIN of the prepared statement. */
import type { PgConnection } from "@effect/sql-pg"
import { Clock, Effect } from "effect"
import type { Server } from "./server.ts"

export interface Cost {
  readonly seconds: number
  readonly walBytes: number
  readonly serverCpuSeconds: number
  readonly clientCpuSeconds: number
}

export const measured = <A, E, R>(admin: PgConnection.PgConnection, server: Server, run: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* snapshot(admin, server)
    const result = yield* run
    const after = yield* snapshot(admin, server)
    const cost: Cost = {
      seconds: after.seconds - before.seconds,
      walBytes: after.walBytes - before.walBytes,
      serverCpuSeconds: after.serverCpu - before.serverCpu,
      clientCpuSeconds: after.clientCpu - before.clientCpu
    }
    return [result, cost] as const
  })

const snapshot = Effect.fnUntraced(function* (admin: PgConnection.PgConnection, server: Server) {
  const walBytes = yield* number(admin, "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text")
  const serverCpu = yield* server.cpuSeconds
  const { user, system } = process.cpuUsage()
  return { walBytes, serverCpu, clientCpu: (user + system) / 1e6, seconds: yield* nowSeconds }
})

/** WAL written by the connection's own session so far. */
export const sessionWal = Effect.fnUntraced(function* (connection: PgConnection.PgConnection) {
  yield* run(connection, "SELECT pg_stat_force_next_flush()")
  const rows = yield* connection.queryValues(
    "SELECT wal_bytes::text, wal_fpi::text FROM pg_stat_get_backend_wal(pg_backend_pid())",
    [],
    false
  )
  return { bytes: Number(rows[0]?.[0]), images: Number(rows[0]?.[1]) }
})

export const nowSeconds = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e9)

export const number = (connection: PgConnection.PgConnection, text: string) =>
  Effect.map(connection.queryValues(text, [], false), (rows) => Number(rows[0]?.[0]))

export const run = (connection: PgConnection.PgConnection, ...statements: ReadonlyArray<string>) =>
  Effect.forEach(statements, (statement) => connection.queryValues(statement, [], false), { discard: true })

/** Bytes of all tables and indexes of a schema, by table family (the name before _kept, _past or _yyyymmdd). */
export const storedBytes = (connection: PgConnection.PgConnection, schema: string) =>
  Effect.map(
    connection.queryValues(
      `SELECT regexp_replace(c.relname, '_(kept|past|[0-9]{8})(_births|_rest)?$', ''), sum(pg_table_size(c.oid))::text, sum(pg_indexes_size(c.oid))::text
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = '${schema}' AND c.relkind = 'r' GROUP BY 1 ORDER BY 1`,
      [],
      false
    ),
    (rows) =>
      Object.fromEntries(
        rows.map(([name, table, index]) => [String(name), { tableBytes: Number(table), indexBytes: Number(index) }])
      )
  )

export type StoredBytes = Effect.Success<ReturnType<typeof storedBytes>>

export const totalBytes = (stored: StoredBytes): number =>
  Object.values(stored).reduce((sum, family) => sum + family.tableBytes + family.indexBytes, 0)

export interface TupleCounts {
  readonly updates: number
  readonly hotUpdates: number
  readonly dead: number
}

/** Updates, HOT updates and dead tuples of the projection tables; the statistics of other sessions arrive within a second. */
export const tupleCounts = (connection: PgConnection.PgConnection, schema: string, families: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    yield* run(connection, "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_clear_snapshot()")
    const names = families.map((family) => `relname ~ '^${family}(_kept|_past|_[0-9]{8})?$'`).join(" OR ")
    const rows = yield* connection.queryValues(
      `SELECT coalesce(sum(n_tup_upd), 0)::text, coalesce(sum(n_tup_hot_upd), 0)::text, coalesce(sum(n_dead_tup), 0)::text
       FROM pg_stat_user_tables WHERE schemaname = '${schema}' AND (${names})`,
      [],
      false
    )
    const [updates, hotUpdates, dead] = rows[0] ?? []
    const counts: TupleCounts = { updates: Number(updates), hotUpdates: Number(hotUpdates), dead: Number(dead) }
    return counts
  })

export interface Plan {
  readonly planningMs: number
  readonly executionMs: number
  /** Shared buffers hit and read by the whole statement, and by the pick alone. */
  readonly buffers: number
  readonly pickBuffers: number
  readonly rows: number
  readonly text: string
}

/** Explains an already prepared statement: `execute` is an EXECUTE with literal arguments. */
export const explain = (connection: PgConnection.PgConnection, execute: string, analyze = true) =>
  Effect.map(
    connection.queryValues(
      `EXPLAIN (${analyze ? "ANALYZE, BUFFERS, TIMING OFF," : ""} SUMMARY, FORMAT JSON) ${execute}`,
      [],
      false
    ),
    (rows): Plan => {
      const cell = rows[0]?.[0]
      const parsed: unknown = typeof cell === "string" ? JSON.parse(cell) : cell
      const top = field(Array.isArray(parsed) ? parsed[0] : undefined)
      const plan = field(top["Plan"])
      const pick = findNode(plan, (node) => node["Subplan Name"] === "CTE picked")
      return {
        planningMs: Number(top["Planning Time"] ?? 0),
        executionMs: Number(top["Execution Time"] ?? 0),
        buffers: buffersOf(plan) + writersOf(plan).reduce((sum, writer) => sum + buffersOf(writer), 0),
        pickBuffers: pick === undefined ? 0 : buffersOf(pick),
        rows: Number(plan["Actual Rows"] ?? 0),
        text: JSON.stringify(parsed)
      }
    }
  )

/** The writing CTEs that run after the top node: their buffers are not in it. The one the top node reads is. */
const writersOf = (plan: Readonly<Record<string, unknown>>) => {
  const children = plan["Plans"]
  return Array.isArray(children)
    ? children
        .map(field)
        .filter(
          (child) => child["Node Type"] === "ModifyTable" && child["Subplan Name"] !== `CTE ${String(plan["CTE Name"])}`
        )
    : []
}

const buffersOf = (node: Readonly<Record<string, unknown>>) =>
  Number(node["Shared Hit Blocks"] ?? 0) + Number(node["Shared Read Blocks"] ?? 0)

const field = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {}

const findNode = (
  node: Readonly<Record<string, unknown>>,
  matches: (node: Readonly<Record<string, unknown>>) => boolean
): Readonly<Record<string, unknown>> | undefined => {
  if (matches(node)) return node
  const children = node["Plans"]
  if (!Array.isArray(children)) return undefined
  for (const child of children) {
    const found = findNode(field(child), matches)
    if (found !== undefined) return found
  }
  return undefined
}
