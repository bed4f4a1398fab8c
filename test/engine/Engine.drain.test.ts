import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref } from "effect"
import { TestClock } from "effect/testing"
import { statusOf } from "../../src/core/TaskState.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { scheduleAt, startProcess, unstartedClaims } from "./fleet.ts"

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
            Effect.map(broker.publish(batch.filter(({ priority }) => priority === "high")), () =>
              batch.map(({ priority }) => (priority === "high" ? "Published" : "Refused"))
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
