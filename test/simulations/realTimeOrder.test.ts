import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Operation } from "../../simulations/world/operations.ts"
import { outOfOrder } from "../../simulations/world/realTimeOrder.ts"

/** Is there an order that time allows, in which each write grows the version and each look sees it? Others may write between. */
const hasOrder = (left: ReadonlyArray<Operation>, version = 0): boolean =>
  left.length === 0 ||
  left.some((operation) => {
    const isFirst = left.every((other) => other.answeredAtMs >= operation.invokedAtMs)
    const isPossible = operation.eventId === null ? operation.version >= version : operation.version > version
    return (
      isFirst &&
      isPossible &&
      hasOrder(
        left.filter((other) => other !== operation),
        operation.version
      )
    )
  })

const operation: fc.Arbitrary<Omit<Operation, "eventId"> & { readonly writes: boolean }> = fc
  .record({
    name: fc.constant("act"),
    taskId: fc.constant("a"),
    writes: fc.boolean(),
    invokedAtMs: fc.integer({ min: 0, max: 20 }),
    forMs: fc.integer({ min: 0, max: 12 }),
    version: fc.integer({ min: 1, max: 8 })
  })
  .map(({ forMs, ...rest }) => ({ ...rest, answeredAtMs: rest.invokedAtMs + forMs }))

const operations: fc.Arbitrary<ReadonlyArray<Operation>> = fc
  .array(operation, { maxLength: 8, size: "max" })
  .map((all) => all.map(({ writes, ...rest }, index) => ({ ...rest, eventId: writes ? `e${index}` : null })))

const at = (
  version: number,
  invokedAtMs: number,
  answeredAtMs: number,
  eventId: string | null = `e${version}`
): Operation => ({ name: "act", taskId: "a", eventId, invokedAtMs, answeredAtMs, version })

describe("operations on one task", () => {
  it(
    "are out of order exactly if a search through all orders finds none, up to eight of them",
    { timeout: 120_000 },
    () => {
      let orderedCount = 0
      fc.assert(
        fc.property(operations, (all) => {
          const ordered = hasOrder(all)
          if (ordered && all.length > 3) orderedCount++
          assert.strictEqual(outOfOrder(all).length === 0, ordered)
        }),
        { numRuns: 3_000, seed: 19 }
      )
      assert.isAbove(orderedCount, 50)
    }
  )

  it("may overlap in any order", () => {
    assert.deepStrictEqual(outOfOrder([at(2, 0, 10), at(1, 5, 15)]), [])
  })

  it("have smaller versions if they were answered before", () => {
    const [earlier, later] = [at(3, 0, 4), at(2, 5, 6)]
    assert.deepStrictEqual(outOfOrder([later, earlier]), [[earlier, later]])
  })

  it("may agree if the later one has only looked", () => {
    assert.deepStrictEqual(outOfOrder([at(3, 0, 4), at(3, 5, 6, null)]), [])
    assert.strictEqual(outOfOrder([at(3, 0, 4, null), at(3, 5, 6)]).length, 1)
  })
})
