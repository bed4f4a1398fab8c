import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { EventBody, TaskEvent } from "../../src/core/TaskEvent.ts"
import { rampOf, verdictOf } from "../../src/rampedRedrive.ts"

describe("a ramp", () => {
  it("begins with a hundredth of the group, at most 10, and never has more than a fiftieth of it or 500 under way", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000_000 }), (count) => {
        const { batchMax, firstBatch } = rampOf(count)
        assert.isAtLeast(firstBatch, 1)
        assert.isAtMost(firstBatch, Math.max(1, Math.min(10, Math.ceil(count / 100))))
        assert.isAtMost(firstBatch, batchMax)
        assert.isAtMost(batchMax, Math.max(1, Math.min(500, Math.floor(count / 50))))
      }),
      { seed: 1, numRuns: 500 }
    )
    assert.deepStrictEqual(rampOf(2_000), { firstBatch: 10, batchMax: 40, failureShareMax: 0.1, waitMsMax: 300_000 })
  })

  it("takes the first outcome behind the last redrive, whatever comes later", () => {
    const redriven = { _tag: "TaskRedriven", dueAtMs: 0 } as const
    const failed = { _tag: "AttemptFailed", attempt: 1, error: { name: "E", message: "no" }, dueAtMs: 0 } as const
    const succeeded = { _tag: "AttemptSucceeded", attempt: 1, result: null } as const
    const claimed = { _tag: "TaskClaimed", sessionId: 1 } as const
    const released = { _tag: "AttemptReleased", attempt: 1, reason: "drained", dueAtMs: 0 } as const
    const cases: ReadonlyArray<readonly [ReturnType<typeof verdictOf>, ReadonlyArray<EventBody>]> = [
      [null, [failed, redriven]],
      [null, [failed, redriven, claimed, released]],
      ["failed", [redriven, claimed, failed, succeeded]],
      ["succeeded", [redriven, failed, redriven, released, succeeded]],
      ["failed", [redriven, { _tag: "TaskParked", attempt: 1, reason: "deadline" }]],
      ["other", [redriven, { _tag: "TaskCancelled", reason: null }]],
      ["other", [redriven, { _tag: "AttemptSnoozed", attempt: 1, dueAtMs: 0 }]]
    ]
    for (const [verdict, bodies] of cases) assert.strictEqual(verdictOf(bodies.map(eventOf)), verdict)
  })
})

const eventOf = (body: EventBody, index: number): TaskEvent => ({
  ...body,
  taskId: "019ab1d6-9c00-7a1b-8c2d-0123456789ab",
  version: index + 1,
  eventId: `00000000-0000-4000-8000-00000000000${index}`,
  atMs: index
})
