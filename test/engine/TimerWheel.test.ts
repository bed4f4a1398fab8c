import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import * as fc from "fast-check"
import { priorities, type Priority, rankOf } from "../../src/core/Priority.ts"
import { type Armed, QueueLoad } from "../../src/engine/QueueLoad.ts"
import { TimerWheel } from "../../src/engine/TimerWheel.ts"
import * as WheelTimer from "../../src/engine/WheelTimer.ts"

describe("TimerWheel", () => {
  it("releases every task once, never early, and in the first millisecond after its due time", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            advanceMs: fc.oneof(
              fc.constant(0),
              fc.integer({ min: 1, max: 40 }),
              fc.double({ min: 0, max: 3_000, noNaN: true })
            ),
            // Beyond one turn of the wheel, too, and in the past.
            delaysMs: fc.array(
              fc.oneof(fc.integer({ min: -50, max: 2_000 }), fc.double({ min: -10, max: 20_000, noNaN: true })),
              {
                maxLength: 8
              }
            )
          }),
          { minLength: 1, maxLength: 40 }
        ),
        (steps) => {
          const world = makeWorld()
          const addedAtMs = new Map<string, number>()
          let count = 0
          for (const { advanceMs, delaysMs } of steps) {
            world.advance(advanceMs)
            const batch = delaysMs.map((delayMs) => world.armed(`task-${count++}`, world.nowMs() + delayMs))
            for (const { task } of batch) addedAtMs.set(task.taskId, world.nowMs())
            assert.strictEqual(world.wheel.add(batch), batch.length)
          }
          world.advance(25_000)
          assert.strictEqual(world.released.length, count)
          assert.strictEqual(new Set(world.released.map(({ armed }) => armed.task.taskId)).size, count)
          for (const { armed, atMs } of world.released) {
            const possibleAtMs = Math.max(armed.task.dueAtMs, addedAtMs.get(armed.task.taskId) ?? 0)
            assert.isAtLeast(atMs, armed.task.dueAtMs)
            assert.isBelow(atMs - possibleAtMs, 1)
          }
          assert.strictEqual(world.wheel.size, 0)
          assert.strictEqual(world.load.armedCount, 0)
          assert.deepStrictEqual(world.load.armedIn, { critical: 0, high: 0, normal: 0, low: 0 })
        }
      )
    )
  })

  it("is never early when the estimate of the database's clock moves, and late by no more than the move", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 200 }), fc.double({ min: -300, max: 300, noNaN: true })), {
          maxLength: 20
        }),
        (delaysMs, moves) => {
          const world = makeWorld()
          world.wheel.add(delaysMs.map((delayMs, index) => world.armed(`task-${index}`, world.nowMs() + delayMs)))
          for (const [advanceMs, offsetMs] of moves) {
            world.advance(advanceMs)
            world.setOffset(offsetMs)
            // As after each claim.
            world.wheel.turn()
          }
          world.advance(5_000)
          assert.strictEqual(world.released.length, delaysMs.length)
          for (const { armed, atMs } of world.released) {
            assert.isAtLeast(atMs, armed.task.dueAtMs)
            assert.isBelow(atMs - armed.task.dueAtMs, 601)
          }
        }
      )
    )
  })

  it("releases a tick in order of priority, then due time, however it was armed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...priorities), fc.integer({ min: 1, max: 5 })), { maxLength: 40 }),
        (tasks) => {
          const world = makeWorld()
          world.wheel.add(
            tasks.map(([priority, delayMs], index) => world.armed(`task-${index}`, world.nowMs() + delayMs, priority))
          )
          // One late tick, as after a long pause of the event loop.
          world.skip(10)
          world.wheel.turn()
          const order = world.released.map(
            ({ armed: { task } }) => rankOf(task.priority) * 1_000 + (task.dueAtMs - startMs)
          )
          assert.deepStrictEqual(
            order,
            order.toSorted((a, b) => a - b)
          )
          assert.strictEqual(world.batches, tasks.length === 0 ? 0 : 1)
        }
      )
    )
  })

  it("arms one timer for all, for the task that is due first", () => {
    const world = makeWorld()
    world.wheel.add([world.armed("a", startMs + 900), world.armed("b", startMs + 500), world.armed("c", startMs + 500)])
    assert.deepStrictEqual(world.timers(), [startMs + 500])
    world.wheel.add([world.armed("d", startMs + 100)])
    assert.deepStrictEqual(world.timers(), [startMs + 100])
    world.advance(600)
    assert.deepStrictEqual(world.timers(), [startMs + 900])
    world.advance(300)
    assert.deepStrictEqual(world.timers(), [])
  })

  it("replaces a task that is armed again by its newest claim", () => {
    const world = makeWorld()
    world.wheel.add([world.armed("a", startMs + 100), world.armed("b", startMs + 100)])
    const later = world.armed("a", startMs + 300)
    const earlier = world.armed("b", startMs + 50)
    world.wheel.add([later, earlier])
    assert.strictEqual(world.wheel.size, 2)
    assert.strictEqual(world.load.armedCount, 2)
    world.advance(1_000)
    assert.deepStrictEqual(
      world.released.map(({ armed, atMs }) => [armed, atMs]),
      [
        [earlier, startMs + 50],
        [later, startMs + 300]
      ]
    )
  })

  it("never releases what was removed or cleared", () => {
    const world = makeWorld()
    const tasks = ["a", "b", "c", "d"].map((id, index) => world.armed(id, startMs + 100 + index))
    world.wheel.add(tasks)
    assert.isTrue(world.wheel.remove("b"))
    assert.isFalse(world.wheel.remove("b"))
    assert.deepStrictEqual(
      world.wheel.clear().map(({ task }) => task.taskId),
      ["a", "c", "d"]
    )
    assert.deepStrictEqual(world.timers(), [])
    assert.strictEqual(world.load.armedCount, 0)
    const again = world.armed("b", startMs + 200)
    world.wheel.add([again])
    world.advance(1_000)
    assert.deepStrictEqual(
      world.released.map(({ armed }) => armed),
      [again]
    )
  })

  it("takes no more than its capacity and says how many it took", () => {
    const world = makeWorld({ capacityTasks: 3 })
    const batch = ["a", "b", "c", "d", "e"].map((id) => world.armed(id, startMs + 100))
    assert.strictEqual(world.wheel.add(batch), 3)
    assert.strictEqual(world.wheel.room, 0)
    world.advance(200)
    assert.strictEqual(world.released.length, 3)
    assert.strictEqual(world.wheel.room, 3)
  })

  it("knows a claim by its fence and not by its task alone", () => {
    const world = makeWorld()
    const armed = world.armed("a", startMs + 100)
    world.wheel.add([armed])
    assert.isTrue(world.wheel.has("a", armed.task.fence))
    assert.isFalse(world.wheel.has("a", world.armed("a", startMs + 100).task.fence))
  })
})

describe("The live timer", () => {
  it.live("fires after its time and never before, also when ticks are so dense that no budget is left to spin", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const timer = WheelTimer.live(clock)
      const load = new QueueLoad("emails")
      const early: Array<number> = []
      let releasedCount = 0
      const count = 300
      yield* Effect.callback<void>((resume) => {
        const wheel = new TimerWheel({
          timer,
          clockOffsetMs: () => 12.345,
          release: (batch) => {
            for (const { task } of batch) if (wheel.nowMs() < task.dueAtMs) early.push(task.dueAtMs - wheel.nowMs())
            releasedCount += batch.length
            if (releasedCount === count) resume(Effect.void)
          }
        })
        wheel.add(
          Array.from({ length: count }, (_, index) => armedOf(load, `task-${index}`, wheel.nowMs() + index * 0.7))
        )
      })
      assert.deepStrictEqual(early, [])
    })
  )

  it.live("keeps to its time without a wheel that looks again", () =>
    Effect.gen(function* () {
      const timer = WheelTimer.live(yield* Clock.Clock)
      const early: Array<number> = []
      for (let index = 0; index < 40; index++) {
        const atMs = timer.nowMs() + index / 7
        yield* Effect.callback<void>((resume) => {
          timer.arm(atMs, () => {
            if (timer.nowMs() < atMs) early.push(atMs - timer.nowMs())
            resume(Effect.void)
          })
        })
      }
      assert.deepStrictEqual(early, [])
    })
  )

  it.live("does not fire within arm, nor after it was disarmed", () =>
    Effect.gen(function* () {
      const timer = WheelTimer.live(yield* Clock.Clock)
      const fired: Array<string> = []
      timer.arm(timer.nowMs() - 5, () => fired.push("past"))
      assert.deepStrictEqual(fired, [])
      const disarm = [1, 3, 0.5, -1].map((inMs) => timer.arm(timer.nowMs() + inMs, () => fired.push("disarmed")))
      for (const one of disarm) one()
      yield* Effect.callback<void>((resume) => {
        timer.arm(timer.nowMs() + 10, () => resume(Effect.void))
      })
      assert.deepStrictEqual(fired, ["past"])
    })
  )

  it.live("is the one that a live clock gets", () =>
    Effect.gen(function* () {
      const given: WheelTimer.WheelTimer = { nowMs: () => 0, arm: () => () => {} }
      assert.strictEqual(yield* Effect.provideService(WheelTimer.current, WheelTimer.WheelTimer, given), given)
      const timer = yield* WheelTimer.current
      const wallMs = yield* Clock.currentTimeMillis
      assert.isBelow(Math.abs(timer.nowMs() - wallMs), 1_000)
    })
  )
})

/** A time with a fraction, far enough from zero to be a real one. */
const startMs = 1_700_000_000_000

const makeWorld = (options: { readonly capacityTasks?: number } = {}) => {
  let localMs = startMs
  let offsetMs = 0
  const timers = new Map<() => void, number>()
  const released: Array<{ readonly armed: Armed; readonly atMs: number }> = []
  const load = new QueueLoad("emails")
  const world = { batches: 0 }
  const wheel: TimerWheel = new TimerWheel({
    timer: {
      nowMs: () => localMs,
      arm: (atMs, fire) => {
        const timer = () => fire()
        timers.set(timer, atMs)
        return () => timers.delete(timer)
      }
    },
    clockOffsetMs: () => offsetMs,
    release: (batch) => {
      world.batches++
      for (const armed of batch) released.push({ armed, atMs: wheel.nowMs() })
    },
    ...options
  })
  /** Runs every timer at its time, up to the new one. */
  const advance = (byMs: number) => {
    const untilMs = localMs + byMs
    for (;;) {
      const [next] = [...timers].toSorted(([, a], [, b]) => a - b)
      if (next === undefined || next[1] > untilMs) break
      timers.delete(next[0])
      localMs = Math.max(localMs, next[1])
      next[0]()
    }
    localMs = untilMs
  }
  return Object.assign(world, {
    wheel,
    load,
    released,
    advance,
    skip: (byMs: number) => {
      localMs += byMs
    },
    setOffset: (ms: number) => {
      offsetMs = ms
    },
    nowMs: () => wheel.nowMs(),
    timers: () => [...timers.values()],
    armed: (taskId: string, dueAtMs: number, priority: Priority = "normal") => armedOf(load, taskId, dueAtMs, priority)
  })
}

let claimsCount = 0

const armedOf = (load: QueueLoad, taskId: string, dueAtMs: number, priority: Priority = "normal"): Armed => ({
  load,
  task: {
    taskId,
    kind: "reminder.email",
    priority,
    dueAtMs,
    fence: { version: 2, eventId: `claim-${claimsCount++}` },
    isSuspect: false
  }
})
