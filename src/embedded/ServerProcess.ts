/**
 * The life of one postmaster: spawn, wait until it says `ready` in its own postmaster.pid, stop.
 *
 * The server gets a session of its own, so Ctrl-C in a terminal reaches Node first and the engine can drain while
 * the database still answers. Its log goes to a file, never to a pipe that would break when Node dies.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { EmbeddedPostgresFailed } from "./EmbeddedPostgresError.ts"
import type { AccountCommand } from "./ServerAccount.ts"

/** How often a state outside this process (a file, another process) is looked at. */
const lookIntervalMs = 10
/** How much of the log an error carries. */
const logTailLengthMax = 2_000

export interface ServerProcess {
  readonly processId: number
  readonly child: ChildProcess
}

export const start = Effect.fnUntraced(function* (
  command: AccountCommand,
  cluster: string,
  logFile: string,
  startTimeoutMs: number
) {
  const server = yield* launch(command, logFile)
  const outcome = yield* untilReadyOrGone(server, cluster).pipe(Effect.timeoutOption(startTimeoutMs))
  if (outcome._tag === "Some" && outcome.value === "ready") return server
  yield* stopProcess(server.processId, 0)
  return yield* failed(outcome._tag === "None" ? `was not ready after ${startTimeoutMs} ms` : "ended at once", logFile)
})

/** Fast stop; after `stopTimeoutMs` an immediate stop, from which the next start recovers by its log. */
export const stopProcess = Effect.fnUntraced(function* (processId: number, stopTimeoutMs: number) {
  if (stopTimeoutMs > 0) {
    signal(processId, "SIGINT")
    const gone = yield* untilGone(processId).pipe(Effect.timeoutOption(stopTimeoutMs))
    if (gone._tag === "Some") return
  }
  signal(processId, "SIGQUIT")
  const gone = yield* untilGone(processId).pipe(Effect.timeoutOption(immediateStopTimeoutMs))
  if (gone._tag === "None") signal(processId, "SIGKILL")
  yield* untilGone(processId)
})

/** PostgreSQL itself kills its children 5 s after SIGQUIT. */
const immediateStopTimeoutMs = 10_000

export const isAlive = (processId: number): boolean => {
  try {
    process.kill(processId, 0)
  } catch (cause) {
    // EPERM: it lives, under another account.
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return false
  }
  return processState(processId) !== "Z"
}

/** Start time in the machine's own ticks, so that a number given to a new process is not taken for the old one. */
export const processStart = (processId: number): string => statFields(processId)[19] ?? "unknown"

const processState = (processId: number): string | undefined => statFields(processId)[0]

/** /proc/<pid>/stat after the program's name, which may itself hold spaces and brackets. */
const statFields = (processId: number): ReadonlyArray<string> => {
  try {
    const stat = fs.readFileSync(`/proc/${processId}/stat`, "utf8")
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return []
  }
}

const launch = (command: AccountCommand, logFile: string) =>
  Effect.callback<ServerProcess, EmbeddedPostgresFailed>((resume) => {
    const log = fs.openSync(logFile, "a", 0o600)
    const child = spawn(command.file, command.args, {
      ...command.options,
      detached: true,
      stdio: ["pipe", log, log]
    })
    fs.closeSync(log)
    child.stdin?.on("error", () => undefined)
    child.once("error", (cause) => resume(failed(`could not be spawned: ${cause.message}`, logFile)))
    child.once("spawn", () => {
      if (child.pid !== undefined) resume(Effect.succeed({ processId: child.pid, child }))
      // The server must not keep Node alive once everything else has ended.
      child.unref()
    })
  })

const untilReadyOrGone = Effect.fnUntraced(function* (server: ServerProcess, cluster: string) {
  const pidFile = path.join(cluster, "postmaster.pid")
  while (true) {
    if (server.child.exitCode !== null || server.child.signalCode !== null) return "gone"
    const lines = readLines(pidFile)
    if (lines[0] === String(server.processId) && lines[7]?.trim() === "ready") return "ready"
    yield* Effect.sleep(lookIntervalMs)
  }
})

const untilGone = Effect.fnUntraced(function* (processId: number) {
  while (isAlive(processId)) yield* Effect.sleep(lookIntervalMs)
})

const signal = (processId: number, name: NodeJS.Signals): void => {
  try {
    process.kill(processId, name)
  } catch {
    // Already gone.
  }
}

const failed = (what: string, logFile: string) =>
  new EmbeddedPostgresFailed({
    step: "start",
    message: `PostgreSQL ${what}. The end of ${logFile}:\n${readLines(logFile).join("\n").slice(-logTailLengthMax)}`
  })

const readLines = (file: string): ReadonlyArray<string> => {
  try {
    return fs.readFileSync(file, "utf8").split("\n")
  } catch {
    return []
  }
}
