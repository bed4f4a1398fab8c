import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Broker } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { brokerContract, dispatchOf, roomFor } from "./Broker.contract.ts"

brokerContract("MemoryBroker", MemoryBroker.layer)

describe("MemoryBroker", () => {
  it.effect("a full queue refuses what is too much, and only that", () =>
    Effect.gen(function* () {
      const broker = yield* Broker
      const subscription = yield* broker.consume("emails")
      const batch = [1, 2, 3, 4].map(() => dispatchOf({ queue: "emails" }))
      assert.deepStrictEqual(yield* broker.publish([...batch, dispatchOf({ queue: "payments" })]), [
        "Published",
        "Published",
        "Published",
        "Refused",
        "Published"
      ])
      const taken = yield* subscription.take(roomFor(10))
      assert.strictEqual(taken.length, 3)
      // Taken is not yet acknowledged: a worker that never starts anything must not be fed for ever.
      assert.deepStrictEqual(yield* broker.publish([dispatchOf({ queue: "emails" })]), ["Refused"])
      yield* subscription.acknowledge(taken)
      assert.deepStrictEqual(yield* broker.publish([dispatchOf({ queue: "emails" })]), ["Published"])
    }).pipe(Effect.scoped, Effect.provide(MemoryBroker.layerWith({ capacityPerQueue: 3 })))
  )

  it.effect("a lane is first in, first out, also for what comes back from a consumer that left", () =>
    Effect.gen(function* () {
      const broker = yield* Broker
      const batch = Array.from({ length: 50 }, () => dispatchOf({ queue: "emails" }))
      yield* broker.publish(batch.slice(0, 30))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const leaving = yield* broker.consume("emails")
          yield* leaving.take(roomFor(20))
        })
      )
      yield* broker.publish(batch.slice(30))
      const subscription = yield* broker.consume("emails")
      assert.deepStrictEqual(yield* subscription.take(roomFor(100)), batch)
    }).pipe(Effect.scoped, Effect.provide(MemoryBroker.layer))
  )

  it.effect("a consumer that is interrupted while it is being woken leaves the dispatch to the others", () =>
    Effect.gen(function* () {
      const broker = yield* Broker
      const subscription = yield* broker.consume("emails")
      const leaving = yield* Effect.forkChild(subscription.take(roomFor(1)), { startImmediately: true })
      const staying = yield* Effect.forkChild(subscription.take(roomFor(1)), { startImmediately: true })
      const interruption = yield* Effect.forkChild(Fiber.interrupt(leaving), { startImmediately: true })
      const sent = dispatchOf({ queue: "emails" })
      yield* broker.publish([sent])
      yield* Fiber.await(interruption)
      assert.deepStrictEqual(yield* Fiber.join(staying), [sent])
    }).pipe(Effect.scoped, Effect.provide(MemoryBroker.layer))
  )

  it.effect("acknowledging what was never taken changes nothing", () =>
    Effect.gen(function* () {
      const broker = yield* Broker
      const subscription = yield* broker.consume("emails")
      yield* broker.publish([dispatchOf({ queue: "emails" })])
      yield* subscription.acknowledge([dispatchOf({ queue: "emails" })])
      assert.strictEqual((yield* broker.lag("emails")).normal, 1)
    }).pipe(Effect.scoped, Effect.provide(MemoryBroker.layer))
  )
})
