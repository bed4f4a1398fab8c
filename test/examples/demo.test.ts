import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"
import type { Summary } from "../../examples/demo/summary.ts"
import { processesOn, untilNothingRuns } from "./processes.ts"

/** Three starts of the whole system, on a machine that may be busy with other tests. */
const timeoutMs = 180_000

const load = ["--tasks", "300", "--burst", "100", "--seconds", "5"]

describe("the demo", () => {
  let directory = ""
  const started: Array<ChildProcess> = []
  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-demo-"))
  })
  afterAll(async () => {
    for (const demo of started) if (isRunning(demo)) demo.kill("SIGKILL")
    await untilNothingRuns(directory)
    fs.rmSync(directory, { recursive: true, force: true })
  })

  const start = (...args: ReadonlyArray<string>) => {
    const demo = spawn(process.execPath, ["examples/demo/main.ts", "--directory", directory, ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    started.push(demo)
    let output = ""
    let log = ""
    demo.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    const ended = once(demo, "close").then(([code, signal]) => ({ code, signal, output, log }))
    /** Resolves with the first progress line that fits, or when the demo has ended. */
    const reached = new Promise<string>((resolve) => {
      demo.stderr.on("data", (chunk: Buffer) => {
        log += chunk.toString()
        const line = log.split("\n").find((line) => / (steady|draining) .* ended [1-9]/.test(line))
        if (line !== undefined) resolve(line)
      })
      demo.once("close", () => resolve(""))
    })
    return { demo, ended, reached }
  }

  it(
    "goes on after kill -9 and after Ctrl-C, leaves nothing running, and ends with every promise held",
    async () => {
      const killed = start(...load)
      assert.match(await killed.reached, /attempts\/s/, "it gets into its stride")
      killed.demo.kill("SIGKILL")
      assert.strictEqual((await killed.ended).signal, "SIGKILL")
      await untilNothingRuns(directory)

      const interrupted = start()
      assert.match(await interrupted.reached, /attempts\/s/, "it goes on")
      interrupted.demo.kill("SIGINT")
      const stopped = await interrupted.ended
      assert.strictEqual(stopped.code, 130, stopped.log)
      assert.match(stopped.log, /goes on with the run that was stopped/)
      assert.match(stopped.log, /Stopped, with nothing left running/)
      assert.deepStrictEqual(processesOn(directory), [])

      const finished = await start("--json").ended
      assert.strictEqual(finished.code, 0, `${finished.log}\n${finished.output}`)
      const summary = JSON.parse(finished.output) as Summary
      assert.deepInclude(summary, { ok: true, resumed: true })
      assert.deepInclude(summary.plan, { fileTasks: 300, burstTasks: 100, steadySeconds: 5 })
      assert.deepInclude(summary.audit, { tasks: 900, violations: 0 })
      assert.deepStrictEqual(
        summary.checks.filter(({ ok }) => !ok),
        []
      )
      const { charges, emails, reports } = summary.deliveries
      assert.strictEqual(emails.distinct + charges.distinct + reports.distinct, 900)
      assert.isAbove(summary.attempts.expired, 0, "kill -9 has cut attempts off")
      assert.isAbove(charges.repeated, 0, "the provider was asked again for what it had done")
      assert.strictEqual(reports.repeated, 0)
    },
    timeoutMs
  )

  it("says what is wrong with a flag, and exits with 2", async () => {
    const { code, log } = await start("--tasks", "many").ended
    assert.strictEqual(code, 2)
    assert.match(log, /--tasks many: give a whole number from 0 to 20000/)
  })
})

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null
