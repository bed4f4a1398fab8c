/**
 * The engine on the memory store under a virtual clock: timers, polls, leases and outages of hours are exact and take
 * milliseconds. The last lines of each test look at what the store has, not only at what the engine says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Ref } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { BrokerUnavailable } from "../../src/broker/Broker.ts"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import { statusOf } from "../../src/core/TaskState.ts"
import { defaults } from "../../src/engine/EngineConfig.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
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
        (yield* subscription.take(10)).map((dispatch) => dispatch.priority),
        ["critical", "normal", "low", "low"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("finds work it was not woken for at the next idle poll", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const deaf = yield* startProcess(database, {
        store: (store) => ({ ...store, wakeUps: Queue.unbounded<number>() })
      })
      const seen = yield* startWorker(deaf)
      yield* TestClock.adjust("10 seconds")
      yield* scheduleAt(deaf.store, [10_000])
      yield* TestClock.adjust(defaults.idlePollMs)
      assert.deepStrictEqual(
        seen.started.map(({ dueAtMs }) => dueAtMs),
        [10_000]
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
})

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
      const [first] = yield* subscription.take(1)
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

describe("When something fails, an engine", () => {
  it.effect("goes on where it was when the store is back", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make({ leaseMs: 3_600_000 }))
      const seen = yield* startWorker(process)
      yield* scheduleAt(process.store, [10_000, 20_000])
      yield* TestClock.adjust("5 seconds")
      yield* process.control.cutOff(true)
      yield* TestClock.adjust("10 seconds")
      yield* process.control.cutOff(false)
      yield* TestClock.adjust("10 seconds")
      const [late, punctual] = seen.started.map(({ dueAtMs, startedAtMs }) => startedAtMs - dueAtMs)
      // Its backoff has grown to a second, and no more.
      assert.isAtMost(late ?? Infinity, 6_000)
      assert.strictEqual(punctual, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("finds a claim whose answer was lost and dispatches it in time", () =>
    Effect.gen(function* () {
      const answersLost = yield* Ref.make(0)
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        store: (store) => ({
          ...store,
          claim: Effect.fnUntraced(function* (request) {
            const claimed = yield* store.claim(request)
            if (claimed.tasks.length === 0 || (yield* Ref.getAndUpdate(answersLost, (count) => count + 1)) > 0)
              return claimed
            return yield* new StoreUnavailable({ operation: "claim", commitUnknown: true, reason: "connection reset" })
          })
        })
      })
      const seen = yield* startWorker(process)
      yield* scheduleAt(process.store, [2_000, 2_000])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Ref.get(answersLost), 1)
      assert.strictEqual(process.engine.status().armedCount, 2)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(
        seen.started.map(({ startedAtMs }) => startedAtMs),
        [2_000, 2_000]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("drops what it held under a session that was lost, and its tasks go on under another", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const seen = yield* startWorker(process)
      yield* TestClock.adjust("20 seconds")
      const [taskId = ""] = yield* scheduleAt(process.store, [22_000])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(process.engine.status().armedCount, 1)
      const lost = process.session.id()
      yield* process.control.killSession(lost)
      yield* TestClock.adjust("1250 millis")
      assert.notStrictEqual(process.session.id(), lost)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(seen.started.length, 1)
      const history = yield* process.store.history(taskId)
      assert.deepStrictEqual(
        history.map((event) => event._tag),
        ["TaskScheduled", "TaskClaimed", "ClaimReleased", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("keeps what the broker does not take and publishes it when it does", () =>
    Effect.gen(function* () {
      const isDown = yield* Ref.make(true)
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        broker: (broker) => ({
          ...broker,
          publish: (batch) =>
            Effect.flatMap(Ref.get(isDown), (down) =>
              down
                ? Effect.fail(new BrokerUnavailable({ operation: "publish", reason: "connection refused" }))
                : broker.publish(batch)
            )
        })
      })
      const seen = yield* startWorker(process)
      yield* scheduleAt(
        process.store,
        Array.from({ length: 500 }, () => 1_000)
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seen.dispatches.length, 0)
      assert.strictEqual((yield* unstartedClaims(process)).length, 100)
      yield* Ref.set(isDown, false)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(seen.started.length, 500)
      assert.strictEqual(new Set(seen.started.map(({ taskId }) => taskId)).size, 500)
    }).pipe(Effect.scoped)
  )

  it.effect("offers refused dispatches again without holding up other queues", () =>
    Effect.gen(function* () {
      const refusesInvoices = yield* Ref.make(true)
      const offersCount = yield* Ref.make(0)
      const invoicePolicy = { ...defaultKindPolicy("invoice"), queue: "invoices" }
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        policies: [emailPolicy, invoicePolicy],
        broker: (broker) => ({
          ...broker,
          publish: Effect.fnUntraced(function* (batch) {
            const refuses = yield* Ref.get(refusesInvoices)
            const accepted = batch.filter(({ queue }) => !(refuses && queue === "invoices"))
            if (accepted.length < batch.length) yield* Ref.update(offersCount, (count) => count + 1)
            yield* broker.publish(accepted)
            return batch.map((dispatch) => (accepted.includes(dispatch) ? "Published" : "Refused"))
          })
        })
      })
      const [emails, invoices] = [yield* startWorker(process), yield* startWorker(process, { queue: "invoices" })]
      yield* scheduleAt(process.store, [1_000, 2_000, 3_000], { kind: "invoice" })
      yield* scheduleAt(process.store, [1_000, 2_000, 3_000])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(
        emails.started.map(({ startedAtMs }) => startedAtMs),
        [1_000, 2_000, 3_000]
      )
      assert.strictEqual(invoices.started.length, 0)
      // Five to begin with, then one a second.
      assert.isAtMost(yield* Ref.get(offersCount), 20)
      yield* Ref.set(refusesInvoices, false)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(invoices.started.length, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("publishes again what was due two seconds ago, is not started and is not at the broker", () =>
    Effect.gen(function* () {
      const losesAll = yield* Ref.make(true)
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        broker: (broker) => ({
          ...broker,
          publish: (batch) =>
            Effect.flatMap(Ref.get(losesAll), (loses) =>
              loses ? Effect.succeed(batch.map(() => "Published" as const)) : broker.publish(batch)
            )
        })
      })
      const seen = yield* startWorker(process)
      yield* scheduleAt(process.store, [1_000, 1_100])
      yield* TestClock.adjust("2 seconds")
      yield* Ref.set(losesAll, false)
      assert.strictEqual(seen.started.length, 0)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(seen.started.length, 2)
      assert.deepStrictEqual(seen.refused, [])
    }).pipe(Effect.scoped)
  )

  it.effect("repeats no hint without end while a service starts nothing", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(
        process.store,
        Array.from({ length: 40 }, () => 1_000)
      )
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* process.broker.lag("emails")).normal, 40)
      // A worker that drops hints: they come again, but never more than two per task are under way.
      const subscription = yield* process.broker.consume("emails")
      for (let round = 0; round < 20; round++) {
        yield* subscription.acknowledge((yield* subscription.take(7)).slice(0, 7))
        yield* TestClock.adjust("5 seconds")
        assert.isAtMost((yield* process.broker.lag("emails")).normal, 80)
      }
      assert.isAtLeast(process.engine.status().republishedCount, 1)
    }).pipe(Effect.scoped)
  )
})

describe("A stopping engine", () => {
  it.effect("gives back at once what it holds armed, unpublished and published in its own process", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      const taskIds = [
        ...(yield* scheduleAt(
          process.store,
          Array.from({ length: 50 }, () => 1_000)
        )),
        ...(yield* scheduleAt(
          process.store,
          Array.from({ length: 30 }, () => 3_000)
        ))
      ]
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 80)
      yield* process.stopEngine
      assert.deepStrictEqual(yield* unstartedClaims(process), [])
      for (const taskId of taskIds) {
        const last = (yield* process.store.history(taskId)).at(-1)
        assert.strictEqual(last?._tag === "ClaimReleased" ? last.reason : last?._tag, "drained")
      }
      const { tasks } = yield* process.store.find({ stage: "pending", limit: 1_000 })
      assert.deepStrictEqual(new Set(tasks.map(({ stage }) => statusOf[stage])), new Set(["PENDING"]))
      assert.strictEqual(tasks.length, 80)
    }).pipe(Effect.scoped)
  )

  it.effect("leaves to the workers of a fleet what it has published, and gives back the rest", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        broker: (broker) => ({
          ...broker,
          reach: "fleet",
          publish: (batch) =>
            Effect.flatMap(broker.publish(batch.filter(({ priority }) => priority === "high")), () =>
              Effect.succeed(batch.map(({ priority }) => (priority === "high" ? "Published" : "Refused")))
            )
        })
      })
      const [published] = yield* scheduleAt(process.store, [1_000], { priority: "high" })
      yield* scheduleAt(process.store, [1_500])
      yield* scheduleAt(process.store, [3_000])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 3)
      yield* process.stopEngine
      assert.deepStrictEqual(
        (yield* unstartedClaims(process)).map(({ taskId }) => taskId),
        [published]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("does not claim again what it is giving back", () =>
    Effect.gen(function* () {
      const isStopping = yield* Ref.make(false)
      const claimsWhileStopping = yield* Ref.make(0)
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        store: (store) => ({
          ...store,
          claim: (request) =>
            Effect.andThen(
              Effect.flatMap(Ref.get(isStopping), (stopping) =>
                stopping ? Ref.update(claimsWhileStopping, (count) => count + 1) : Effect.void
              ),
              store.claim(request)
            ),
          release: (batch) => Effect.delay(store.release(batch), "2 seconds")
        })
      })
      yield* scheduleAt(process.store, [3_000, 3_001])
      yield* TestClock.adjust("2 seconds")
      yield* Ref.set(isStopping, true)
      const stopping = yield* Effect.forkChild(process.stopEngine, { startImmediately: true })
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(stopping)
      assert.strictEqual(yield* Ref.get(claimsWhileStopping), 0)
      assert.deepStrictEqual(yield* unstartedClaims(process), [])
    }).pipe(Effect.scoped)
  )

  it.effect("claims nothing any more", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* TestClock.adjust("2 seconds")
      yield* process.stopEngine
      yield* scheduleAt(process.store, [2_000, 2_500])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* unstartedClaims(process), [])
    }).pipe(Effect.scoped)
  )

  it.effect("ends within its limit when the store does not answer", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(yield* MemoryDatabase.make())
      yield* scheduleAt(process.store, [3_000])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(process.engine.status().armedCount, 1)
      yield* process.control.crash
      // The next claim never returns, either.
      yield* TestClock.adjust("1 second")
      // As a layer is torn down: nobody can interrupt it.
      const stopping = yield* Effect.forkChild(Effect.uninterruptible(process.stopEngine), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(stopping.pollUnsafe())
    }).pipe(Effect.scoped)
  )
})
