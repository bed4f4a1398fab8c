import { assert, describe, it } from "@effect/vitest"
import { historyOf } from "../../simulations/world/History.ts"
import { Tally } from "../../simulations/world/Tally.ts"
import { runHistory } from "../../simulations/world/World.ts"

const tallyOf = (seeds: ReadonlyArray<number>) => {
  const tally = new Tally()
  for (const seed of seeds) tally.add(runHistory(historyOf(seed)), historyOf(seed))
  return tally
}

/** A sum of fractions is another one in another order. */
const rounded = (tally: Tally): Tally => {
  tally.simulatedMs = Math.round(tally.simulatedMs)
  return tally
}

describe("a tally", () => {
  it("merged from two is the tally of all their histories, and counts one that both have run as one", () => {
    const merged = tallyOf([3, 4])
    merged.merge(tallyOf([4, 5]))
    assert.deepStrictEqual(rounded(merged), rounded(tallyOf([3, 4, 4, 5])))
    assert.deepInclude(merged, { historiesCount: 4, distinctCount: 3 })
  })

  it("calls a window seldom by its share of a run: one in 200 histories, and never less than 100 of 20,000", () => {
    const tally = tallyOf([])
    const isSeldom = (historiesCount: number, metCount: number) => {
      tally.historiesCount = historiesCount
      tally.windows.set(9, metCount)
      return tally.seldomWindows().some(([number]) => number === 9)
    }
    assert.deepStrictEqual([isSeldom(2_000, 9), isSeldom(2_000, 10)], [true, false])
    assert.deepStrictEqual([isSeldom(200_000, 99), isSeldom(200_000, 100)], [true, false])
  })
})
