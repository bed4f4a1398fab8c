/**
 * The life of one server: spawn, wait until it is ready by its own account, stop.
 *
 * The server gets a session of its own, so Ctrl-C in a terminal reaches Node first and the engine can drain while
 * the database still answers. Its log goes to a file, never to a pipe that would break when Node dies.
 */
import { Data, Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { BoundCommand } from "./ServerAccount.ts"

/** How often a state outside this process (a file, another process) is looked at. */
const lookIntervalMs = 10
/** PostgreSQL kills its children 5 s after SIGQUIT. */
const immediateStopTimeoutMs = 10_000
/** How much of the log an error carries. */
const logTailLengthMax = 2_000

/** It could not be spawned, ended at once or was not ready in time; the message carries the end of its log. */
export class StartFailed extends Data.TaggedError("StartFailed")<{ readonly message: string }> {}

/** What stops a server: cleanly, and at once with a recovery at its next start. */
export interface StopSignals {
  readonly clean: NodeJS.Signals
  readonly immediate: NodeJS.Signals
}

export interface Server {
  /** How messages call it. */
  readonly name: string
  readonly command: BoundCommand
  readonly logFile: string
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
  readonly stopSignals: StopSignals
  /** Called once the process is there, long before it is ready. */
  readonly onSpawn?: (processId: number) => void
  /** Asked again every 10 ms until it is true. */
  readonly isReady: (processId: number) => Effect.Effect<boolean>
  /** Whether a start that ended with this message is worth another one, within the same time. */
  readonly isPassing?: (message: string) => boolean
}

/** Starts the server and waits until it is ready. The scope stops it, also after a start that failed. */
export const start = Effect.fnUntraced(function* (server: Server) {
  const ready = Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(launch(server), ({ processId }) =>
      stopProcess(processId, server.stopTimeoutMs, server.stopSignals)
    )
    server.onSpawn?.(child.processId)
    yield* untilReady(child, server)
    return child.processId
  })
  return yield* ready.pipe(
    Effect.retry({ while: ({ message }) => server.isPassing?.(message) ?? false, schedule: lookAgain }),
    Effect.timeoutOrElse({
      duration: server.startTimeoutMs,
      orElse: () => Effect.fail(failed(server, `was not ready after ${server.startTimeoutMs} ms`))
    })
  )
})

/** Clean stop; after `stopTimeoutMs` an immediate stop, from which the next start recovers by the server's own log. */
export const stopProcess = Effect.fnUntraced(function* (
  processId: number,
  stopTimeoutMs: number,
  { clean, immediate }: StopSignals
) {
  for (const [name, timeoutMs] of [
    [clean, stopTimeoutMs],
    [immediate, immediateStopTimeoutMs]
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

const launch = (server: Server) =>
  Effect.callback<Launched, StartFailed>((resume) => {
    const { command, logFile } = server
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
    child.once("error", (cause) => resume(failed(server, `could not be spawned: ${cause.message}`)))
    child.once("spawn", () => {
      if (child.pid !== undefined) resume(Effect.succeed({ processId: child.pid, child }))
    })
  })

const untilReady = Effect.fnUntraced(function* ({ processId, child }: Launched, server: Server) {
  while (true) {
    if (yield* server.isReady(processId)) return
    if (child.exitCode !== null || child.signalCode !== null) {
      return yield* failed(server, `ended at once with ${child.exitCode ?? child.signalCode}`)
    }
    yield* Effect.sleep(lookIntervalMs)
  }
})

export const untilGone = Effect.fnUntraced(function* (processId: number) {
  while (isAlive(processId)) yield* Effect.sleep(lookIntervalMs)
})

const lookAgain = Schedule.spaced(lookIntervalMs * 10)

export const signal = (processId: number, name: NodeJS.Signals): void => {
  try {
    process.kill(processId, name)
  } catch {
    // Already gone.
  }
}

const failed = ({ name, logFile }: Server, what: string) =>
  new StartFailed({ message: `${name} ${what}. The end of ${logFile}:\n${read(logFile).slice(-logTailLengthMax)}` })

/** The log of the server in this folder. That of the run before, which may tell why it ended, becomes `server.log.1`. */
export const rotateLog = (dataDirectory: string): string => {
  const logFile = path.join(dataDirectory, "server.log")
  if (fs.existsSync(logFile)) fs.renameSync(logFile, `${logFile}.1`)
  return logFile
}

/** The whole file, empty if there is none. */
export const read = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}
