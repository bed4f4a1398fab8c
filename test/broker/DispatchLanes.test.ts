import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { DispatchLanes } from "../../src/broker/DispatchLanes.ts"
import { type Priority, priorities } from "../../src/core/Priority.ts"

type Waiting = { readonly priority: Priority; readonly n: number }

describe("The lanes of dispatches", () => {
  it("give each dispatch once, in its lane's order, and never more than there is room for", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...priorities), { maxLength: 200 }),
        fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 30 }),
        (pushed, rooms) => {
          const lanes = new DispatchLanes<Waiting>()
          pushed.forEach((priority, n) => lanes.push({ priority, n }))
          const taken: Array<Waiting> = []
          for (const [dispatchesMax, nonCriticalMax] of rooms) {
            const batch = lanes.take({ dispatchesMax, nonCriticalMax })
            assert.isAtMost(batch.length, dispatchesMax)
            assert.isAtMost(batch.filter(({ priority }) => priority !== "critical").length, nonCriticalMax)
            taken.push(...batch)
          }
          assert.strictEqual(lanes.size + taken.length, pushed.length)
          for (const priority of priorities) {
            const numbers = taken.filter((one) => one.priority === priority).map(({ n }) => n)
            const expected = pushed.flatMap((other, n) => (other === priority ? [n] : []))
            assert.deepStrictEqual(numbers, expected.slice(0, numbers.length))
          }
        }
      )
    )
  })

  it("give the most urgent first, and the lowest more than a twentieth however many urgent ones wait", () => {
    const lanes = new DispatchLanes<Waiting>()
    for (let n = 0; n < 1_000; n++) for (const priority of priorities) lanes.push({ priority, n })
    const batch = lanes.take({ dispatchesMax: 1_000, nonCriticalMax: 1_000 })
    assert.deepStrictEqual(
      batch.slice(0, 9).map(({ priority }) => priority),
      Array.from({ length: 9 }, () => "critical")
    )
    const shareOf = (meant: Priority) => batch.filter(({ priority }) => priority === meant).length / batch.length
    assert.isAtLeast(shareOf("critical"), 0.65)
    for (const lane of ["high", "normal", "low"] as const) assert.closeTo(shareOf(lane), 1 / 10, 0.003)
    const two = new DispatchLanes<Waiting>()
    for (let n = 0; n < 1_000; n++) for (const priority of ["critical", "low"] as const) two.push({ priority, n })
    const low = two.take({ dispatchesMax: 800, nonCriticalMax: 800 }).filter(({ priority }) => priority === "low")
    assert.strictEqual(low.length, 80)
  })

  it("keep what there is no room for but for critical ones", () => {
    const lanes = new DispatchLanes<Waiting>()
    lanes.push({ priority: "low", n: 1 })
    lanes.push({ priority: "critical", n: 2 })
    assert.deepStrictEqual(lanes.take({ dispatchesMax: 5, nonCriticalMax: 0 }), [{ priority: "critical", n: 2 }])
    assert.strictEqual(lanes.size, 1)
  })
})
