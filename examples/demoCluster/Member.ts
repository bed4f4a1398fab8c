/** One process of the cluster: `duetime engine` or `duetime worker` as anybody runs it, started, killed and stopped from here. */
import { Clock, Effect, Schema } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

export type MemberOptions = {
  readonly name: string
  /** Of the command line. */
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  /** Its stderr goes here, line by line, with its name. */
  readonly log: string
}

/** How a process ended that was asked to. */
export type Stopped = { readonly exitCode: number | null; readonly tookMs: number }

const startTimeoutMs = 60_000
/** Above the 20 s that a worker gives its attempts, and the 6 s after them. */
const stopTimeoutMs = 30_000
const healthTimeoutMs = 2_000

export class Member {
  readonly name: string
  readonly #options: MemberOptions
  #child: ChildProcess | undefined
  #healthPort = 0
  #isExpectedToEnd = false
  /** Of the processes before this one, as they last said. */
  #republishedBefore = 0
  #republished = 0
  /** How processes ended that nobody had asked to. */
  readonly unasked: Array<string> = []

  constructor(options: MemberOptions) {
    this.name = options.name
    this.#options = options
  }

  /** Whether it has told that each of its consumers has a part of its topics; engines have none. */
  isFed = false
  /** Dispatches its engines have published again, as far as they told before they were killed. */
  get republished(): number {
    return this.#republishedBefore + this.#republished
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Done when it says that it has started. */
  readonly start: Effect.Effect<void, Error> = Effect.suspend(() => {
    const { args, env, log, name } = this.#options
    this.#republishedBefore += this.#republished
    this.#republished = 0
    this.#isExpectedToEnd = false
    // A session of its own: a terminal's Ctrl-C reaches the demo, which then stops the cluster in order.
    const child = fork(program, [...args, "--health-port", "0"], {
      execArgv: ["--import", endWithParent],
      env: { ...process.env, ...env },
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"]
    })
    this.#child = child
    return Effect.callback<void, Error>((resume) => {
      let last = ""
      child.once("exit", (code, signal) => {
        if (!this.#isExpectedToEnd) this.unasked.push(`${name} ended with ${code ?? signal}: ${last}`)
        resume(Effect.fail(new Error(`${name} ended with ${code ?? signal} at once: ${last}`)))
      })
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        for (const line of text.split("\n").filter((line) => line !== "")) {
          last = line
          fs.appendFileSync(log, `process="${name}" ${line}\n`)
          this.#healthPort = Number(/health port open.* port=(\d+)/.exec(line)?.[1] ?? this.#healthPort)
          if (/(engine|worker) started/.test(line)) resume(Effect.void)
        }
      })
    }).pipe(
      Effect.timeoutOrElse({
        duration: startTimeoutMs,
        orElse: () => Effect.fail(new Error(`${name} had not started after ${startTimeoutMs} ms`))
      })
    )
  })

  readonly kill: Effect.Effect<Stopped> = Effect.suspend(() => this.#end("SIGKILL"))

  /** SIGTERM, and in the end SIGKILL. */
  readonly stop: Effect.Effect<Stopped> = Effect.suspend(() => this.#end("SIGTERM")).pipe(
    Effect.timeoutOrElse({ duration: stopTimeoutMs, orElse: () => this.kill })
  )

  readonly #end = (signal: NodeJS.Signals) =>
    Effect.gen({ self: this }, function* () {
      const beganAtMs = yield* Clock.currentTimeMillis
      this.#isExpectedToEnd = true
      const child = this.#child
      if (child === undefined || !this.isRunning) return { exitCode: child?.exitCode ?? null, tookMs: 0 }
      const exitCode = yield* Effect.callback<number | null>((resume) => {
        child.once("exit", (code) => resume(Effect.succeed(code)))
        child.kill(signal)
      })
      return { exitCode, tookMs: (yield* Clock.currentTimeMillis) - beganAtMs }
    })

  /** Asks /readyz and keeps what it says. */
  readonly look: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.isRunning || this.#healthPort === 0) return Effect.void
    const url = `http://127.0.0.1:${this.#healthPort}/readyz`
    return Effect.tryPromise(async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(healthTimeoutMs) })
      const { broker, engine } = decodeHealth(await response.text())
      this.#republished = engine?.republishedCount ?? 0
      this.isFed = broker?.consumers.every(({ assignedPartitions }) => assignedPartitions > 0) ?? false
    }).pipe(Effect.ignore)
  })
}

const program = path.join(import.meta.dirname, "../../src/cli/main.ts")
const endWithParent = path.join(import.meta.dirname, "endWithParent.ts")

const decodeHealth = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({
      engine: Schema.NullOr(Schema.Struct({ republishedCount: Schema.Int })),
      broker: Schema.NullOr(
        Schema.Struct({ consumers: Schema.Array(Schema.Struct({ assignedPartitions: Schema.Int })) })
      )
    })
  )
)
