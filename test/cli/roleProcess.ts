/** `duetime engine`, `worker` and `run` as the processes they are. */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { TestDatabase } from "../setup/database.ts"
import { type Environment, runCli } from "./runCli.ts"

/** A module of handlers for the kinds greet and slow. */
export const greet = "test/cli/modules/greet.ts"

/** Test servers keep nothing through a crash, and say so. */
export const environment = Effect.map(TestDatabase, ({ url }) => ({
  DUETIME_DATABASE_URL: url,
  DUETIME_UNSAFE_DURABILITY: "true",
  DUETIME_MIGRATE: "true"
}))

/** Starts a role on the test's database; the scope ends it. */
export const role = (
  args: ReadonlyArray<string>,
  env: Environment = {}
): Effect.Effect<RoleProcess, never, TestDatabase | Scope.Scope> =>
  Effect.flatMap(environment, (ownEnv) =>
    Effect.acquireRelease(
      Effect.sync(() => new RoleProcess(args, { ...ownEnv, ...env })),
      (started) =>
        Effect.promise(() => {
          started.kill("SIGKILL")
          return started.ended
        })
    )
  )

export const logged = (running: RoleProcess, pattern: RegExp) => Effect.promise(() => running.logged(pattern))

export const schedule = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { stderr, stdout } = yield* runCli(["schedule", ...args, "--json"], yield* environment)
  assert.strictEqual(stderr, "")
  return (JSON.parse(stdout) as { readonly id: string }).id
})

export const stageOf = Effect.fnUntraced(function* (id: string) {
  const { stdout } = yield* runCli(["task", id, "--json"], yield* environment)
  return (JSON.parse(stdout) as { readonly task: { readonly stage: string } }).task.stage
})

type Readiness = {
  readonly status: string
  readonly checks: ReadonlyArray<object>
  readonly broker: { readonly connected: boolean } | null
}

export const readiness = (port: string) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`)
    return { status: response.status, body: (await response.json()) as Readiness }
  })

/** Looks again and again, until the test's own time is over. */
export const until = <E, R>(isSo: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(
    Effect.tap(isSo, (so) => (so ? Effect.void : Effect.sleep("50 millis"))),
    { until: (so) => so }
  )

export class RoleProcess {
  stderr = ""
  stdout = ""
  readonly #process: ChildProcess
  readonly #ended: Promise<{ readonly status: number | null; readonly signal: string | null }>

  /** @param folder that it works in, and of the sources that it runs; default this repository for both */
  constructor(
    args: ReadonlyArray<string>,
    env: Environment,
    { folder = process.cwd(), sources = process.cwd() }: { readonly folder?: string; readonly sources?: string } = {}
  ) {
    this.#process = spawn(process.execPath, [path.join(sources, "src/cli/main.ts"), ...args], {
      cwd: folder,
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.#process.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()))
    this.#process.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()))
    this.#ended = once(this.#process, "close").then(([status, signal]) => ({ status, signal }))
  }

  /** The first groups of what fits in its log, as soon as it is there. */
  logged(pattern: RegExp): Promise<ReadonlyArray<string>> {
    return this.#said("stderr", pattern)
  }

  /** The same of what it shows. */
  shown(pattern: RegExp): Promise<ReadonlyArray<string>> {
    return this.#said("stdout", pattern)
  }

  async #said(stream: "stderr" | "stdout", pattern: RegExp): Promise<ReadonlyArray<string>> {
    while (true) {
      const found = pattern.exec(this[stream])
      if (found !== null) return [...found].slice(1)
      const arrived = new Promise((resolve) => this.#process[stream]?.once("data", resolve))
      const ended = await Promise.race([arrived.then(() => null), this.#ended])
      if (ended !== null && !pattern.test(this[stream])) {
        throw new Error(`ended with ${ended.status} before saying ${pattern}:\n${this.stdout}${this.stderr}`)
      }
    }
  }

  get processId(): number {
    return this.#process.pid ?? 0
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill(signal)
  }

  get ended() {
    return this.#ended
  }
}
