/**
 * Goal: no kill makes an instant of a recurrence be missed or run twice. Method: the short version of `npm run chaos:recurrences`; the long
 * one stands in docs/explain/recurrence.md.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { reportOf } from "../../simulations/recurrenceKills/report.ts"
import type { LedgerLine } from "../../src/store/RecurrenceStore.ts"

describe("three engines that are killed under one-second recurrences", () => {
  it("give every instant exactly one fate, and run once what fired", async () => {
    const args = ["simulations/recurrenceKills/main.ts", "--seconds", "15", "--seed", "3", "--json"]
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    let log = ""
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
    const [code] = await once(child, "close")
    assert.strictEqual(code, 0, log)
    assert.isAtLeast(JSON.parse(output).recurrences.ticks.fired, 15)
  }, 240_000)
})

describe("the judgement of such a run", () => {
  const line = (nominalAtMs: number): LedgerLine => ({
    nominalAtMs,
    untilMs: nominalAtMs,
    fate: "skipped-misfire",
    revision: 1,
    taskId: null,
    decidedAtMs: nominalAtMs
  })
  const brokenIn = (lines: ReadonlyArray<LedgerLine>) => {
    const followed = [{ name: "r", createdAtMs: 0, lines, violations: [], histories: new Map(), isOver: true }]
    const report = reportOf({
      seed: 1,
      engines: 3,
      seconds: 2,
      kills: 1,
      fromMs: 500,
      untilMs: 3_000,
      followed,
      unasked: []
    })
    return report.checks.filter(({ ok }) => !ok).map(({ id }) => id)
  }

  it("accepts one line for each instant, and one line for several", () => {
    assert.deepStrictEqual(brokenIn([line(1_000), line(2_000), line(3_000)]), [])
    assert.deepStrictEqual(brokenIn([{ ...line(1_000), untilMs: 2_500 }, line(3_000)]), [])
  })

  it("names a missing instant and a double one", () => {
    assert.deepStrictEqual(brokenIn([line(1_000), line(3_000)]), ["r-one-fate"])
    assert.deepStrictEqual(brokenIn([line(1_000), line(2_000), line(2_000), line(3_000)]), ["r-one-fate"])
  })
})
