/**
 * The life of one postmaster: spawn, wait until it says `ready` in its own postmaster.pid, stop.
 *
 * The server gets a session of its own, so Ctrl-C in a terminal reaches Node first and the engine can drain while
 * the database still answers. Its log goes to a file, never to a pipe that would break when Node dies.
 */
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { EmbeddedPostgresFailed } from "./EmbeddedPostgresError.ts"
import type { BoundCommand } from "./ServerAccount.ts"

/** How often a state outside this process (a file, another process) is looked at. */
const lookIntervalMs = 10
/** PostgreSQL itself kills its children 5 s after SIGQUIT. */
const immediateStopTimeoutMs = 10_000
/** How much of the log an error carries. */
const logTailLengthMax = 2_000

/** Starts the server and waits until it takes connections. The scope stops it, also after a start that failed. */
export const start = Effect.fnUntraced(function* (server: {
  readonly command: BoundCommand
  readonly cluster: string
  readonly logFile: string
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
}) {
  const ready = Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(launch(server.command, server.logFile), ({ processId }) =>
      stopProcess(processId, server.stopTimeoutMs)
    )
    yield* untilReady(child, server)
    return child.processId
  })
  return yield* ready.pipe(
    // Backends outlive a postmaster that was killed for a moment, and hold its shared memory.
    Effect.retry({ while: (error) => error.message.includes("pre-existing shared memory block"), schedule: lookAgain }),
    Effect.timeoutOrElse({
      duration: server.startTimeoutMs,
      orElse: () => Effect.fail(failed(`was not ready after ${server.startTimeoutMs} ms`, server.logFile))
    })
  )
})

/** Fast stop; after `stopTimeoutMs` an immediate stop, from which the next start recovers by its write-ahead log. */
export const stopProcess = Effect.fnUntraced(function* (processId: number, stopTimeoutMs: number) {
  for (const [name, timeoutMs] of [
    ["SIGINT", stopTimeoutMs],
    ["SIGQUIT", immediateStopTimeoutMs]
  ] as const) {
    signal(processId, name)
    const gone = yield* untilGone(processId).pipe(Effect.timeoutOption(timeoutMs))
    if (gone._tag === "Some") return
  }
  signal(processId, "SIGKILL")
  yield* untilGone(processId)
})

export const isAlive = (processId: number): boolean => {
  try {
    process.kill(processId, 0)
  } catch (cause) {
    // EPERM: it lives, under another account.
    if (!(cause instanceof Error && "code" in cause && cause.code === "EPERM")) return false
  }
  return statFields(processId)[0] !== "Z"
}

/** Start time in the machine's own ticks, so that a number given to a new process is not taken for the old one. */
export const processStart = (processId: number): string => statFields(processId)[19] ?? "unknown"

/** /proc/<pid>/stat after the program's name, which may itself hold spaces and brackets. */
const statFields = (processId: number): ReadonlyArray<string> => {
  const stat = read(`/proc/${processId}/stat`)
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

interface Launched {
  readonly processId: number
  readonly child: ChildProcess
}

const launch = (command: BoundCommand, logFile: string) =>
  Effect.callback<Launched, EmbeddedPostgresFailed>((resume) => {
    const log = fs.openSync(logFile, "a", 0o600)
    const child = spawn(command.file, command.args, {
      ...command.options,
      detached: true,
      stdio: [command.watchesPipe ? "pipe" : "ignore", log, log]
    })
    fs.closeSync(log)
    child.stdin?.on("error", () => undefined)
    // The server must not keep Node alive once everything else has ended.
    child.unref()
    child.once("error", (cause) => resume(failed(`could not be spawned: ${cause.message}`, logFile)))
    child.once("spawn", () => {
      if (child.pid !== undefined) resume(Effect.succeed({ processId: child.pid, child }))
    })
  })

const untilReady = Effect.fnUntraced(function* (
  { processId, child }: Launched,
  { cluster, logFile }: { readonly cluster: string; readonly logFile: string }
) {
  const pidFile = path.join(cluster, "postmaster.pid")
  while (true) {
    const lines = read(pidFile).split("\n")
    if (lines[0] === String(processId) && lines[7]?.trim() === "ready") return
    if (child.exitCode !== null || child.signalCode !== null) {
      return yield* failed(`ended at once with ${child.exitCode ?? child.signalCode}`, logFile)
    }
    yield* Effect.sleep(lookIntervalMs)
  }
})

const untilGone = Effect.fnUntraced(function* (processId: number) {
  while (isAlive(processId)) yield* Effect.sleep(lookIntervalMs)
})

const lookAgain = Schedule.spaced(lookIntervalMs * 10)

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
    message: `PostgreSQL ${what}. The end of ${logFile}:\n${read(logFile).slice(-logTailLengthMax)}`
  })

const read = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}
