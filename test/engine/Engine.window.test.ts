import { roomFor } from "../broker/Broker.contract.ts"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { emailPolicy, scheduleAt, startProcess, startWorker, unstartedClaims } from "./fleet.ts"

describe("The window of an engine", () => {
  it.effect("holds when ten thousand tasks are due and nobody starts them", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(
        process.store,
        Array.from({ length: 10_000 }, (_, index) => 1_000 + (index % 100))
      )
      for (let second = 0; second < 30; second++) {
        yield* TestClock.adjust("1 second")
        assert.isAtMost((yield* unstartedClaims(process)).length, 100)
      }
      assert.strictEqual((yield* unstartedClaims(process)).length, 100)
    }).pipe(Effect.scoped)
  )

  it.effect("lets a critical task pass when lower ones fill it", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(
        process.store,
        Array.from({ length: 1_000 }, () => 1_000)
      )
      yield* TestClock.adjust("10 seconds")
      yield* scheduleAt(process.store, [10_500], { priority: "critical" })
      yield* TestClock.adjust("1 second")
      const subscription = yield* process.broker.consume("emails")
      const [first] = yield* subscription.take(roomFor(1))
      assert.strictEqual(first?.priority, "critical")
      assert.strictEqual(first?.dispatchedAtMs, 10_500)
    }).pipe(Effect.scoped)
  )

  it.effect("bounds the critical tasks above it, too", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(
        process.store,
        Array.from({ length: 1_000 }, () => 1_000)
      )
      yield* TestClock.adjust("10 seconds")
      yield* scheduleAt(
        process.store,
        Array.from({ length: 1_000 }, () => 10_000),
        { priority: "critical" }
      )
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 150)
    }).pipe(Effect.scoped)
  )

  it.effect("full of tasks armed for later, it still lets in what is due before them", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const seen = yield* startWorker(process)
      yield* scheduleAt(
        process.store,
        Array.from({ length: 150 }, () => 10_000)
      )
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(process.engine.status().armedCount, 100)
      yield* scheduleAt(process.store, [9_000, 9_300])
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(
        seen.started.map(({ dueAtMs, startedAtMs }) => [dueAtMs, startedAtMs]),
        [
          [9_000, 9_000],
          [9_300, 9_300]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("is one per queue: a queue without workers holds up no other", () =>
    Effect.gen(function* () {
      const invoicePolicy = { ...defaultKindPolicy("invoice"), queue: "invoices" }
      const process = yield* startProcess(yield* MemoryDatabase.make(), { policies: [emailPolicy, invoicePolicy] })
      const seen = yield* startWorker(process)
      yield* scheduleAt(
        process.store,
        Array.from({ length: 2_000 }, () => 1_000),
        { kind: "invoice" }
      )
      yield* scheduleAt(
        process.store,
        Array.from({ length: 2_000 }, (_, index) => 1_000 + index * 5)
      )
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(seen.started.length, 2_000)
      assert.isAtMost(Math.max(...seen.started.map(({ dueAtMs, startedAtMs }) => startedAtMs - dueAtMs)), 50)
      const heldCount = (yield* unstartedClaims(process)).length
      assert.isTrue(heldCount > 75 && heldCount <= 100, `${heldCount} claims held`)
    }).pipe(Effect.scoped)
  )

  it.effect("opens with the rate of starts, so that a backlog is worked off at the workers' speed", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(
        process.store,
        Array.from({ length: 20_000 }, () => 1_000)
      )
      // 100 starts every 10 ms.
      const seen = yield* startWorker(process, { atOnceMax: 100, pauseMs: 10 })
      yield* TestClock.adjust("3100 millis")
      assert.isAtLeast(process.engine.status().queues[0]?.windowTasks ?? 0, 1_500)
      assert.isAtLeast(seen.started.length, 18_000)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(seen.started.length, 20_000)
      assert.strictEqual(process.engine.status().queues[0]?.windowTasks, 100)
    }).pipe(Effect.scoped)
  )
})

describe("Engines together", () => {
  it.effect("give each task to one of them", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const one = yield* startProcess(database)
      const other = yield* startProcess(database)
      const [seenByOne, seenByOther] = [yield* startWorker(one), yield* startWorker(other)]
      const taskIds = yield* scheduleAt(
        one.store,
        Array.from({ length: 3_000 }, (_, index) => 1_000 + index)
      )
      yield* TestClock.adjust("6 seconds")
      const dispatched = [...seenByOne.dispatches, ...seenByOther.dispatches].map((dispatch) => dispatch.taskId)
      assert.deepStrictEqual(dispatched.toSorted(), taskIds.toSorted())
      assert.deepStrictEqual([...seenByOne.refused, ...seenByOther.refused], [])
    }).pipe(Effect.scoped)
  )

  it.effect("take over what a crashed one held, after its lease and no earlier", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const crashing = yield* startProcess(database, { config: { windowTasksMin: 10 } })
      const staying = yield* startProcess(database, { policies: [] })
      yield* TestClock.adjust("20 seconds")
      const taskIds = yield* scheduleAt(
        crashing.store,
        Array.from({ length: 10 }, () => 20_500)
      )
      yield* TestClock.adjust(100)
      assert.strictEqual(crashing.engine.status().armedCount, 10)
      yield* crashing.control.crash
      yield* staying.session.serve([emailPolicy])
      const seen = yield* startWorker(staying)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(seen.started.length, 0)
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(seen.started.map(({ taskId }) => taskId).toSorted(), taskIds.toSorted())
      assert.strictEqual(staying.engine.status().expiredCount, 10)
    }).pipe(Effect.scoped)
  )
})
