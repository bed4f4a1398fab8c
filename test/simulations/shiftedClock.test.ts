import { assert, describe, it } from "@effect/vitest"
import { fork } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const dayMs = 86_400_000
const toleranceMs = 5_000

/** Answers each message with its clocks, asked in the main thread and in one that was there before. */
const program = `
  import { Worker } from "node:worker_threads"
  const thread = new Worker(new URL("./thread.mjs", import.meta.url))
  process.on("message", () => {
    thread.once("message", (inThread) => {
      const clocks = [Date.now(), new Date().getTime(), Date.parse(Date()), inThread]
      process.send({ clocks, date: new Date(0).toISOString(), isDate: new Date() instanceof Date, hrtimeNs: String(process.hrtime.bigint()) })
    })
    thread.postMessage(null)
  })`

const threadProgram = `
  import { parentPort } from "node:worker_threads"
  parentPort.on("message", () => parentPort.postMessage(Date.now()))`

type Answer = {
  readonly clocks: ReadonlyArray<number>
  readonly date: string
  readonly isDate: boolean
  readonly hrtimeNs: string
}

describe("the clock of a node", () => {
  it("jumps to and fro by what it is told, in all threads, and monotonic time goes on", async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-clock-test-"))
    const file = path.join(folder, "program.mjs")
    fs.writeFileSync(file, program)
    fs.writeFileSync(path.join(folder, "thread.mjs"), threadProgram)
    const child = fork(file, [], {
      execArgv: ["--import", path.resolve("simulations/chaos/shiftedClock.ts")],
      env: { ...process.env, CHAOS_CLOCK_OFFSET_MS: String(dayMs) }
    })
    try {
      let lastNs = 0n
      for (const offsetMs of [dayMs, -dayMs, 3_600_000, 0]) {
        // The first one is what it begins with.
        child.send(offsetMs === dayMs ? {} : { clockOffsetMs: offsetMs })
        const [answer] = (await once(child, "message")) as [Answer]
        for (const clockMs of answer.clocks) {
          assert.isBelow(Math.abs(clockMs - Date.now() - offsetMs), toleranceMs, `${offsetMs}`)
        }
        assert.deepStrictEqual([answer.date, answer.isDate], ["1970-01-01T00:00:00.000Z", true])
        const ns = BigInt(answer.hrtimeNs)
        assert.isTrue(ns > lastNs && (lastNs === 0n || ns - lastNs < BigInt(toleranceMs) * 1_000_000n))
        lastNs = ns
      }
    } finally {
      child.kill("SIGKILL")
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })
})
