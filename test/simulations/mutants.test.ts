import { assert, describe, it } from "@effect/vitest"
import { medianOf, tryMutant } from "../../simulations/mutants/runMutants.ts"
import { mutants } from "../../simulations/mutants/mutants.ts"

/** Found within a few histories; `npm run simulate:mutants` tries all of them. */
const quick = [
  "start-won-twice",
  "start-after-expiry",
  "start-with-old-fence",
  "claim-over-claim",
  "claim-without-caps",
  "commit-half",
  "expire-the-living",
  "one-attempt-more",
  "retry-in-the-past",
  "keys-ignored",
  "schedule-forgotten",
  "cancel-forgotten",
  "projection-left",
  "event-lost",
  "dispatch-with-payload",
  "instant-without-task",
  "instant-twice",
  "edit-leaves-tasks",
  "calendar-forgotten",
  "renewal-unwritten",
  "wish-done-later",
  "conflict-invented",
  "claims-of-the-first",
  "gives-back"
]
const historiesMax = 40

describe("the mutants of the simulated world", () => {
  it("are more than 25, each with a name of its own", () => {
    const names = new Set(mutants.map(({ name }) => name))
    assert.strictEqual(names.size, mutants.length)
    assert.isAbove(names.size, 25)
    assert.deepStrictEqual(
      quick.filter((name) => !names.has(name)),
      []
    )
  })

  it.each(quick)("%s is found within 40 histories", { timeout: 60_000 }, (name) => {
    for (const mutant of mutants) {
      if (mutant.name !== name) continue
      const verdict = tryMutant(mutant, 1, historiesMax)
      assert.isNotNull(verdict.historiesCount, verdict.what)
      assert.isNotEmpty(verdict.brokenIds)
    }
  })

  it("have a median over those that were found alone", () => {
    const of = (historiesCount: number | null) => ({ name: "", what: "", historiesCount, seed: null, brokenIds: [] })
    assert.isNull(medianOf([of(null)]))
    assert.strictEqual(medianOf([of(9), of(null), of(1), of(3)]), 3)
  })
})
