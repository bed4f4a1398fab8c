/**
 * Goal: a process that is hit at a named point of the protocol leaves what is promised. Method: `npm run chaos:points` with a choice of
 * points, one for each part of the protocol and each kind of hit; the run of all of them stands in docs/explain/crash-points.md.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { foundOf } from "../../simulations/crashPoints/follow.ts"
import { points } from "../../simulations/crashPoints/points.ts"
import type { Report } from "../../simulations/crashPoints/report.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"

/** A minute, on a machine that is busy with other tests. */
const timeoutMs = 420_000
const chosen = [
  "client-unanswered",
  "engine-claimed",
  "worker-poisoned",
  "worker-writing",
  "worker-frozen-writing",
  "worker-commit-unanswered"
]

const run = async (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["simulations/crashPoints/main.ts", ...args], {
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  let log = ""
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
  const [code] = await once(child, "close")
  return { code, output, log }
}

describe("crash points", () => {
  it(
    "leave nothing lost, nothing done twice and nothing early, wherever a process is hit",
    async () => {
      const { code, log, output } = await run("--hits", "1", "--points", chosen.join(","), "--json")
      assert.strictEqual(code, 0, log)
      const report = JSON.parse(output) as Report
      assert.deepStrictEqual(
        report.points.filter(({ hits }) => hits < 1),
        []
      )
      const found = (point: string) => Object.keys(report.points.find((row) => row.point === point)?.found ?? {})
      assert.deepStrictEqual(found("worker-writing"), ["charged, tried again"])
      assert.deepStrictEqual(found("worker-commit-unanswered"), ["found by its own event"])
      assert.isAbove(report.figures["succeeded"] ?? 0, 20)
    },
    timeoutMs
  )

  it("have a name each, and a window that the guarantees number", () => {
    assert.strictEqual(new Set(points.map(({ name }) => name)).size, points.length)
    assert.deepStrictEqual(
      points.filter(({ window }) => window < 1 || window > 24),
      []
    )
  })

  it("say what is wrong with a flag, and exit with 2", async () => {
    const { code, log } = await run("--points", "nowhere")
    assert.strictEqual(code, 2)
    assert.match(log, /--points nowhere: there is no such point\. See npm run chaos:points -- --help/)
  })
})

describe("what is found after a hit", () => {
  const event = (version: number, body: Pick<TaskEvent, "_tag"> & object, eventId = `event-${version}`) =>
    ({ taskId: "task", version, eventId, atMs: version, ...body }) as TaskEvent
  const history = [
    event(1, { _tag: "TaskScheduled" }),
    event(2, { _tag: "TaskClaimed" }),
    event(3, { _tag: "AttemptStarted" }),
    event(4, { _tag: "AttemptExpired" })
  ]
  const held = (version: number | null, eventId: string | null = null) => ({
    taskId: "task",
    version,
    eventId,
    kind: null
  })

  it("is the event after the one that the process knew last", () => {
    assert.strictEqual(foundOf(held(2), history), "started")
    assert.strictEqual(foundOf(held(3), history), "charged, tried again")
    assert.strictEqual(foundOf(held(4), history), "over")
  })

  it("is its own event, if that is in the history", () => {
    assert.strictEqual(foundOf(held(3, "event-4"), history), "found by its own event")
    assert.strictEqual(foundOf(held(3, "event-of-nobody"), history), "charged, tried again")
  })

  it("breaks the promise, if its own event came after somebody else's", () => {
    assert.strictEqual(foundOf(held(2, "event-4"), history), "recorded though lost")
  })
})
