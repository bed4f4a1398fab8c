import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"

/** As a small production server would be set, and as the peers were measured (fsync and full-page writes on). */
export const postgresSettings = {
  shared_buffers: "2GB",
  max_wal_size: "4GB",
  checkpoint_timeout: "15min",
  wal_buffers: "16MB"
}

/** A pool of its own for an application. */
export const pool = (maxConnections: number): Layer.Layer<PgClient.PgClient, unknown, EmbeddedPostgres> =>
  Layer.unwrap(Effect.map(EmbeddedPostgres, ({ url }) => PgClient.layer({ url: Redacted.make(url), maxConnections })))

/** A real PostgreSQL in a temporary folder on disk, with a pool for the application. */
export const serverWith = (
  settings: Readonly<Record<string, string>>
): Layer.Layer<EmbeddedPostgres | PgClient.PgClient, unknown> =>
  pool(10).pipe(Layer.provideMerge(EmbeddedPostgres.layer({ settings: { ...postgresSettings, ...settings } })))

export const server = serverWith({})

export type Usage = {
  readonly workerCpuMs: number
  readonly serverCpuMs: number
  readonly walBytes: number
  readonly commits: number
}

/** What this process and the server have used so far; take two and subtract. */
export const usage: Effect.Effect<Usage, unknown, EmbeddedPostgres | PgClient.PgClient> = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const { processId } = yield* EmbeddedPostgres
  const [row] = yield* sql<{ readonly wal: number; readonly commits: number }>`SELECT
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal,
    (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()) AS commits`
  const own = process.cpuUsage()
  return {
    workerCpuMs: (own.user + own.system) / 1_000,
    serverCpuMs: cpuMsOfFamily(processId),
    walBytes: row?.wal ?? 0,
    commits: row?.commits ?? 0
  }
})

export const since = (before: Usage, after: Usage, tasks: number) => ({
  cpuSecondsPer1000Tasks: {
    worker: (after.workerCpuMs - before.workerCpuMs) / tasks,
    server: (after.serverCpuMs - before.serverCpuMs) / tasks,
    all: (after.workerCpuMs - before.workerCpuMs + after.serverCpuMs - before.serverCpuMs) / tasks
  },
  walBytesPerTask: (after.walBytes - before.walBytes) / tasks,
  commitsPerTask: (after.commits - before.commits) / tasks
})

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
