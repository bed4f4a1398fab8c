import { roomFor } from "../broker/Broker.contract.ts"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Ref } from "effect"
import { TestClock } from "effect/testing"
import { type Broker, BrokerUnavailable } from "../../src/broker/Broker.ts"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
import { emailPolicy, scheduleAt, startProcess, startWorker, unstartedClaims } from "./fleet.ts"

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
        broker: losingWhile(losesAll)
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

  it.effect("publishes again what was lost, though the database's clock was set back meanwhile", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const backMs = yield* Ref.make(0)
      const back = () => BigInt(Ref.getUnsafe(backMs)) * 1_000_000n
      const ofDatabase: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() - back()
      })
      const losesAll = yield* Ref.make(true)
      const database = yield* MemoryDatabase.make().pipe(Effect.provideService(Clock.Clock, ofDatabase))
      const process = yield* startProcess(database, {
        broker: losingWhile(losesAll)
      })
      const seen = yield* startWorker(process)
      yield* scheduleAt(process.store, [1_000])
      yield* TestClock.adjust("2 seconds")
      yield* Ref.set(losesAll, false)
      yield* Ref.set(backMs, 8_000)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(seen.started.length, 0)
      // By the database's clock it is due a second time, and has been for two seconds.
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(seen.started.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("publishes again what had been started before a failover lost that, though nothing else is published", () =>
    Effect.gen(function* () {
      const losesAll = yield* Ref.make(true)
      const hasStarted = yield* Ref.make(true)
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        store: (store) => ({
          ...store,
          claimedBy: (...asked) =>
            Effect.flatMap(Ref.get(hasStarted), (has) => (has ? Effect.succeed([]) : store.claimedBy(...asked)))
        }),
        broker: losingWhile(losesAll)
      })
      const seen = yield* startWorker(process)
      yield* scheduleAt(process.store, [1_000])
      yield* TestClock.adjust("1 minute")
      yield* Ref.set(losesAll, false)
      yield* Ref.set(hasStarted, false)
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(seen.started.length, 1)
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
        yield* subscription.acknowledge((yield* subscription.take(roomFor(7))).slice(0, 7))
        yield* TestClock.adjust("5 seconds")
        assert.isAtMost((yield* process.broker.lag("emails")).normal, 80)
      }
      assert.isAtLeast(process.engine.status().republishedCount, 1)
    }).pipe(Effect.scoped)
  )
})

/** Says that it has published, and has not. */
const losingWhile =
  (losesAll: Ref.Ref<boolean>) =>
  (broker: Broker["Service"]): Broker["Service"] => ({
    ...broker,
    publish: (batch) =>
      Effect.flatMap(Ref.get(losesAll), (loses) =>
        loses ? Effect.succeed(batch.map(() => "Published" as const)) : broker.publish(batch)
      )
  })
