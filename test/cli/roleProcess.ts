/** `duetime engine`, `worker` and `run` as the processes they are. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import type { Environment } from "./runCli.ts"

export class RoleProcess {
  stderr = ""
  stdout = ""
  readonly #process: ChildProcess
  readonly #ended: Promise<{ readonly status: number | null; readonly signal: string | null }>

  constructor(args: ReadonlyArray<string>, env: Environment) {
    this.#process = spawn(process.execPath, ["src/cli/main.ts", ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.#process.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()))
    this.#process.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()))
    this.#ended = once(this.#process, "close").then(([status, signal]) => ({ status, signal }))
  }

  /** The first groups of what fits in its log, as soon as it is there. */
  async logged(pattern: RegExp): Promise<ReadonlyArray<string>> {
    while (true) {
      const found = pattern.exec(this.stderr)
      if (found !== null) return [...found].slice(1)
      const arrived = new Promise((resolve) => this.#process.stderr?.once("data", resolve))
      const ended = await Promise.race([arrived.then(() => null), this.#ended])
      if (ended !== null && !pattern.test(this.stderr)) {
        throw new Error(`ended with ${ended.status} before logging ${pattern}:\n${this.stderr}`)
      }
    }
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill(signal)
  }

  get ended() {
    return this.#ended
  }
}
