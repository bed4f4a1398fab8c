/**
 * Goal: what is promised holds while everything fails. Method: a run of `npm run chaos` of two minutes, in which every kind of fault
 * comes, with a small load; beside it runs that are ended early. The time of repairs is left to runs on a quiet machine: here other
 * tests take the processors.
 */
import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"
import { nameOf } from "../../simulations/chaos/Action.ts"
import { planOf } from "../../simulations/chaos/plan.ts"
import type { Report } from "../../simulations/chaos/report.ts"

/** Two minutes of load, start and drain on a machine that may be busy with other tests. */
const timeoutMs = 420_000
const minutes = 2
const ratePerSecond = 40
const seed = 1
const goneLooksMax = 400
const lookIntervalMs = 50

/** Living processes that name the folder in their command line or environment: servers and fleet. */
const processesOn = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false
    try {
      return ["cmdline", "environ"].some((file) =>
        fs.readFileSync(`/proc/${entry}/${file}`, "utf8").includes(directory)
      )
    } catch {
      return false
    }
  })

const untilNothingRuns = async (directory: string) => {
  for (let look = 0; look < goneLooksMax && processesOn(directory).length > 0; look++) {
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
  assert.deepStrictEqual(processesOn(directory), [])
}

describe.concurrent("a chaos run", () => {
  let home = ""
  beforeAll(() => {
    home = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-chaos-test-"))
    fs.chmodSync(home, 0o755)
  })
  const runs: Array<ChildProcess> = []
  afterAll(() => {
    // Of a test that has run out of time; all that it has started ends with it.
    for (const run of runs) run.kill("SIGKILL")
    fs.rmSync(home, { recursive: true, force: true })
  })

  const start = (directory: string, ...args: ReadonlyArray<string>) => {
    const run = spawn(process.execPath, ["simulations/chaos/main.ts", "--directory", directory, ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    runs.push(run)
    let output = ""
    let log = ""
    run.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    const ended = once(run, "close").then(([code, signal]) => ({ code, signal, output, log }))
    /** Until it says so; false if it ends before. */
    const says = (what: string) =>
      new Promise<boolean>((resolve) => {
        run.stderr.on("data", () => log.includes(what) && resolve(true))
        run.once("close", () => resolve(false))
      })
    run.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
    return { run, ended, says }
  }

  it(
    "keeps every promise while processes, PostgreSQL and Kafka fail",
    async () => {
      const directory = path.join(home, "whole")
      const flags = { minutes, rate: ratePerSecond, seed }
      const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)])
      const { code, log, output } = await start(directory, ...args, "--json").ended
      assert.notStrictEqual(output, "", log)
      const report = JSON.parse(output) as Report
      assert.strictEqual(report.ok, code === 0)
      const broken = report.checks.filter(({ id, ok }) => !ok && !id.endsWith("-repaired"))
      assert.deepStrictEqual(broken, [], log)
      assert.strictEqual(report.figures["acknowledged"], minutes * 60 * ratePerSecond)
      const kinds = new Set(planOf(seed, minutes).faults.map(({ action }) => nameOf(action)))
      const missing = [...kinds].filter((kind) => (report.faults[kind] ?? 0) === 0)
      // A lane that runs late on a busy machine leaves out its last.
      assert.isAtMost(missing.length, 2, missing.join(", "))
      const counts = new Map(report.counts.map(({ done, what }) => [what, done]))
      assert.isAtLeast(counts.get("SIGKILLs") ?? 0, 12)
      assert.isAtLeast(counts.get("SIGKILLs of engines") ?? 0, 6)
      assert.isAtLeast(counts.get("terminated backends") ?? 0, 10)
      assert.isAbove(report.repair.attempts.count + report.repair.claims.count, 0)
      assert.deepStrictEqual(processesOn(directory), [])
    },
    timeoutMs
  )

  it(
    "leaves nothing running when it is killed while it has frozen a process, and when it is told to stop",
    async () => {
      for (const signal of ["SIGKILL", "SIGINT"] as const) {
        const directory = path.join(home, signal)
        const { ended, run, says } = start(directory, "--rate", "20")
        const isInStride = await says("worker frozen")
        run.kill(signal)
        const { code, log } = await ended
        assert.isTrue(isInStride, log)
        await untilNothingRuns(directory)
        if (signal === "SIGINT") assert.deepStrictEqual([code, /nothing left running/.test(log)], [130, true], log)
      }
    },
    timeoutMs
  )

  it(
    "says what is wrong with a flag, and exits with 2",
    async () => {
      const { code, log } = await start(path.join(home, "flag"), "--minutes", "0").ended
      assert.strictEqual(code, 2)
      assert.match(log, /--minutes 0: give a whole number from 1 to 1440\. See npm run chaos -- --help/)
    },
    timeoutMs
  )
})
