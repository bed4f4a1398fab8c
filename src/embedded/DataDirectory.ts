/**
 * One folder, one server, one process that owns it.
 *
 *   <dataDirectory>/owner     process id and start time of the Node process that runs the server
 *   <dataDirectory>/cluster   PGDATA, made by initdb beside its place and then renamed, so that a half-made one never stays
 *   <dataDirectory>/server.log  (and server.log.1 of the run before)
 *
 * The owner file appears by link(2): whole or not at all, and for one of two rivals only. A file of a dead process is
 * taken over, then the server it may have left (SIGKILL where the kernel could not tell it) is stopped before ours starts.
 */
import { Effect, type Scope } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { EmbeddedPostgresFailed } from "./EmbeddedPostgresError.ts"
import type { PostgresBinaries } from "./PostgresBinaries.ts"
import { type ServerAccount, commandAs } from "./ServerAccount.ts"
import { isAlive, processStart, stopProcess } from "./ServerProcess.ts"

/** Rivals for one folder try this often to become its owner before they give up. */
const ownAttemptsMax = 5

export const clusterOf = (dataDirectory: string): string => path.join(dataDirectory, "cluster")
export const logOf = (dataDirectory: string): string => path.join(dataDirectory, "server.log")

/** Takes the folder until the scope closes. Fails while another living process owns it. */
export const own = (dataDirectory: string): Effect.Effect<void, EmbeddedPostgresFailed, Scope.Scope> =>
  Effect.acquireRelease(acquireOwner(dataDirectory), () =>
    Effect.sync(() => fs.rmSync(ownerFile(dataDirectory), { force: true }))
  )

/** Stops a server that a dead owner left on this folder. */
export const stopLeftover = Effect.fnUntraced(function* (dataDirectory: string, stopTimeoutMs: number) {
  const pidFile = path.join(clusterOf(dataDirectory), "postmaster.pid")
  const processId = Number(firstLine(pidFile))
  if (!Number.isInteger(processId) || processId <= 1 || !isAlive(processId)) return
  if (worksIn(processId, clusterOf(dataDirectory))) {
    yield* Effect.logWarning(`Stopping PostgreSQL ${processId}, left on ${dataDirectory} by a process that was killed`)
    yield* stopProcess(processId, stopTimeoutMs)
    return
  }
  // The number now belongs to some other program, for which PostgreSQL would refuse to start.
  yield* Effect.sync(() => fs.rmSync(pidFile, { force: true }))
})

/** Makes the cluster if the folder has none. */
export const initialise = Effect.fnUntraced(function* (
  dataDirectory: string,
  binaries: PostgresBinaries,
  account: ServerAccount,
  durable: boolean
) {
  const cluster = clusterOf(dataDirectory)
  if (fs.existsSync(path.join(cluster, "PG_VERSION"))) return
  const unfinished = path.join(dataDirectory, "cluster.unfinished")
  yield* Effect.sync(() => {
    fs.rmSync(unfinished, { recursive: true, force: true })
    fs.mkdirSync(unfinished, { mode: 0o700 })
    if (account.ids !== undefined) fs.chownSync(unfinished, account.ids.uid, account.ids.gid)
  })
  const { file, args, options } = commandAs(account, binaries.initdb, [
    `--pgdata=${unfinished}`,
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    ...(durable ? [] : ["--no-sync"])
  ])
  yield* Effect.callback<void, EmbeddedPostgresFailed>((resume) => {
    const child = execFile(file, args, options, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.void
          : new EmbeddedPostgresFailed({
              step: "initdb",
              message: `initdb in ${unfinished} as ${account.name} failed: ${stderr.trim() || stdout.trim() || error.message}`
            })
      )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })
  yield* Effect.sync(() => fs.renameSync(unfinished, cluster))
})

const ownerFile = (dataDirectory: string): string => path.join(dataDirectory, "owner")

const acquireOwner = (dataDirectory: string) =>
  Effect.try({
    try: () => {
      const file = ownerFile(dataDirectory)
      const mine = `${file}.${process.pid}`
      fs.writeFileSync(mine, `${process.pid} ${processStart(process.pid)}`)
      try {
        for (let attempt = 1; attempt <= ownAttemptsMax; attempt++) {
          if (linkIfAbsent(mine, file)) return
          const holder = readIfThere(file)
          if (holder === undefined) continue
          if (isHeld(holder)) throw new Error(`process ${holder.split(" ")[0]} runs a server on it. Stop that process`)
          removeIfStill(file, holder)
        }
        throw new Error("other processes try to start on it at the same time. Start one only")
      } finally {
        fs.rmSync(mine, { force: true })
      }
    },
    catch: (cause) =>
      new EmbeddedPostgresFailed({
        step: "own",
        message:
          `${dataDirectory} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}, ` +
          "choose another folder, or set DUETIME_DATABASE_URL."
      })
  })

const linkIfAbsent = (existing: string, file: string): boolean => {
  try {
    fs.linkSync(existing, file)
    return true
  } catch (cause) {
    if (hasCode(cause, "EEXIST")) return false
    throw cause
  }
}

/** Two rivals may both find a dead owner; whoever moved away the other's fresh file puts it back. */
const removeIfStill = (file: string, holder: string): void => {
  const moved = `${file}.dead.${process.pid}`
  try {
    fs.renameSync(file, moved)
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return
    throw cause
  }
  if (readIfThere(moved) !== holder) linkIfAbsent(moved, file)
  fs.rmSync(moved, { force: true })
}

export const isHeld = (holder: string): boolean => {
  const [processId, start] = holder.split(" ")
  return isAlive(Number(processId)) && processStart(Number(processId)) === start
}

const worksIn = (processId: number, cluster: string): boolean => {
  try {
    return fs.readlinkSync(`/proc/${processId}/cwd`) === fs.realpathSync(cluster)
  } catch {
    // Without /proc we cannot tell; PostgreSQL wrote the file, so believe it.
    return !fs.existsSync("/proc/self")
  }
}

const firstLine = (file: string): string | undefined => readIfThere(file)?.split("\n")[0]

export const readIfThere = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

const hasCode = (cause: unknown, code: string): boolean =>
  cause instanceof Error && "code" in cause && cause.code === code
