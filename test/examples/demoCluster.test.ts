import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"
import type { ClusterSummary } from "../../examples/demoCluster/summary.ts"
import { processesOn, untilNothingRuns } from "./processes.ts"

/** Eight processes of Node, PostgreSQL and Kafka start, some twice, on a machine that may be busy with other tests. */
const timeoutMs = 240_000

describe("the demo of a cluster", () => {
  let directory = ""
  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-demo-cluster-"))
  })
  afterAll(async () => {
    await untilNothingRuns(directory)
    fs.rmSync(directory, { recursive: true, force: true })
  })

  const start = (...args: ReadonlyArray<string>) => {
    const demo = spawn(process.execPath, ["examples/demoCluster/main.ts", "--directory", directory, ...args], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let log = ""
    demo.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    const ended = once(demo, "close").then(([code, signal]) => ({ code, signal, output, log }))
    const reached = new Promise<boolean>((resolve) => {
      demo.stderr.on("data", (chunk: Buffer) => {
        log += chunk.toString()
        if (/ steady .* ended [1-9]/.test(log)) resolve(true)
      })
      demo.once("close", () => resolve(false))
    })
    return { demo, ended, reached }
  }

  it(
    "leaves nothing running when it is killed, goes on, and keeps every promise through four faults",
    async () => {
      const killed = start("--tasks", "300", "--burst", "100", "--seconds", "5")
      assert.isTrue(await killed.reached, "it gets into its stride")
      killed.demo.kill("SIGKILL")
      assert.strictEqual((await killed.ended).signal, "SIGKILL")
      await untilNothingRuns(directory)

      const { code, log, output } = await start("--json").ended
      assert.strictEqual(code, 0, `${log}\n${output}`)
      assert.deepStrictEqual(processesOn(directory), [])
      const summary = JSON.parse(output) as ClusterSummary
      assert.deepInclude(summary, { ok: true, resumed: true })
      assert.deepInclude(summary.audit, { tasks: 900, violations: 0 })
      assert.deepStrictEqual(
        summary.faults.map(({ what }) => what),
        ["kill -9 of payments worker", "kill -9 of engine 1", "stop of reports worker", "kill -9 of Kafka"]
      )
      assert.isAbove(summary.starts.dispatched, 0)
      assert.strictEqual(summary.starts.dispatched + summary.starts.pulled, summary.attempts.started)
    },
    timeoutMs
  )

  it("says what is wrong with a flag, and exits with 2", async () => {
    const { code, log } = await start("--burst", "many").ended
    assert.strictEqual(code, 2)
    assert.match(log, /--burst many: give a whole number from 0 to 20000\. See npm run demo:cluster -- --help/)
  })
})
