/**
 * A real PostgreSQL 18 from npm, alive exactly as long as a scope.
 *
 * `make` finds the programs, takes the data folder, makes a cluster if there is none, starts the server on a unix
 * socket (no TCP port unless it is asked for, so nothing clashes and nobody outside the machine can reach it) and stops it when the scope closes.
 * The socket's folder is 0700, which is what lets the server trust whoever connects. Without `dataDirectory`
 * everything lives in a temporary folder that goes away with the scope; with it, the next `make` finds the data again, also
 * after SIGKILL or a power cut, because fsync, full_page_writes and synchronous_commit stay on unless `durability` is "none".
 *
 * The server dies with the *thread* that called `make`; do not call it from a worker thread that ends early.
 */
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as DataDirectory from "./DataDirectory.ts"
import { EmbeddedPostgresFailed, type EmbeddedPostgresUnavailable } from "./EmbeddedPostgresError.ts"
import * as Owner from "./Owner.ts"
import * as PostgresBinaries from "./PostgresBinaries.ts"
import * as RunDirectory from "./RunDirectory.ts"
import * as ServerAccount from "./ServerAccount.ts"
import * as ServerProcess from "./ServerProcess.ts"

export { EmbeddedPostgresFailed, EmbeddedPostgresUnavailable } from "./EmbeddedPostgresError.ts"

export interface EmbeddedPostgresOptions {
  /** Folder of the data, made if absent. Default: a temporary one, removed when the scope closes. */
  readonly dataDirectory?: string
  /** Begins with an empty cluster, whatever lies in the folder. */
  readonly fresh?: boolean
  /** Port on 127.0.0.1, for whoever is on this machine: nobody is asked for a password. Default none, only the socket. */
  readonly tcpPort?: number
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
  /** Of the postmaster; another one after `start`. */
  readonly processId: number
  /** For example `postgres (PostgreSQL) 18.4`. */
  readonly version: string
  /** For tests: the immediate stop (SIGQUIT). Connections break, nothing is written, and the next start recovers. */
  readonly crash: Effect.Effect<void>
  /** After `crash`: starts again on the same data, under the same address. */
  readonly start: Effect.Effect<void, EmbeddedPostgresFailed>
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
  inRealTime(run(options))

/** Real processes need it, also inside a test that runs on a test clock. */
const inRealTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

const portDefault = 5432
const startTimeoutMsDefault = 60_000
const stopTimeoutMsDefault = 60_000

const run = Effect.fnUntraced(function* (options: EmbeddedPostgresOptions) {
  const stopTimeoutMs = options.stopTimeoutMs ?? stopTimeoutMsDefault
  const account = yield* ServerAccount.choose(clusterOwner(options.dataDirectory))
  const binaries =
    options.binDirectory === undefined
      ? yield* PostgresBinaries.locate(account)
      : yield* PostgresBinaries.probe(options.binDirectory, account)

  const stopLeftover = (folder: string) => DataDirectory.stopLeftover(folder, stopTimeoutMs)
  const kept = options.dataDirectory === undefined ? undefined : path.resolve(options.dataDirectory)
  const parts = { kind: "postgres", account, stopLeftover, dataDirectory: kept } as const
  const runDirectory = yield* RunDirectory.make(parts).pipe(refused)
  const dataDirectory = kept ?? runDirectory
  if (dataDirectory !== runDirectory) yield* Owner.own(dataDirectory).pipe(refused)
  yield* stopLeftover(dataDirectory)
  if (options.fresh === true) yield* DataDirectory.discard(dataDirectory)
  const durable = dataDirectory !== runDirectory && options.durability !== "none"
  yield* DataDirectory.initialise(dataDirectory, binaries, account, durable)

  const address = DataDirectory.addressFor(account, DataDirectory.clusterOf(dataDirectory))
  const logFile = ServerProcess.rotateLog(dataDirectory)
  const port = options.tcpPort ?? portDefault
  const settings = {
    listen_addresses: options.tcpPort === undefined ? "" : "127.0.0.1",
    unix_socket_directories: runDirectory,
    port,
    timezone: "UTC",
    log_timezone: "UTC",
    ...(options.durability === "none" ? fastSettings : {}),
    ...options.settings
  }
  const server = ServerProcess.start({
    name: "PostgreSQL",
    command: ServerAccount.boundCommandAs(
      account,
      binaries.postgres,
      ["-D", address.path, ...settingArguments(settings)],
      { cwd: address.cwd, signal: "SIGINT" }
    ),
    logFile,
    startTimeoutMs: options.startTimeoutMs ?? startTimeoutMsDefault,
    stopTimeoutMs,
    stopSignals: DataDirectory.stopSignals,
    isReady: (processId) => Effect.sync(() => DataDirectory.saysReady(dataDirectory, processId)),
    // Backends outlive a postmaster that was killed for a moment, and hold its shared memory.
    isPassing: (message) => message.includes("pre-existing shared memory block")
  }).pipe(Effect.mapError(({ message }) => new EmbeddedPostgresFailed({ step: "start", message })))
  const scope = yield* Effect.scope
  const begin = Effect.gen(function* () {
    const life = yield* Scope.fork(scope)
    return { life, processId: yield* Scope.provide(server, life) }
  })
  let current = yield* begin
  return {
    socketDirectory: runDirectory,
    port,
    username: "postgres",
    database: "postgres",
    url: `postgresql://postgres@localhost:${port}/postgres?host=${encodeURIComponent(runDirectory)}`,
    dataDirectory,
    logFile,
    get processId() {
      return current.processId
    },
    version: binaries.version,
    crash: inRealTime(
      Effect.suspend(() => {
        ServerProcess.signal(current.processId, DataDirectory.stopSignals.immediate)
        return Effect.andThen(ServerProcess.untilGone(current.processId), Scope.close(current.life, Exit.void))
      })
    ),
    start: inRealTime(
      Effect.map(begin, (begun) => {
        current = begun
      })
    )
  } satisfies RunningPostgres
})

const refused = Effect.mapError(
  ({ message }: Owner.FolderRefused) =>
    new EmbeddedPostgresFailed({ step: "own", message: `${message} Or set DUETIME_DATABASE_URL.` })
)

const fastSettings = { fsync: "off", full_page_writes: "off", synchronous_commit: "off" }

const settingArguments = (settings: Readonly<Record<string, string | number | boolean>>): ReadonlyArray<string> =>
  Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])

const clusterOwner = (dataDirectory: string | undefined): number | undefined =>
  dataDirectory === undefined
    ? undefined
    : fs.statSync(DataDirectory.clusterOf(dataDirectory), { throwIfNoEntry: false })?.uid
