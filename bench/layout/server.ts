/**
 * The server of the measurement: an embedded PostgreSQL 18 in a temporary folder on disk, with the durability of a
 * production server. Its CPU time is read from /proc for the whole family of processes.
 */
import { readdirSync, readFileSync } from "node:fs"
import { PgConnection } from "@effect/sql-pg"
import { Effect, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"

export interface Server {
  readonly version: string
  readonly settings: Readonly<Record<string, string | number | boolean>>
  /** One new session; `parameters` are session settings such as `search_path`. */
  readonly connect: (
    parameters: Readonly<Record<string, string>>
  ) => Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope>
  /** CPU seconds of the whole server so far: every live process, and those the postmaster has reaped. */
  readonly cpuSeconds: Effect.Effect<number>
}

/** Stated in the results; everything else is the default of PostgreSQL 18. */
const settings = {
  shared_buffers: "2GB",
  max_wal_size: "4GB",
  checkpoint_timeout: "15min",
  wal_buffers: "16MB",
  maintenance_work_mem: "512MB",
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  wal_compression: "off",
  jit: "off"
} as const

export const make = Effect.gen(function* () {
  const running = yield* EmbeddedPostgres.make({ settings })
  const server: Server = {
    version: running.version,
    settings,
    connect: (parameters) =>
      PgConnection.make({
        host: running.socketDirectory,
        port: running.port,
        username: running.username,
        database: running.database,
        startupParameters: parameters
      }),
    cpuSeconds: Effect.sync(() => serverCpuSeconds(running.processId))
  }
  return server
})

const ticksPerSecond = 100

/** utime and stime of the postmaster and its children, plus cutime and cstime of the postmaster. */
const serverCpuSeconds = (postmaster: number): number => {
  let ticks = 0
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue
    const fields = readStat(entry)
    if (fields === undefined) continue
    const own = Number(fields[11]) + Number(fields[12])
    if (Number(entry) === postmaster) ticks += own + Number(fields[13]) + Number(fields[14])
    else if (Number(fields[1]) === postmaster) ticks += own
  }
  return ticks / ticksPerSecond
}

/** Fields of /proc/<pid>/stat after the command name: state, ppid, ...; undefined when the process is gone. */
const readStat = (pid: string): ReadonlyArray<string> | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return undefined
  }
}
