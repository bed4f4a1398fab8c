import { assert, describe, it } from "@effect/vitest"
import type { BenchTask, Rank } from "../../bench/peers/contestant.ts"
import { planOf } from "../../bench/peers/drift.ts"
import { intervalOf, median, ratiosOf } from "../../bench/peers/ratio.ts"
import { orderOf, tallyOf } from "../../bench/peers/tally.ts"
import { makeWallClock } from "../../bench/peers/wallClock.ts"
import { seeded } from "../../bench/random.ts"

describe("the clock that stamps starts", () => {
  /** A machine whose monotonic clock runs `skewPpm` fast. */
  const machine = (skewPpm: number) => {
    let trueMs = 1_000_000_000.25
    return {
      pass: (ms: number) => (trueMs += ms),
      trueMs: () => trueMs,
      clock: makeWallClock(
        () => Math.floor(trueMs),
        () => (trueMs - 1_000_000_000) * (1 + skewPpm / 1e6)
      )
    }
  }

  it("never leaves the millisecond that the system's clock shows, however far the monotonic one drifts", () => {
    for (const skewPpm of [-500, 0, 500]) {
      const { clock, pass, trueMs } = machine(skewPpm)
      const random = seeded(1)
      for (let stamp = 0; stamp < 10_000; stamp++) {
        pass(random() * 20)
        assert.strictEqual(Math.floor(clock()), Math.floor(trueMs()), `${skewPpm} ppm`)
      }
    }
  })

  it("keeps fractions: its mean error is far below the half millisecond of whole ones", () => {
    const { clock, pass, trueMs } = machine(50)
    const random = seeded(2)
    let sum = 0
    for (let stamp = 0; stamp < 10_000; stamp++) {
      pass(random() * 10)
      sum += Math.abs(clock() - trueMs())
    }
    assert.isBelow(sum / 10_000, 0.1)
  })
})

describe("ratios between contestants", () => {
  it("are taken round by round, of the rounds in which both ran", () => {
    assert.deepStrictEqual(ratiosOf([10, 20, null, 40], [5, null, 3, 10]), [2, 4])
  })

  it("have the middle as their median", () => {
    assert.strictEqual(median([3, 1, 2]), 2)
    assert.strictEqual(median([4, 1, 2, 3]), 2.5)
    assert.isNaN(median([]))
  })

  it("have an interval that holds the median, stays within what was seen, and is the same for the same seed", () => {
    const values = [1.1, 0.9, 1.3, 1, 1.2, 0.8, 1.05]
    const interval = intervalOf(values, seeded(7))
    assert.deepStrictEqual(interval, intervalOf(values, seeded(7)))
    assert.strictEqual(interval.median, 1.05)
    assert.isAtLeast(interval.low, 0.8)
    assert.isAtMost(interval.high, 1.3)
    assert.isBelow(interval.low, interval.median)
    assert.isAbove(interval.high, interval.median)
  })

  it("have an interval that covers the true median about 19 times in 20", () => {
    const random = seeded(11)
    let covered = 0
    for (let experiment = 0; experiment < 200; experiment++) {
      const { high, low } = intervalOf(Array.from({ length: 25 }, random), random)
      if (low <= 0.5 && high >= 0.5) covered++
    }
    assert.isAtLeast(covered, 180)
    assert.isAtMost(covered, 200)
  })
})

describe("the tally of a run", () => {
  it("takes the first start of each task, and counts those that are missing and those that started again", () => {
    const { firstAtMs, ...counts } = tallyOf({ n: Int32Array.of(2, 0, 2, 3), atMs: Float64Array.of(10, 11, 12, 13) }, 5)
    assert.deepStrictEqual(counts, { started: 3, missing: 2, startedTwice: 1 })
    assert.deepStrictEqual([...firstAtMs], [11, Number.NaN, 10, 13, Number.NaN])
  })

  const tasksOf = (ranks: ReadonlyArray<Rank>) => ranks.map((rank, n): BenchTask => ({ n, dueAtMs: 0, rank }))

  it("finds tasks that started before more of the more urgent ones than handlers run at once", () => {
    const tasks = tasksOf([3, 0, 0, 0, 2])
    assert.strictEqual(orderOf({ n: Int32Array.of(0, 1, 2, 3, 4) }, tasks, 3).outOfOrder, 1)
    assert.strictEqual(orderOf({ n: Int32Array.of(0, 1, 2, 3, 4) }, tasks, 4).outOfOrder, 0)
    assert.strictEqual(orderOf({ n: Int32Array.of(1, 2, 3, 4, 0) }, tasks, 0).outOfOrder, 0)
  })
})

describe("the plan of an open loop", () => {
  const plan = planOf(200, 10, seeded(3))

  it("gives every task an instant of its own within the time, and schedules it 5 to 20 s before", () => {
    assert.lengthOf(plan, 2_000)
    for (const { dueMs, scheduleMs } of plan) {
      assert.isTrue(dueMs >= 20_000 && dueMs < 30_000 && Number.isInteger(dueMs), `due ${dueMs}`)
      assert.isTrue(dueMs - scheduleMs >= 5_000 && dueMs - scheduleMs <= 20_000, `${dueMs - scheduleMs} ahead`)
    }
  })

  it("schedules in order of time, not of due time, and is the same for the same seed", () => {
    const ordered = (values: ReadonlyArray<number>) =>
      values.every((one, at) => at === 0 || one >= (values[at - 1] ?? 0))
    assert.isTrue(ordered(plan.map(({ scheduleMs }) => scheduleMs)))
    assert.isFalse(ordered(plan.map(({ dueMs }) => dueMs)))
    assert.deepStrictEqual(planOf(200, 10, seeded(3)), plan)
  })
})
