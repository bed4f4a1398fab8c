import { assert, describe, it } from "@effect/vitest"
import { askMsMax, askWaitsMs } from "../../src/core/asks.ts"

describe("the waits between asks", () => {
  it("double from ten seconds to ten minutes, and end after two hours and twenty minutes", () => {
    assert.deepStrictEqual(
      askWaitsMs.slice(0, 8),
      [10, 20, 40, 80, 160, 320, 600, 600].map((s) => s * 1_000)
    )
    const allMs = askWaitsMs.reduce((sum, waitMs) => sum + waitMs, 0)
    assert.strictEqual(Math.floor(allMs / 60_000), 140)
  })

  it("leave each ask time to end before the next one of the same task begins", () => {
    assert.isAtMost(askMsMax, Math.min(...askWaitsMs))
  })
})
