import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { claimSql } from "../src/store/postgres/statements.ts"

/**
 * As a small production server would be set, and as the peers were measured (fsync and full-page writes on). Statements are counted, as most
 * operators do, and as buffers per claim need it.
 */
export const postgresSettings = {
  shared_buffers: "2GB",
  max_wal_size: "4GB",
  checkpoint_timeout: "15min",
  wal_buffers: "16MB",
  shared_preload_libraries: "pg_stat_statements"
}

/** A pool of its own for an application. */
export const pool = (maxConnections: number): Layer.Layer<PgClient.PgClient, unknown, EmbeddedPostgres> =>
  Layer.unwrap(Effect.map(EmbeddedPostgres, ({ url }) => PgClient.layer({ url: Redacted.make(url), maxConnections })))

/** A real PostgreSQL in a temporary folder on disk, with a pool for the application. */
export const serverWith = (
  settings: Readonly<Record<string, string>>
): Layer.Layer<EmbeddedPostgres | PgClient.PgClient, unknown> =>
  Layer.tap(
    pool(10),
    (context) => Context.get(context, PgClient.PgClient)`CREATE EXTENSION IF NOT EXISTS pg_stat_statements`.unprepared
  ).pipe(Layer.provideMerge(EmbeddedPostgres.layer({ settings: { ...postgresSettings, ...settings } })))

export const server = serverWith({})

export type Usage = {
  /** Of the processes with engine and worker. */
  readonly workerCpuMs: number
  readonly serverCpuMs: number
  readonly walBytes: number
  readonly commits: number
  readonly claims: Claims
  /** Dead rows that are still there: a level, not a count. */
  readonly deadTuples: number
  /** Of the processes with engine and worker: a level. */
  readonly residentMiB: number
}

/** Statements that claimed or looked for what to claim, and the pages of shared memory that they read. */
export type Claims = { readonly statements: number; readonly buffers: number }

type UsageEffect = Effect.Effect<Usage, unknown, EmbeddedPostgres | PgClient.PgClient>

/** What this process and the server have used so far; take two and subtract. */
export const usage: UsageEffect = Effect.suspend(() => {
  const own = process.cpuUsage()
  return usageBeside((own.user + own.system) / 1_000, process.memoryUsage.rss() / 2 ** 20)
})

/** The same with other processes in the place of this one. @param goneCpuMs of those that have ended */
export const usageOf = (processIds: ReadonlyArray<number>, goneCpuMs = 0): UsageEffect =>
  Effect.suspend(() =>
    usageBeside(
      processIds.reduce((sum, id) => sum + cpuMsOfFamily(id), goneCpuMs),
      processIds.reduce((sum, id) => sum + residentMiB(id), 0)
    )
  )

const usageBeside = Effect.fnUntraced(function* (workerCpuMs: number, workerMiB: number) {
  const sql = yield* PgClient.PgClient
  const { processId } = yield* EmbeddedPostgres
  const [row] = yield* sql<{ readonly wal: number; readonly commits: number; readonly dead: number }>`SELECT
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal,
    (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()) AS commits,
    (SELECT coalesce(sum(n_dead_tup), 0)::float8 FROM pg_stat_user_tables) AS dead`
  return {
    workerCpuMs,
    serverCpuMs: cpuMsOfFamily(processId),
    walBytes: row?.wal ?? 0,
    commits: row?.commits ?? 0,
    claims: yield* claims,
    deadTuples: row?.dead ?? 0,
    residentMiB: workerMiB
  }
})

/** As pg_stat_statements counts them; its text is normalised, and a claim has one for each set of partitions. */
export const claimsIn = (database: string) =>
  Effect.flatMap(PgClient.PgClient, (sql) =>
    Effect.map(
      sql<Claims>`SELECT coalesce(sum(s.calls), 0)::float8 AS statements,
        coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::float8 AS buffers
        FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
        WHERE d.datname = ${database} AND starts_with(s.query, ${claimBeginning})`,
      ([row]) => row ?? { statements: 0, buffers: 0 }
    )
  )

const claimBeginning = claimSql(["duetime.due"]).slice(0, 40)

const claims = PgClient.PgClient.use((sql) =>
  Effect.flatMap(sql<{ readonly name: string }>`SELECT current_database() AS name`, ([row]) =>
    claimsIn(row?.name ?? "")
  )
)

export const since = (before: Usage, after: Usage, tasks: number) => ({
  cpuSecondsPer1000Tasks: {
    worker: (after.workerCpuMs - before.workerCpuMs) / tasks,
    server: (after.serverCpuMs - before.serverCpuMs) / tasks,
    all: (after.workerCpuMs - before.workerCpuMs + after.serverCpuMs - before.serverCpuMs) / tasks
  },
  walBytesPerTask: (after.walBytes - before.walBytes) / tasks,
  commitsPerTask: (after.commits - before.commits) / tasks,
  ...claimsSince(before.claims, after.claims, tasks),
  deadTuples: after.deadTuples,
  residentMiB: after.residentMiB
})

/** Null: nothing was claimed. A claim that found nothing counts as one. */
export const claimsSince = (before: Claims, after: Claims, tasks: number) => {
  const statements = after.statements - before.statements
  return {
    buffersPerClaim: statements === 0 ? null : (after.buffers - before.buffers) / statements,
    tasksPerClaim: statements === 0 ? null : tasks / statements
  }
}

/** User and system time of a process, its living children and those it has waited for (proc(5), fields 14 to 17; 100 ticks/s). */
export const cpuMsOfFamily = (processId: number): number => {
  const ticks = (fields: ReadonlyArray<string>, from: number, to: number) =>
    fields.slice(from, to).reduce((sum, field) => sum + Number(field), 0)
  let sum = 0
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8")
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      if (Number(entry) === processId) sum += ticks(fields, 11, 15)
      else if (Number(fields[1]) === processId) sum += ticks(fields, 11, 13)
    } catch {
      // Gone between the listing and the look.
    }
  }
  return sum * 10
}

/** Memory of a process that is in RAM (proc(5), VmRSS). */
export const residentMiB = (processId: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${processId}/status`, "utf8"))?.[1] ?? 0) / 1_024
