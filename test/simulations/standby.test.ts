import { assert, describe, it } from "@effect/vitest"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import { clockOf, trueClock } from "../../src/testing/simulation/Incarnation.ts"
import { Kernel, world } from "../../src/testing/simulation/Kernel.ts"
import { hasLost, isLost, Standby } from "../../simulations/world/Standby.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"

const makeStandby = () => {
  const kernel = new Kernel(1)
  const served: Array<MemoryDatabase> = []
  const standby = new Standby({
    kernel,
    clock: clockOf(kernel, world, trueClock),
    isNeeded: true,
    damage: () => {},
    serve: (database) => served.push(database)
  })
  let count = 0
  const eventId = () => `00000000-0000-4000-8000-${String(++count).padStart(12, "0")}`
  const scheduled = (taskId: string) => {
    standby.primary.schedule(
      [
        {
          taskId,
          eventId: eventId(),
          kind: "sim.post",
          priority: "normal",
          dueAtMs: standby.primary.now(),
          key: null,
          payload: null
        }
      ],
      null
    )
    return taskId
  }
  return { eventId, kernel, scheduled, served, standby }
}

const eventsOf = ({ primary }: Standby, taskId: string) =>
  (primary.streams.events(taskId) ?? []).map(({ _tag, atMs, eventId, version }) => ({ _tag, atMs, eventId, version }))

const [first, second] = ["01a8e729-0000-7000-8000-000000000001", "01a8e729-0000-7000-8000-000000000002"] as const

describe("a simulated failover", () => {
  it("takes what was committed in its last moments, and keeps everything before it to the last event id", () => {
    const { eventId, kernel, scheduled, standby } = makeStandby()
    const { primary } = standby
    const sessionId = primary.sessions.open(primary.now() + 60_000)
    scheduled(first)
    const request = { kinds: ["sim.post"], limit: 1, lookAheadMs: 0, sessionId }
    kernel.nowMs = 100
    assert.strictEqual(primary.claim(request, eventId).tasks.length, 1)
    const kept = eventsOf(standby, first)
    kernel.nowMs = 200
    scheduled(second)
    const [claimed] = primary.claim(request, eventId).tasks
    assert.strictEqual(claimed?.taskId, second)
    kernel.nowMs = 250
    standby.failOver(100)
    assert.deepStrictEqual(eventsOf(standby, first), kept)
    assert.isNull(primary.streams.stateOf(second))
    const [lost] = standby.lost
    assert.deepInclude(lost, { cutAtMs: 150, atMs: 250, commitsCount: 2 })
    assert.deepStrictEqual([...(lost?.taskIds ?? [])], [second])
    assert.isTrue(hasLost(standby.lost, second))
    assert.isFalse(hasLost(standby.lost, first))
    assert.isTrue(primary.sessions.isAlive(sessionId, primary.now()))
  })

  it("issues a number of a stream again, under another event id", () => {
    const { eventId, kernel, scheduled, standby } = makeStandby()
    const { primary } = standby
    const sessionId = primary.sessions.open(primary.now() + 60_000)
    scheduled(first)
    kernel.nowMs = 100
    const request = { kinds: ["sim.post"], limit: 1, lookAheadMs: 0, sessionId }
    const [before] = primary.claim(request, eventId).tasks
    standby.failOver(50)
    const [after] = primary.claim(request, eventId).tasks
    assert.strictEqual(after?.fence.version, before?.fence.version)
    assert.notStrictEqual(after?.fence.eventId, before?.fence.eventId)
  })

  it("gives no session an id that another one had, and goes on like that through a second failover", () => {
    const { kernel, served, standby } = makeStandby()
    const { primary } = standby
    const ids = [primary.sessions.open(1)]
    for (const atMs of [100, 200]) {
      kernel.nowMs = atMs
      ids.push(primary.sessions.open(1))
      standby.failOver(150)
      ids.push(primary.sessions.open(1))
    }
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.strictEqual(served.length, 3)
  })

  it("tells which kinds nobody has announced to it any more", () => {
    const { kernel, standby } = makeStandby()
    const { sessions } = standby.primary
    const sessionId = sessions.open(60_000)
    sessions.serve(sessionId, [defaultKindPolicy("sim.kept")])
    kernel.nowMs = 100
    sessions.serve(sessionId, [defaultKindPolicy("sim.kept"), defaultKindPolicy("sim.lost")])
    kernel.nowMs = 150
    standby.failOver(100)
    assert.deepStrictEqual(
      standby.lost.map(({ unannounced }) => unannounced),
      [new Set(["sim.lost"])]
    )
  })

  it("excuses what was told between its cut and itself, and nothing before or after", () => {
    const { kernel, standby } = makeStandby()
    kernel.nowMs = 1_000
    standby.failOver(400)
    assert.deepStrictEqual(
      [
        [100, 599],
        [100, 600],
        [1_000, 1_200],
        [1_001, 1_200]
      ].map(([askedAtMs = 0, toldAtMs = 0]) => isLost(standby.lost, askedAtMs, toldAtMs)),
      [false, true, true, false]
    )
  })
})
