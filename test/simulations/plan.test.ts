import { assert, describe, it } from "@effect/vitest"
import { type Action, leaseMs, nameOf } from "../../simulations/chaos/Action.ts"
import { countsOf } from "../../simulations/chaos/counts.ts"
import type { Injected } from "../../simulations/chaos/inject.ts"
import { type Fault, planOf } from "../../simulations/chaos/plan.ts"

const seeds = Array.from({ length: 50 }, (_, seed) => seed)

const everyKind = [
  "Kafka killed",
  "Kafka wiped",
  "PostgreSQL crashed",
  "backends terminated",
  "engine frozen beyond its lease",
  "engine killed",
  "engine killed again in recovery",
  "engine's clock set ahead",
  "engine's clock set back",
  "network to Kafka cut",
  "network to Kafka delayed",
  "network to Kafka half open",
  "network to Kafka half open beyond the lease",
  "network to PostgreSQL cut",
  "network to PostgreSQL delayed",
  "network to PostgreSQL half open",
  "network to PostgreSQL half open beyond the lease",
  "worker frozen beyond its lease",
  "worker killed",
  "worker killed again in recovery",
  "worker stopped in order",
  "worker's clock set ahead",
  "worker's clock set back"
]

/** Of a fault besides what it waits for: a start is ready after 3 s on two busy cores, Kafka's after 8 s, an order to stop after 4 s. */
const lastsMs = (action: Action): number => {
  switch (action._tag) {
    case "Kill":
      return action.downMs
    case "KillTwice":
      return action.downMs + action.againMs
    case "Stop":
      return 4_000 + action.downMs
    case "Pause":
      return action.pauseMs
    case "CrashPostgres":
      return action.downMs + 2_000
    case "KillKafka":
    case "WipeKafka":
      return action.downMs + 8_000
    case "Cut":
      return 0
    default:
      return action.forMs
  }
}
/** Until another engine may be taken: the start, and a lease of quiet time with a second of margin (`settled`). */
const settledMs = 3_000 + leaseMs + 1_000

/** What a plan comes to when its lanes are as late as that makes them. */
const carriedOut = (faults: ReadonlyArray<Fault>, untilMs: (fault: Fault) => number): ReadonlyArray<Injected> =>
  [...Map.groupBy(faults, ({ lane, phase }) => `${phase} ${lane}`).values()].flatMap((lane) => {
    let freeAtMs = 0
    return lane.flatMap((fault) => {
      const { action, phase } = fault
      const atMs = Math.max(fault.atMs, freeAtMs)
      const waitsMs = phase === "kills" && "role" in action && action.role === "engine" && action._tag !== "ShiftClock"
      freeAtMs = atMs + lastsMs(action) + (waitsMs ? settledMs : 0)
      if (atMs > untilMs(fault)) return []
      const killed = action._tag === "Kill" ? 1 : action._tag === "KillTwice" ? 2 : 0
      return {
        what: nameOf(action),
        phase,
        atMs,
        tookMs: 0,
        // Up to three each fifth of a second, and nearly as many in a run of half an hour (2,828 by 44 faults); a third is counted on,
        // since the server may be down or the sessions gone already.
        times: action._tag === "TerminateBackends" ? Math.floor(action.forMs / 200) : 1,
        killed: Array.from({ length: killed }, () => ({ processId: 1, atMs }))
      }
    })
  })

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

  it("of half an hour reaches what is asked for, with a tenth to spare, though its lanes run late", () => {
    for (const seed of seeds.slice(0, 10)) {
      const { faults, phases } = planOf(seed, 30)
      const injected = carriedOut(faults, ({ phase }) => phases[phase].untilMs)
      for (const { askedPer30Minutes, done, what } of countsOf(30, injected, 170 * 60 * 30)) {
        const spare = what === "tasks" ? 1 : 1.1
        assert.isAtLeast(done, askedPer30Minutes * spare, `${what}, seed ${seed}`)
      }
    }
  })

  it("meets one process and all of them, and forgets connections as often as it lets them go on", () => {
    const actions = seeds.flatMap((seed) => planOf(seed, 2).faults.map(({ action }) => action))
    const placed = actions.filter((action) => "place" in action)
    const all = placed.filter(({ place }) => place === "all").length
    assert.isTrue(all > placed.length / 6 && all < placed.length / 3, `${all} of ${placed.length}`)
    const halfOpen = actions.filter((action) => action._tag === "HalfOpen")
    const never = halfOpen.filter(({ afterwards }) => afterwards === "never").length
    assert.isTrue(never > halfOpen.length / 3 && never < (halfOpen.length * 2) / 3, `${never} of ${halfOpen.length}`)
    for (const direction of ["both", "requests", "answers"]) {
      assert.isTrue(halfOpen.some((action) => action.direction === direction))
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
