import { assert, describe, it } from "@effect/vitest"
import { leaseMs, nameOf, planOf } from "../../simulations/chaos/plan.ts"

const seeds = Array.from({ length: 50 }, (_, seed) => seed)

const everyKind = [
  "Kafka killed",
  "Kafka wiped",
  "PostgreSQL crashed",
  "backends terminated",
  "engine frozen beyond its lease",
  "engine killed",
  "engine killed again in recovery",
  "worker frozen beyond its lease",
  "worker killed",
  "worker killed again in recovery",
  "worker stopped in order"
]

describe("a plan of faults", () => {
  it("is decided by its seed", () => {
    assert.deepStrictEqual(planOf(7, 2), planOf(7, 2))
    assert.notDeepEqual(planOf(7, 2).faults, planOf(8, 2).faults)
  })

  it("keeps what it had when the run is longer", () => {
    const [short, long] = [planOf(3, 2), planOf(3, 4)].map(({ faults }) =>
      faults.filter(({ phase }) => phase === "kills")
    )
    assert.isAbove(short?.length ?? 0, 0)
    assert.deepStrictEqual(long?.slice(0, short?.length), short)
  })

  it("of two minutes has a fault of every kind, whatever the seed", () => {
    for (const seed of seeds) {
      const kinds = new Set(planOf(seed, 2).faults.map(({ action }) => nameOf(action)))
      assert.deepStrictEqual([...kinds].toSorted(), everyKind, `seed ${seed}`)
    }
  })

  it("leaves both stores alone until what was killed is repaired", () => {
    for (const seed of seeds) {
      const { faults } = planOf(seed, 1)
      const kills = faults.filter(({ phase }) => phase === "kills")
      const first = Math.min(...faults.filter(({ phase }) => phase === "stores").map(({ atMs }) => atMs))
      assert.isTrue(kills.every(({ action }) => "role" in action))
      assert.isTrue(kills.every(({ atMs }) => atMs <= first - leaseMs))
    }
  })
})
