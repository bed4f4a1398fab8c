import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Duetime } from "../../src/Duetime.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { endsAwaitedMax, make } from "../../src/TaskEnd.ts"
import * as Task from "../../src/Task.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const Work = Task.define("work", { payload: {} })
const Failing = Task.define("failing", { payload: {}, retry: RetryPolicy.never })

const process = TestDuetime.layer(
  Layer.mergeAll(
    Work.handle(() => Effect.void),
    Failing.handle(() => Effect.fail("broken"))
  )
)

const awaitEnd = (id: string, timeout?: number) => Duetime.use((duetime) => duetime.awaitEnd(id, { timeout }))

/** Forked, so that the test can move the clock; it has looked once by then. */
const waiting = (id: string, timeout?: number) => Effect.forkChild(awaitEnd(id, timeout), { startImmediately: true })

describe("awaitEnd", () => {
  it.effect("answers at once of a task that has ended, and how", () =>
    Effect.gen(function* () {
      const done = yield* Work.schedule({})
      const dead = yield* Failing.schedule({})
      const cancelled = yield* Work.schedule({}, { in: "1 hour" })
      yield* Duetime.use((duetime) => duetime.cancel(cancelled.id, "why"))
      yield* TestDuetime.pass(0)
      assert.deepStrictEqual(yield* awaitEnd(done.id, 0), { _tag: "Succeeded", result: null })
      const death = yield* awaitEnd(dead.id, 0)
      assert.deepStrictEqual(death._tag === "Dead" && [death.reason, death.error.message], ["exhausted", "broken"])
      assert.deepStrictEqual(yield* awaitEnd(cancelled.id, 0), { _tag: "Cancelled", reason: "why" })
    }).pipe(Effect.provide(process))
  )

  it.effect("waits for the end, of however many, and gives up when its time is over", () =>
    Effect.gen(function* () {
      const soon = yield* Work.schedule({}, { in: "5 seconds" })
      const later = yield* Work.schedule({}, { in: "1 minute" })
      const fibers = [yield* waiting(soon.id), yield* waiting(soon.id), yield* waiting(later.id)]
      const brief = yield* waiting(later.id, 1_000)
      yield* TestDuetime.pass("4 seconds")
      assert.deepStrictEqual(yield* Fiber.join(brief), { _tag: "Waiting" })
      yield* TestDuetime.pass("30 seconds")
      const ends = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(
        ends.map(({ _tag }) => _tag),
        ["Succeeded", "Succeeded", "Waiting"]
      )
    }).pipe(Effect.provide(process))
  )

  it.effect("refuses a task that nobody knows and a timeout that makes no sense", () =>
    Effect.gen(function* () {
      const { id } = yield* Work.schedule({}, { in: "1 hour" })
      const unknown = yield* Effect.flip(awaitEnd("019ab1d6-9c00-7a1b-8c2d-0123456789ab"))
      assert.strictEqual(unknown._tag, "TaskNotFound")
      for (const timeout of [-1, Number.NaN, 86_400_001]) {
        assert.strictEqual((yield* Effect.flip(awaitEnd(id, timeout)))._tag, "OptionsRejected")
      }
    }).pipe(Effect.provide(process))
  )

  it.effect("asks about all tasks together, less and less often, and about none when nobody waits", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const asked: Array<number> = []
      const counting = yield* make((taskIds) => {
        asked.push(taskIds.length)
        return store.ends(taskIds)
      })
      const receipts = yield* Duetime.use((duetime) =>
        duetime.scheduleMany(
          Work,
          Array.from({ length: 1_500 }, () => ({ payload: {}, in: "1 hour" as const }))
        )
      )
      const fibers = yield* Effect.forEach(receipts, ({ id }) =>
        Effect.forkChild(counting(id, 60_000), { startImmediately: true })
      )
      assert.isBelow(fibers.length, endsAwaitedMax)
      asked.length = 0
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(Math.max(...asked), 1_000)
      // Every tenth of the time awaited, from 50 ms to 2 s: about 55 looks, of two statements each.
      assert.isBelow(asked.length, 2 * 80)
      assert.isAbove(asked.length, 2 * 20)
      yield* TestClock.adjust("20 seconds")
      yield* Effect.forEach(fibers, Fiber.join)
      asked.length = 0
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(asked, [])
    }).pipe(Effect.scoped, Effect.provide(process))
  )
})
