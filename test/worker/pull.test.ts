/**
 * Goal: what no dispatch brings is started all the same, a quarter of a second later, and a full worker keeps nothing.
 * Method: a broker of the fleet that loses what the test wants, on the virtual clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { Task } from "../../src/index.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { fleetBroker } from "../engine/fleetBroker.ts"
import { itRuns, passMs, processOf } from "./process.ts"

const Work = Task.define("work", { payload: {} })
const Urgent = Task.define("urgent", { payload: {}, priority: "critical" })

describe("A worker that no dispatch reaches", () => {
  itRuns("starts what is overdue by itself, half a second late at most, and says that nobody dispatched it", () => {
    const fleet = fleetBroker()
    fleet.loses = () => true
    return {
      handlers: Work.handle(() => Effect.void),
      options: { broker: fleet.wrap, concurrency: 10 },
      test: Effect.gen(function* () {
        const dueAtMs = (yield* Clock.currentTimeMillis) + 3_000
        const { id } = yield* Work.schedule({}, { at: dueAtMs })
        yield* passMs(2_900)
        yield* passMs(700)
        const store = yield* TaskStore
        const started = (yield* store.history(id)).find(({ _tag }) => _tag === "AttemptStarted")
        assert.strictEqual(started?._tag === "AttemptStarted" ? started.dispatchedAtMs : 0, null)
        assert.isAtMost((started?.atMs ?? Infinity) - dueAtMs, 500)
        const worker = yield* Worker
        assert.strictEqual(worker.status().pulled, 1)
      })
    }
  })

  itRuns("works a whole backlog off while the broker is away", () => {
    const fleet = fleetBroker()
    fleet.isDown = true
    return {
      handlers: Work.handle(() => Effect.sleep(10)),
      options: { broker: fleet.wrap, concurrency: 20 },
      test: Effect.gen(function* () {
        yield* Work.scheduleMany(Array.from({ length: 400 }, () => ({ payload: {} })))
        for (let tenth = 0; tenth < 60; tenth++) yield* passMs(100)
        const store = yield* TaskStore
        assert.strictEqual((yield* store.find({ stage: "succeeded", limit: 1_000 })).tasks.length, 400)
      })
    }
  })
})

describe("Slots kept for critical tasks", () => {
  itRuns("are taken by them alone, so that one that is due finds a slot however many others wait", () => {
    let running = 0
    let runningMax = 0
    let urgentStartedAtMs = 0
    const others = Work.handle(() =>
      Effect.sync(() => {
        runningMax = Math.max(runningMax, ++running)
      }).pipe(Effect.andThen(Effect.sleep(10_000)), Effect.ensuring(Effect.sync(() => running--)))
    )
    const urgent = Urgent.handle(() => Effect.map(Clock.currentTimeMillis, (atMs) => void (urgentStartedAtMs = atMs)))
    return {
      handlers: Layer.mergeAll(others, urgent),
      options: { concurrency: 20 },
      test: Effect.gen(function* () {
        yield* Work.scheduleMany(Array.from({ length: 100 }, () => ({ payload: {} })))
        yield* passMs(1_000)
        assert.strictEqual(runningMax, 18)
        const dueAtMs = (yield* Clock.currentTimeMillis) + 1_000
        yield* Urgent.schedule({}, { at: dueAtMs })
        yield* passMs(1_500)
        assert.strictEqual(urgentStartedAtMs, dueAtMs)
        yield* passMs(60_000)
      })
    }
  })

  itRuns("are none where no kind is critical", () => {
    let running = 0
    let runningMax = 0
    return {
      handlers: Work.handle(() =>
        Effect.sync(() => {
          runningMax = Math.max(runningMax, ++running)
        }).pipe(Effect.andThen(Effect.sleep(1_000)), Effect.ensuring(Effect.sync(() => running--)))
      ),
      options: { concurrency: 10 },
      test: Effect.gen(function* () {
        yield* Work.scheduleMany(Array.from({ length: 30 }, () => ({ payload: {} })))
        yield* passMs(20_000)
        assert.strictEqual(runningMax, 10)
      })
    }
  })

  it.effect("must be fewer than the slots", () =>
    Effect.gen(function* () {
      for (const criticalSlots of [-1, 1.5, 10]) {
        const built = Layer.build(processOf(Layer.empty, { concurrency: 10, criticalSlots }))
        const error = yield* Effect.flip(Effect.scoped(built))
        assert.include(error.message, `criticalSlots is ${criticalSlots}`)
      }
    })
  )
})
