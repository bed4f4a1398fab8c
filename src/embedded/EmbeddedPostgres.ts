/**
 * A real PostgreSQL 18 from npm, alive exactly as long as a scope.
 *
 * `make` finds the programs, takes the data folder, makes a cluster if there is none, starts the server on a unix
 * socket (never a TCP port, so nothing clashes and nobody outside the machine can reach it) and stops it when the scope closes.
 * The socket's folder is 0700, which is what lets the server trust whoever connects. Without `dataDirectory`
 * everything lives in a temporary folder that goes away with the scope; with it, the next `make` finds the data again, also
 * after SIGKILL or a power cut, because fsync, full_page_writes and synchronous_commit stay on unless `durability` is "none".
 *
 * The server dies with the *thread* that called `make`; do not call it from a worker thread that ends early.
 */
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as DataDirectory from "./DataDirectory.ts"
import type { EmbeddedPostgresFailed, EmbeddedPostgresUnavailable } from "./EmbeddedPostgresError.ts"
import * as PostgresBinaries from "./PostgresBinaries.ts"
import * as ServerAccount from "./ServerAccount.ts"
import * as ServerProcess from "./ServerProcess.ts"

export { EmbeddedPostgresFailed, EmbeddedPostgresUnavailable } from "./EmbeddedPostgresError.ts"

export interface EmbeddedPostgresOptions {
  /** Folder of the data, made if absent. Default: a temporary one, removed when the scope closes. */
  readonly dataDirectory?: string
  /** "none" turns fsync, full_page_writes and synchronous_commit off: for tests only. Default "full". */
  readonly durability?: "full" | "none"
  /** Server settings (`shared_buffers: "2GB"`), stronger than ours. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>
  /** Folder with `postgres` and `initdb` of a PostgreSQL on this machine. Default: the programs of the npm package. */
  readonly binDirectory?: string
  /** How long the start may take, crash recovery included. Default 60 s. */
  readonly startTimeoutMs?: number
  /** How long the clean stop (with its checkpoint) may take before an immediate one. Default 60 s. */
  readonly stopTimeoutMs?: number
}

export interface RunningPostgres {
  /** Folder of the unix socket: the `host` of a connection. */
  readonly socketDirectory: string
  readonly port: number
  readonly username: string
  /** The database that is always there; make your own with CREATE DATABASE. */
  readonly database: string
  /** All of the above, in the form that libpq and @effect/sql-pg read. */
  readonly url: string
  readonly dataDirectory: string
  readonly logFile: string
  /** Of the postmaster. */
  readonly processId: number
  /** For example `postgres (PostgreSQL) 18.4`. */
  readonly version: string
}

export class EmbeddedPostgres extends Context.Service<EmbeddedPostgres, RunningPostgres>()(
  "duetime/embedded/EmbeddedPostgres"
) {
  static readonly layer = (
    options: EmbeddedPostgresOptions = {}
  ): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresUnavailable | EmbeddedPostgresFailed> =>
    Layer.effect(EmbeddedPostgres, make(options))
}

export const make = (
  options: EmbeddedPostgresOptions = {}
): Effect.Effect<RunningPostgres, EmbeddedPostgresUnavailable | EmbeddedPostgresFailed, Scope.Scope> =>
  // Real processes need real time, also inside a test that runs on a test clock.
  Effect.provideService(run(options), Clock.Clock, Clock.Clock.defaultValue())

const port = 5432
const startTimeoutMsDefault = 60_000
const stopTimeoutMsDefault = 60_000
/** A socket's whole path may have 107 bytes; `/.s.PGSQL.5432.lock` takes 19 of them. */
const socketDirectoryLengthMax = 85

const run = Effect.fnUntraced(function* (options: EmbeddedPostgresOptions) {
  const durability = options.durability ?? "full"
  const stopTimeoutMs = options.stopTimeoutMs ?? stopTimeoutMsDefault
  const account = yield* ServerAccount.choose(ownerOf(options.dataDirectory))
  const binaries =
    options.binDirectory === undefined
      ? yield* PostgresBinaries.locate(account)
      : yield* PostgresBinaries.probe(options.binDirectory, account)
  const dataDirectory = yield* dataFolder(options.dataDirectory, account)
  yield* DataDirectory.own(dataDirectory)
  yield* DataDirectory.stopLeftover(dataDirectory, stopTimeoutMs)
  yield* DataDirectory.initialise(dataDirectory, binaries, account, options.dataDirectory !== undefined)

  const socketDirectory = yield* temporaryFolder(socketParent(), account)
  const cluster = DataDirectory.clusterOf(dataDirectory)
  const logFile = DataDirectory.logOf(dataDirectory)
  if (fs.existsSync(logFile)) fs.renameSync(logFile, `${logFile}.1`)
  const settings = {
    ...baseSettings(socketDirectory),
    ...(durability === "none" ? fastSettings : {}),
    ...options.settings
  }
  const server = yield* Effect.acquireRelease(
    ServerProcess.start(
      ServerAccount.boundCommandAs(account, binaries.postgres, ["-D", cluster, ...settingArguments(settings)]),
      cluster,
      logFile,
      options.startTimeoutMs ?? startTimeoutMsDefault
    ),
    (started) => ServerProcess.stopProcess(started.processId, stopTimeoutMs),
    { interruptible: false }
  )
  return {
    socketDirectory,
    port,
    username: "postgres",
    database: "postgres",
    url: `postgresql://postgres@localhost:${port}/postgres?host=${encodeURIComponent(socketDirectory)}`,
    dataDirectory,
    logFile,
    processId: server.processId,
    version: binaries.version
  } satisfies RunningPostgres
})

const baseSettings = (socketDirectory: string) => ({
  listen_addresses: "",
  unix_socket_directories: socketDirectory,
  port,
  timezone: "UTC",
  log_timezone: "UTC"
})

const fastSettings = { fsync: "off", full_page_writes: "off", synchronous_commit: "off" }

const settingArguments = (settings: Readonly<Record<string, string | number | boolean>>): ReadonlyArray<string> =>
  Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])

const ownerOf = (dataDirectory: string | undefined): number | undefined => {
  if (dataDirectory === undefined) return undefined
  return fs.statSync(DataDirectory.clusterOf(dataDirectory), { throwIfNoEntry: false })?.uid
}

const dataFolder = Effect.fnUntraced(function* (
  dataDirectory: string | undefined,
  account: ServerAccount.ServerAccount
) {
  if (dataDirectory === undefined) return yield* temporaryFolder(os.tmpdir(), account)
  const folder = path.resolve(dataDirectory)
  yield* Effect.sync(() => fs.mkdirSync(folder, { recursive: true, mode: 0o755 }))
  return folder
})

const temporaryFolder = (parent: string, account: ServerAccount.ServerAccount) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = fs.mkdtempSync(path.join(parent, "duetime-"))
      if (account.ids !== undefined) fs.chownSync(folder, account.ids.uid, account.ids.gid)
      return folder
    }),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )

const socketParent = (): string => (os.tmpdir().length <= socketDirectoryLengthMax - 16 ? os.tmpdir() : "/tmp")
