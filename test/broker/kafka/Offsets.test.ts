import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Offsets } from "../../../src/broker/kafka/Offsets.ts"

describe("the offsets of a partition", () => {
  it("commit up to the lowest that is not done, in whatever order things are done", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 1_000 }),
        fc.integer({ min: 1, max: 50 }).chain((count) =>
          fc.shuffledSubarray(
            Array.from({ length: count }, (_, index) => index),
            { minLength: count }
          )
        ),
        (first, order) => {
          const offsets = new Offsets()
          order.forEach((_, index) => offsets.arrived(first + index))
          const open = new Set(order)
          for (const index of order) {
            offsets.done(first + index)
            open.delete(index)
            assert.strictEqual(offsets.uncommitted, first + (open.size === 0 ? order.length : Math.min(...open)))
          }
        }
      )
    )
  })

  it("have nothing to commit before the first arrival, nor what is committed already", () => {
    const offsets = new Offsets()
    assert.isUndefined(offsets.uncommitted)
    offsets.arrived(7)
    offsets.done(7)
    assert.strictEqual(offsets.uncommitted, 8)
    offsets.committed(8)
    assert.isUndefined(offsets.uncommitted)
  })

  it("pass over gaps, which deleted messages leave", () => {
    const offsets = new Offsets()
    offsets.arrived(3)
    offsets.arrived(9)
    offsets.done(3)
    assert.strictEqual(offsets.uncommitted, 9)
    offsets.done(9)
    assert.strictEqual(offsets.uncommitted, 10)
  })

  it("begin anew when the partition does", () => {
    const offsets = new Offsets()
    assert.isTrue(offsets.arrived(100))
    offsets.committed(100)
    assert.isFalse(offsets.arrived(0))
    offsets.done(100)
    assert.strictEqual(offsets.uncommitted, 0)
    offsets.done(0)
    assert.strictEqual(offsets.uncommitted, 1)
  })
})
