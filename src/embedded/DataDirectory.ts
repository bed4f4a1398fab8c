/**
 * What lies in a data folder:
 *
 *   owner         the process that runs the server, see Owner.ts
 *   cluster       PGDATA; initdb works beside it and the finished one is renamed, so that a half-made one never stays
 *   server.log    and server.log.1 of the run before
 */
import { Effect } from "effect"
import { execFile, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { EmbeddedPostgresFailed } from "./EmbeddedPostgresError.ts"
import { syncFolder } from "./Owner.ts"
import type { PostgresBinaries } from "./PostgresBinaries.ts"
import { type ServerAccount, commandAs } from "./ServerAccount.ts"
import { isAlive, read, stopProcess, type StopSignals } from "./ServerProcess.ts"

/** A fast stop, and one that leaves recovery to the next start. */
export const stopSignals: StopSignals = { clean: "SIGINT", immediate: "SIGQUIT" }

export const clusterOf = (dataDirectory: string): string => path.join(dataDirectory, "cluster")

/**
 * How the account names a cluster. In a folder that only root can pass through (a clone under root's home) no path of its
 * leads there, but a process that root puts into it stays in it, and can call it by the link to its own folder.
 */
export const addressFor = (
  account: ServerAccount,
  cluster: string
): { readonly path: string; readonly cwd: string } => {
  if (account.ids === undefined) return { path: cluster, cwd: "/" }
  const { file, args, options } = commandAs(account, "/bin/sh", ["-c", 'cd "$1"', "sh", cluster])
  const reached = spawnSync(file, args, options).status === 0
  return reached ? { path: cluster, cwd: "/" } : { path: "/proc/self/cwd", cwd: cluster }
}

/** Stops a server that a dead owner left on this folder. Call it only as the owner. */
export const stopLeftover = Effect.fnUntraced(function* (dataDirectory: string, stopTimeoutMs: number) {
  const pidFile = path.join(clusterOf(dataDirectory), "postmaster.pid")
  if (!fs.existsSync(pidFile)) return
  const processId = Number(fs.readFileSync(pidFile, "utf8").split("\n")[0])
  if (!Number.isInteger(processId) || processId <= 1 || !isAlive(processId)) return
  if (worksIn(processId, clusterOf(dataDirectory))) {
    yield* Effect.logWarning(`Stopping PostgreSQL ${processId}, left on ${dataDirectory} by a process that was killed`)
    return yield* stopProcess(processId, stopTimeoutMs, stopSignals)
  }
  // The number now belongs to some other program, for which PostgreSQL would refuse to start.
  yield* Effect.sync(() => fs.rmSync(pidFile, { force: true }))
})

/** Forgets the cluster. Call it only as the owner, and with no server on it. */
export const discard = (dataDirectory: string): Effect.Effect<void> =>
  Effect.sync(() => fs.rmSync(clusterOf(dataDirectory), { recursive: true, force: true }))

/** Makes the cluster if the folder has none. `durable`: it must survive a power cut. */
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
  yield* initdb(unfinished, binaries, account, durable)
  yield* Effect.sync(() => {
    fs.renameSync(unfinished, cluster)
    if (durable) syncFolder(dataDirectory)
  })
})

/** PostgreSQL says in a file of its own when it takes connections. */
export const saysReady = (dataDirectory: string, processId: number): boolean => {
  const lines = read(path.join(clusterOf(dataDirectory), "postmaster.pid")).split("\n")
  return lines[0] === String(processId) && lines[7]?.trim() === "ready"
}

const initdb = (cluster: string, binaries: PostgresBinaries, account: ServerAccount, durable: boolean) =>
  Effect.callback<void, EmbeddedPostgresFailed>((resume) => {
    const address = addressFor(account, cluster)
    const settings = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    const { file, args, options } = commandAs(
      account,
      binaries.initdb,
      [`--pgdata=${address.path}`, ...settings, ...(durable ? [] : ["--no-sync"])],
      address.cwd
    )
    const child = execFile(file, args, options, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.void
          : new EmbeddedPostgresFailed({
              step: "initdb",
              message:
                `initdb in ${cluster} as ${account.name} failed: ${stderr.trim() || stdout.trim() || error.message}. ` +
                "Choose another data folder, or set DUETIME_DATABASE_URL."
            })
      )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const worksIn = (processId: number, cluster: string): boolean => {
  try {
    return fs.readlinkSync(`/proc/${processId}/cwd`) === fs.realpathSync(cluster)
  } catch {
    // Without /proc we cannot tell; PostgreSQL wrote the file, so believe it.
    return !fs.existsSync("/proc/self")
  }
}
