/** One place in the fleet: a `duetime engine`, `worker` or `run` as anybody runs it, and after its end the next one. */
import { type Clock, Effect } from "effect"
import { type ChildProcess, fork, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Role } from "./Action.ts"
import type { ShiftClock } from "./shiftedClock.ts"

export type MemberOptions = {
  readonly name: string
  readonly role: Role | "run"
  /** Of the command line, after the role. */
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  /** Its stderr goes here, line by line, with its name. */
  readonly log: string
}

export type Killed = { readonly processId: number; readonly atMs: number }

/** Above the 20 s that a worker gives its attempts, and the 6 s after them. */
const stopTimeoutMs = 30_000

export class Member {
  readonly name: string
  readonly role: Role | "run"
  readonly #options: MemberOptions
  readonly #clock: Clock.Clock
  #child: ChildProcess | undefined
  #isExpectedToEnd = false
  #isPaused = false
  #startedAtMs: number | undefined
  #clockOffsetMs = 0
  #lastLine = ""
  /** Of all its processes so far. */
  readonly processIds: Array<number> = []
  /** How processes ended that nobody had sent a signal. */
  readonly unasked: Array<string> = []
  /** How processes ended that were asked to, where that was not in order. */
  readonly unclean: Array<string> = []

  constructor(options: MemberOptions, clock: Clock.Clock) {
    this.name = options.name
    this.role = options.role
    this.#options = options
    this.#clock = clock
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get processId(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  /** Whether the place is empty although nobody has emptied it. */
  get isVacant(): boolean {
    return !this.isRunning && !this.#isExpectedToEnd
  }

  /** For how long it has said that it runs, and has not been frozen; 0 before. */
  get upMs(): number {
    if (!this.isRunning || this.#isPaused || this.#startedAtMs === undefined) return 0
    return this.#clock.currentTimeMillisUnsafe() - this.#startedAtMs
  }

  readonly start: Effect.Effect<void> = Effect.sync(() => {
    const { args, env, log, name, role } = this.#options
    this.#isExpectedToEnd = false
    this.#startedAtMs = undefined
    // A session of its own: a terminal's Ctrl-C reaches the harness, which then stops the fleet in order.
    const child = fork(program, [role, ...args], {
      execArgv: ["--import", endWithHarness, "--import", shiftedClock],
      // A process that is started anew finds the clock of its node as it is.
      env: { ...process.env, ...env, CHAOS_CLOCK_OFFSET_MS: String(this.#clockOffsetMs) },
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"]
    })
    this.#child = child
    if (child.pid !== undefined) this.processIds.push(child.pid)
    child.once("exit", (code, signal) => {
      if (!this.#isExpectedToEnd) this.unasked.push(`${name} ended with ${code ?? signal}: ${this.#lastLine}`)
    })
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      for (const line of text.split("\n").filter((line) => line !== "")) {
        this.#lastLine = line
        fs.appendFileSync(log, `process="${name} ${child.pid}" ${line}\n`)
        if (/(engine|worker|run) started/.test(line)) this.#startedAtMs = this.#clock.currentTimeMillisUnsafe()
      }
    })
  })

  /** The wall clock of its node is off by so much from now on; 0: it is right again. */
  readonly shiftClock = (clockOffsetMs: number): Effect.Effect<void> =>
    Effect.sync(() => {
      this.#clockOffsetMs = clockOffsetMs
      // Nobody there to hear it: the next process is told at its start.
      if (this.isRunning) this.#child?.send({ clockOffsetMs } satisfies ShiftClock, () => undefined)
    })

  /** SIGKILL; null if it did not run. */
  readonly kill: Effect.Effect<Killed | null> = Effect.suspend(() => {
    const atMs = this.#clock.currentTimeMillisUnsafe()
    const processId = this.#child?.pid
    if (processId === undefined || !this.isRunning) return Effect.succeed(null)
    return Effect.as(this.#end("SIGKILL"), { processId, atMs })
  })

  /** SIGTERM, and in the end SIGKILL. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => this.#end("SIGTERM")).pipe(
    Effect.tap((ended) =>
      Effect.sync(() => {
        if (ended !== 0) this.unclean.push(`${this.name} was stopped and ended with ${ended}: ${this.#lastLine}`)
      })
    ),
    Effect.timeoutOrElse({
      duration: stopTimeoutMs,
      orElse: () => {
        this.unclean.push(`${this.name} was stopped and had not ended after ${stopTimeoutMs} ms: ${this.#lastLine}`)
        return this.#end("SIGKILL")
      }
    }),
    Effect.asVoid,
    Effect.interruptible
  )

  readonly #end = (signal: "SIGTERM" | "SIGKILL") =>
    Effect.callback<number | string | null>((resume) => {
      this.#isExpectedToEnd = true
      const child = this.#child
      if (child === undefined || !this.isRunning) return resume(Effect.succeed(0))
      child.once("exit", (code, ended) => resume(Effect.succeed(code ?? ended)))
      child.kill(signal)
    })

  /** SIGSTOP, and SIGCONT after a while, by a process that does so whatever becomes of the harness. */
  readonly pause = (pauseMs: number): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const child = this.#child
      if (child?.pid === undefined || !this.isRunning) return resume(Effect.void)
      this.#isPaused = true
      const args = ["-c", freezeAndThaw, "sh", String(child.pid), String(pauseMs / 1_000)]
      const helper = spawn("/bin/sh", args, { stdio: "ignore" })
      const thawed = () => {
        this.#isPaused = false
        this.#startedAtMs = this.#clock.currentTimeMillisUnsafe()
        resume(Effect.void)
      }
      helper.once("exit", thawed)
      helper.once("error", thawed)
      return Effect.sync(() => {
        helper.kill("SIGKILL")
        child.kill("SIGCONT")
        this.#isPaused = false
      })
    })
}

const program = path.join(import.meta.dirname, "../../src/cli/main.ts")
const endWithHarness = path.join(import.meta.dirname, "endWithHarness.ts")
const shiftedClock = path.join(import.meta.dirname, "shiftedClock.ts")

/** Ctrl-C of a terminal must not end it between the two. */
const freezeAndThaw = 'trap "" INT TERM HUP; kill -STOP "$1" && sleep "$2"; kill -CONT "$1"'
