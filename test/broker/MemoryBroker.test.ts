import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch } from "effect"
import { Broker } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { brokerContract, dispatchOf, roomFor } from "./Broker.contract.ts"
import { forkPreempted, preemptions, turnsMax, turnsOfOthers } from "./preempted.ts"

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

  it.effect("a dispatch that comes while a consumer begins to wait is taken, at whichever step its fiber yields", () =>
    Effect.gen(function* () {
      for (const { opsPerTurn, turns } of preemptions) {
        const broker = yield* Broker
        const queue = `queue-${opsPerTurn}-${turns}`
        const subscription = yield* broker.consume(queue)
        const taking = yield* forkPreempted(subscription.take(roomFor(1)), opsPerTurn)
        yield* turnsOfOthers(turns)
        const sent = dispatchOf({ queue })
        yield* broker.publish([sent])
        yield* turnsOfOthers(turnsMax)
        assert.deepStrictEqual(taking.pollUnsafe(), Exit.succeed([sent]), `${opsPerTurn} steps a turn, ${turns} turns`)
      }
    }).pipe(Effect.scoped, Effect.provide(MemoryBroker.layer))
  )

  it.effect(
    "a wait that is given up brings what has come until then, at whichever step, or leaves it to the next",
    () =>
      Effect.gen(function* () {
        for (const { opsPerTurn, turns } of preemptions) {
          const broker = yield* Broker
          const queue = `queue-${opsPerTurn}-${turns}`
          const subscription = yield* broker.consume(queue)
          const unless = Latch.makeUnsafe()
          const taking = yield* forkPreempted(subscription.take(roomFor(1), unless.await), opsPerTurn)
          yield* turnsOfOthers(turnsMax)
          const sent = dispatchOf({ queue })
          yield* broker.publish([sent])
          yield* turnsOfOthers(turns)
          unless.openUnsafe()
          const taken = yield* Fiber.join(taking)
          const next = taken.length > 0 ? taken : yield* subscription.take(roomFor(1))
          assert.deepStrictEqual(next, [sent], `${opsPerTurn} steps a turn, given up after ${turns} turns`)
        }
      }).pipe(Effect.scoped, Effect.provide(MemoryBroker.layer))
  )

  it.effect("a wait is given up when nothing comes", () =>
    Effect.gen(function* () {
      const broker = yield* Broker
      const subscription = yield* broker.consume("emails")
      assert.deepStrictEqual(yield* subscription.take(roomFor(1), Effect.void), [])
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
