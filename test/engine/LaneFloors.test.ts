import { assert, describe, it } from "@effect/vitest"
import { type Priority, priorities } from "../../src/core/Priority.ts"
import { LaneFloors } from "../../src/engine/LaneFloors.ts"

describe("What a lower lane is owed", () => {
  it("is a tenth of what the lanes above it got, while claims are cut", () => {
    const floors = new LaneFloors()
    for (let claim = 0; claim < 4; claim++) floors.observe(tasks({ critical: 100 }), true)
    assert.deepStrictEqual(
      priorities.map((priority) => floors.owed(priority)),
      [0, 40, 40, 40]
    )
  })

  it("gives the lowest lane more than a twentieth of all claims under a flood of critical tasks", () => {
    const floors = new LaneFloors()
    const claimed = { critical: 0, low: 0 }
    for (let claim = 0; claim < 1_000; claim++) {
      floors.observe(tasks({ critical: 7 }), true)
      claimed.critical += 7
      const owed = floors.owed("low")
      if (owed === 0) continue
      floors.observeFloor("low", tasks({ low: owed }), true, 0)
      claimed.low += owed
    }
    assert.isAtLeast(claimed.low / (claimed.low + claimed.critical), 0.05)
    assert.isAtMost(claimed.low / (claimed.low + claimed.critical), 0.1)
  })

  it("is nothing once a claim was not cut: then nothing waits", () => {
    const floors = new LaneFloors()
    floors.observe(tasks({ critical: 500 }), true)
    floors.observe(tasks({ critical: 10 }), false)
    assert.deepStrictEqual(
      priorities.map((priority) => floors.owed(priority)),
      [0, 0, 0, 0]
    )
  })

  it("is nothing for a lane that was found empty", () => {
    const floors = new LaneFloors()
    floors.observe(tasks({ critical: 500 }), true)
    floors.observeFloor("high", tasks({ high: 3 }), false, 0)
    assert.strictEqual(floors.owed("high"), 0)
    assert.strictEqual(floors.owed("low"), 50)
  })

  it("is less by what the lane got anyway", () => {
    const floors = new LaneFloors()
    floors.observe(tasks({ critical: 100, low: 10 }), true)
    assert.strictEqual(floors.owed("low"), 0)
    assert.strictEqual(floors.owed("high"), 10)
  })

  it("grows with the age of its oldest task, up to a quarter", () => {
    const owedAfter = (lateMs: number) => {
      const floors = new LaneFloors()
      floors.observe(tasks({ critical: 10 }), true)
      floors.observeFloor("low", tasks({ low: 1 }), true, lateMs)
      floors.observe(tasks({ critical: 100 }), true)
      return floors.owed("low")
    }
    assert.deepStrictEqual([0, 10_000, 3_600_000].map(owedAfter), [10, 20, 25])
  })

  it("is bounded: a lane that could not take it does not get all of it later", () => {
    const floors = new LaneFloors()
    for (let claim = 0; claim < 100; claim++) floors.observe(tasks({ critical: 500 }), true)
    assert.strictEqual(floors.owed("low"), 100)
  })
})

const tasks = (counts: Partial<Record<Priority, number>>) =>
  priorities.flatMap((priority) => Array.from({ length: counts[priority] ?? 0 }, () => ({ priority, dueAtMs: 0 })))
