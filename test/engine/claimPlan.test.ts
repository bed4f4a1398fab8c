import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { claimInMs, isHeldBack, planClaims, quietPolls } from "../../src/engine/claimPlan.ts"
import { defaults } from "../../src/engine/EngineConfig.ts"
import { QueueLoad } from "../../src/engine/QueueLoad.ts"

describe("The plan of claims", () => {
  it("lets no queue get more than its window and the critical allowance, whatever the claims bring", () => {
    fc.assert(
      fc.property(fc.array(loads, { minLength: 1, maxLength: 6 }), (queues) => {
        const plan = planClaims(queues, now, defaults)
        for (const load of queues) {
          // The worst case: every claim brings only this queue's tasks.
          const most = plan.filter((planned) => planned.loads.includes(load)).map(({ limit, way }) => ({ limit, way }))
          const windowTasks = load.windowTasks(defaults)
          for (const { limit, way } of most) {
            if (way === "ahead") assert.isAtMost(load.armedCount + load.pressingCount + limit, windowTasks)
            if (way === "due") assert.isAtMost(load.pressingCount + limit, windowTasks)
            if (way === "critical") assert.isAtMost(load.heldIn("critical") + limit, defaults.criticalTasksMax)
          }
          const uncapped = most.filter(({ way }) => way !== "capped" && way !== "floor")
          assert.isFalse(uncapped.some(({ way }) => way === "ahead") && uncapped.length > 1)
        }
        for (const { limit, loads: claimed } of plan) {
          assert.isAtLeast(limit, 1)
          assert.isAtMost(limit, defaults.claimBatchSizeMax)
          assert.isTrue(claimed.every(({ kinds }) => kinds.length > 0))
        }
      })
    )
  })

  it("claims idle queues together, in one statement", () => {
    const queues = Array.from({ length: 10 }, (_, index) => idleLoad(`queue-${index}`))
    const plan = planClaims(queues, now, defaults)
    assert.deepStrictEqual(
      plan.map(({ limit, loads, way }) => [way, loads.length, limit]),
      [["ahead", 10, 100]]
    )
  })

  it("gives queues claimed together no more than the one with the least room may have, and others their own claim", () => {
    const [roomy, tight, nearlyFull] = [idleLoad("roomy"), idleLoad("tight"), idleLoad("nearly full")]
    tight.unpublishedCount = 30
    nearlyFull.unpublishedCount = 70
    const plan = planClaims([roomy, tight, nearlyFull], now, defaults)
    assert.deepStrictEqual(
      plan.map(({ limit, loads }) => [loads.map(({ queue }) => queue), limit]),
      [
        [["roomy", "tight"], 70],
        [["nearly full"], 30]
      ]
    )
  })

  it("is empty, and so is the wait, exactly as long as the next claim is not due", () => {
    fc.assert(
      fc.property(fc.array(loads, { maxLength: 6 }), (queues) => {
        const inMs = claimInMs(queues, now, defaults)
        assert.strictEqual(planClaims(queues, now, defaults).length > 0, inMs === 0)
        assert.isAtMost(inMs, defaults.idlePollMs * quietPolls)
      })
    )
  })

  it("never leaves due work unclaimed in silence: it is claimed now, later by a known time, or held back by its window", () => {
    fc.assert(
      fc.property(loads, (load) => {
        if (load.kinds.length === 0 || load.nextDueAtMs > now.nowMs) return
        const isPlanned = planClaims([load], now, defaults).some(({ way }) => way !== "critical")
        assert.isTrue(isPlanned || isHeldBack([load], now, defaults))
      })
    )
  })

  it("asks for the critical lane alone, and only when the window is full", () => {
    const full = idleLoad("emails")
    full.armedCount = 50
    full.unpublishedCount = 90
    const [planned, ...others] = planClaims([full], now, defaults)
    assert.deepStrictEqual(others, [])
    assert.strictEqual(planned?.way, "critical")
    assert.deepStrictEqual(planned?.priorities, ["critical"])
    assert.strictEqual(planned?.lookAheadMs, defaults.lookAheadMs)
    assert.strictEqual(planned?.limit, defaults.criticalTasksMax)
  })
})

describe("The window of a queue", () => {
  it("is twice what starts between two refills, between its floor and its cap", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40_000 }), (startsPerSecond) => {
        const load = new QueueLoad("emails")
        runSteadily(load, startsPerSecond, 2_000)
        // One task more or less in a sample of 50 ms.
        assert.closeTo(load.windowTasks(defaults), Math.max(100, Math.min(startsPerSecond / 5, 2_000)), 5)
      })
    )
  })

  it("is wider by what starts while a claim is under way, once claims are slow", () => {
    const load = new QueueLoad("emails")
    runSteadily(load, 2_000, 1_000)
    assert.strictEqual(load.windowTasks(defaults), 400)
    for (let claim = 0; claim < 50; claim++) load.observeClaim(100)
    assert.closeTo(load.windowTasks(defaults), 800, 2)
    load.observeClaim(5_000)
    assert.isAtMost(load.windowTasks(defaults), defaults.windowTasksMax)
  })

  it("closes within a second after the starts have stopped", () => {
    const load = new QueueLoad("emails")
    const stoppedAtMs = runSteadily(load, 8_000, 1_000)
    assert.strictEqual(load.windowTasks(defaults), 1_600)
    load.observeLag({ critical: 0, high: 0, normal: load.lagCount, low: 0 }, stoppedAtMs + 500)
    assert.isBelow(load.windowTasks(defaults), 1_000)
    load.observeLag({ critical: 0, high: 0, normal: load.lagCount, low: 0 }, stoppedAtMs + 1_500)
    assert.strictEqual(load.windowTasks(defaults), 100)
  })

  it("counts what was published since the last look as pressing", () => {
    const load = new QueueLoad("emails")
    load.publishedCount = 30
    load.observeLag({ critical: 1, high: 2, normal: 3, low: 4 }, 0)
    load.publishedCount = 35
    load.unpublishedCount = 2
    assert.strictEqual(load.lagCount, 15)
    assert.strictEqual(load.pressingCount, 17)
  })
})

const now = { nowMs: 1_700_000_000_000, monotonicMs: 50_000 }

const idleLoad = (queue: string): QueueLoad => {
  const load = new QueueLoad(queue)
  load.kinds = [`${queue}.kind`]
  return load
}

/** Starts as many as it publishes, in steps of 10 ms; the end of it. */
const runSteadily = (load: QueueLoad, startsPerSecond: number, forMs: number): number => {
  let owed = 0
  for (let atMs = 0; atMs <= forMs; atMs += 10) {
    load.observeLag({ critical: 0, high: 0, normal: 0, low: 0 }, atMs)
    owed += startsPerSecond / 100
    load.publishedCount += Math.floor(owed)
    owed -= Math.floor(owed)
  }
  return forMs
}

const counts = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 150 }), fc.integer({ min: 0, max: 3_000 }))

const loads = fc
  .record({
    isServed: fc.boolean(),
    armed: counts,
    unpublished: counts,
    lag: fc.record({ critical: counts, high: counts, normal: counts, low: counts }),
    startsPerSecond: fc.constantFrom(0, 300, 5_000, 30_000),
    nextDueInMs: fc.constantFrom(Number.NEGATIVE_INFINITY, -5_000, 0, 20, 1_000, 5_000, Number.POSITIVE_INFINITY),
    claimedAgoMs: fc.constantFrom(0, 10, 249, 250, Number.POSITIVE_INFINITY),
    criticalClaimedAgoMs: fc.constantFrom(0, 10, 21, 250, Number.POSITIVE_INFINITY),
    criticalWoken: fc.boolean()
  })
  .map((plan) => {
    const load = idleLoad("emails")
    if (!plan.isServed) load.kinds = []
    const endedAtMs = runSteadily(load, plan.startsPerSecond, 1_000)
    load.observeLag(plan.lag, endedAtMs)
    load.armedCount = plan.armed
    load.armedIn.critical = Math.floor(plan.armed / 10)
    load.unpublishedCount = plan.unpublished
    load.unpublishedIn.critical = Math.floor(plan.unpublished / 10)
    load.nextDueAtMs = now.nowMs + plan.nextDueInMs
    load.claimedAtMs = now.monotonicMs - plan.claimedAgoMs
    load.criticalClaimedAtMs = now.monotonicMs - plan.criticalClaimedAgoMs
    load.criticalWoken = plan.criticalWoken
    return load
  })
