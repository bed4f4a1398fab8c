/**
 * The engine on the memory store under a virtual clock: timers, polls, leases and outages of hours are exact and take
 * milliseconds. The last lines of each test look at what the store has, not only at what the engine says.
 */
import { roomFor } from "../broker/Broker.contract.ts"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Queue, Ref } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { quietPolls } from "../../src/engine/claimPlan.ts"
import { defaults } from "../../src/engine/EngineConfig.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { emailPolicy, scheduleAt, startProcess, startWorker, unstartedClaims } from "./fleet.ts"

describe("An engine and the due time", () => {
  it.effect("starts every task in the millisecond it is due, whenever it was scheduled", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const seen = yield* startWorker(process)
      yield* scheduleAt(process.store, [700, 1, 1_500, 1_501, 90_000, 90_000, 600_000])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(
        seen.started.map((started) => started.startedAtMs - started.dueAtMs),
        [0, 0, 0, 0, 0, 0, 0]
      )
      assert.deepStrictEqual(seen.refused, [])
    }).pipe(Effect.scoped)
  )

  it.effect("dispatches nothing early, and nothing late while it has a window to claim into", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.integer({ min: 0, max: 6_000 }), fc.integer({ min: 0, max: 6_000 })), {
            minLength: 1,
            maxLength: 60
          }),
          (plan) =>
            Effect.gen(function* () {
              const process = yield* startProcess(yield* MemoryDatabase.make())
              const seen = yield* startWorker(process)
              for (const [pauseMs, delayMs] of plan) {
                const nowMs = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
                yield* scheduleAt(process.store, [nowMs + delayMs])
                yield* TestClock.adjust(pauseMs % 400)
              }
              yield* TestClock.adjust("10 seconds")
              assert.strictEqual(seen.started.length, plan.length)
              for (const { dueAtMs, startedAtMs } of seen.started) assert.strictEqual(startedAtMs - dueAtMs, 0)
              for (const { dispatchedAtMs, dueAtMs } of seen.dispatches) assert.isAtLeast(dispatchedAtMs, dueAtMs)
            }).pipe(Effect.scoped, Effect.provide(TestClock.layer()), Effect.runPromise)
        ),
        { numRuns: 25 }
      )
    )
  )

  it.effect("dispatches what becomes due together in order of priority", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(process.store, [5_000, 5_000], { priority: "low" })
      yield* scheduleAt(process.store, [5_000], { priority: "critical" })
      yield* scheduleAt(process.store, [5_000], { priority: "normal" })
      yield* TestClock.adjust("6 seconds")
      const subscription = yield* process.broker.consume("emails")
      assert.deepStrictEqual(
        (yield* subscription.take(roomFor(10))).map((dispatch) => dispatch.priority),
        ["critical", "normal", "low", "low"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect(
    "claims for a worker that announces itself late, a quarter of a second later at most, however seldom it polls",
    () =>
      Effect.gen(function* () {
        const process = yield* startProcess(yield* MemoryDatabase.make(), {
          policies: [],
          config: { idlePollMs: 60_000 }
        })
        const seen = yield* startWorker(process)
        yield* scheduleAt(process.store, [0])
        yield* TestClock.adjust("1 second")
        yield* Effect.orDie(process.session.serve([emailPolicy]))
        yield* TestClock.adjust(250)
        assert.strictEqual(seen.started.length, 1)
      }).pipe(Effect.scoped)
  )

  it.effect(
    "finds work it was not woken for at the next idle poll, and after a quiet time at the fourth at the latest",
    () =>
      Effect.gen(function* () {
        const database = yield* MemoryDatabase.make()
        const deaf = yield* startProcess(database, {
          store: (store) => ({ ...store, wakeUps: Queue.unbounded<number>() })
        })
        const seen = yield* startWorker(deaf)
        yield* TestClock.adjust("10 seconds")
        yield* scheduleAt(deaf.store, [10_000])
        yield* TestClock.adjust(defaults.idlePollMs * (quietPolls + 1))
        // Something has been found: it is no longer quiet.
        const nowMs = yield* Clock.currentTimeMillis
        yield* scheduleAt(deaf.store, [nowMs])
        yield* TestClock.adjust(defaults.idlePollMs)
        assert.deepStrictEqual(
          seen.started.map(({ dueAtMs }) => dueAtMs),
          [10_000, nowMs]
        )
      }).pipe(Effect.scoped)
  )

  it.effect("is woken by work for the near future and lets the far future wait", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const claims = yield* Ref.make(0)
      const process = yield* startProcess(database, {
        config: { idlePollMs: 60_000 },
        store: (store) => ({
          ...store,
          claim: (request) =>
            Effect.andThen(
              Ref.update(claims, (count) => count + 1),
              store.claim(request)
            )
        })
      })
      const seen = yield* startWorker(process)
      yield* TestClock.adjust("1 second")
      const before = yield* Ref.get(claims)
      yield* scheduleAt(process.store, [50_000])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Ref.get(claims), before)
      yield* scheduleAt(process.store, [1_001])
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Ref.get(claims), before + 1)
      assert.deepStrictEqual(
        seen.started.map((started) => started.startedAtMs),
        [1_001]
      )
      // Known by now, so that not even the idle poll of a minute makes it late.
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        seen.started.map((started) => started.startedAtMs),
        [1_001, 50_000]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("claims only kinds that a live worker serves, and the others as soon as one does", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make(), { policies: [] })
      const seen = yield* startWorker(process)
      const [taskId] = yield* scheduleAt(process.store, [1_000])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        (yield* process.store.history(taskId ?? "")).map((event) => event._tag),
        ["TaskScheduled"]
      )
      yield* process.session.serve([emailPolicy])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.started.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("follows within a second when workers begin and cease to serve a kind", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const seen = yield* startWorker(process)
      yield* TestClock.adjust("1 second")
      yield* process.session.serve([emailPolicy, { ...emailPolicy, kind: "invoice" }])
      yield* TestClock.adjust("1 second")
      yield* scheduleAt(process.store, [3_000], { kind: "invoice" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.started.length, 1)
      yield* process.session.serve([emailPolicy])
      yield* TestClock.adjust("1 second")
      yield* scheduleAt(process.store, [4_500], { kind: "invoice" })
      yield* scheduleAt(process.store, [4_500])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        seen.started.map(({ kind }) => kind),
        ["invoice", "reminder.email"]
      )
      yield* process.session.serve([])
      yield* TestClock.adjust("1 second")
      yield* scheduleAt(process.store, [0])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seen.dispatches.length, 2)
    }).pipe(Effect.scoped)
  )
})

describe("A task moved while it is armed", () => {
  it.effect("is never started after it was cancelled", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const seen = yield* startWorker(process)
      const [taskId = ""] = yield* scheduleAt(process.store, [2_000])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(process.engine.status().armedCount, 1)
      yield* process.store.act(taskId, "11111111-0000-4000-8000-000000000001", { _tag: "Cancel", reason: null })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(seen.started, [])
      assert.deepStrictEqual(
        (yield* process.store.history(taskId)).map((event) => event._tag),
        ["TaskScheduled", "TaskClaimed", "TaskCancelled"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("starts once, at its new due time, if it was rescheduled earlier or later", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const seen = yield* startWorker(process)
      const [earlier = "", later = ""] = yield* scheduleAt(process.store, [2_000, 2_000])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(process.engine.status().armedCount, 2)
      const reschedule = (taskId: string, dueAtMs: number, eventId: string) =>
        process.store.act(taskId, eventId, { _tag: "Reschedule", dueAtMs })
      yield* reschedule(earlier, 1_400, "11111111-0000-4000-8000-000000000001")
      yield* reschedule(later, 60_000, "11111111-0000-4000-8000-000000000002")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(
        seen.started.map(({ startedAtMs, taskId }) => [taskId, startedAtMs]),
        [
          [earlier, 1_400],
          [later, 60_000]
        ]
      )
    }).pipe(Effect.scoped)
  )

  it.effect.each([["of a queue that it knows", emailPolicy.queue] as const, ["of a new queue", "texts"] as const])(
    "claims at once what waits of a kind %s that its own process begins to serve, however quiet it was",
    ([, queue]) =>
      Effect.gen(function* () {
        const process = yield* startProcess(yield* MemoryDatabase.make())
        const others = { ...emailPolicy, kind: "reminder.sms", queue }
        yield* scheduleAt(process.store, [0], { kind: others.kind })
        // From the fifth empty claim on it looks once a second, at 10,000 ms the last time.
        yield* TestClock.adjust("10100 millis")
        yield* process.session.serve([emailPolicy, others])
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(yield* unstartedClaims(process), 1)
      }).pipe(Effect.scoped)
  )
})
