import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Ref } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { QuietTime } from "../../src/engine/Supervisor.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { emailPolicy, scheduleAt, startProcess, startWorker } from "./fleet.ts"

describe("Quiet time", () => {
  it("lasts for one whole lease without a failure, a gap or a step of the clock", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            afterMs: fc.integer({ min: 0, max: 4_000 }),
            offsetMs: fc.constantFrom(0, 100, -100, 5_000),
            fails: fc.boolean()
          }),
          { maxLength: 40 }
        ),
        (looks) => {
          const quietTime = new QuietTime(leaseMs)
          let atMs = 1_000
          // The oracle: when the present run of undisturbed looks began.
          let beganAtMs: number | undefined
          let before: { readonly atMs: number; readonly offsetMs: number } | undefined
          for (const { afterMs, fails, offsetMs } of looks) {
            atMs += afterMs
            if (fails) {
              quietTime.failed()
              beganAtMs = undefined
              before = undefined
              continue
            }
            const isDisturbed =
              before === undefined || atMs - before.atMs > leaseMs / 2 || Math.abs(offsetMs - before.offsetMs) > 500
            if (isDisturbed) beganAtMs = atMs
            before = { atMs, offsetMs }
            const lastsMs = atMs - (beganAtMs ?? atMs)
            assert.strictEqual(quietTime.looked(atMs, offsetMs), lastsMs >= leaseMs)
            assert.strictEqual(quietTime.leftMs(atMs), lastsMs >= leaseMs ? Infinity : leaseMs - lastsMs)
          }
        }
      )
    )
  })
})

describe("A supervisor", () => {
  it.effect(
    "lets nothing expire before it has watched for a lease, and no longer, however long the session is dead",
    () =>
      Effect.forEach([0, 170, 430, 810], (afterMs) =>
        Effect.gen(function* () {
          const database = yield* MemoryDatabase.make()
          const claimant = yield* startProcess(database)
          yield* scheduleAt(claimant.store, [yield* Clock.currentTimeMillis])
          yield* TestClock.adjust("1 second")
          yield* claimant.control.crash
          yield* TestClock.adjust(3_600_000 + afterMs)
          const watching = yield* startProcess(database, { policies: [] })
          yield* TestClock.adjust(leaseMs - 1)
          assert.strictEqual(watching.engine.status().expiredCount, 0)
          yield* TestClock.adjust(2)
          assert.strictEqual(watching.engine.status().expiredCount, 1)
        }).pipe(Effect.scoped)
      )
  )

  it.effect("begins the quiet time anew after an outage, so that a fleet that was cut off keeps its attempts", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const process = yield* startProcess(database)
      const expiries = yield* Ref.make(0)
      const watching = yield* startProcess(database, {
        policies: [],
        store: (store) => ({
          ...store,
          expire: (limit, asOfMs) =>
            Effect.andThen(
              Ref.update(expiries, (count) => count + 1),
              store.expire(limit, asOfMs)
            )
        })
      })
      const seen = yield* startWorker(process, { finishes: false })
      yield* TestClock.adjust("10 seconds")
      yield* scheduleAt(process.store, [10_500])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.started.length, 1)
      // Nobody can reach the database for two leases: when it is back, every lease in it has ended.
      yield* process.control.cutOff(true)
      yield* watching.control.cutOff(true)
      yield* TestClock.adjust("10 seconds")
      const before = yield* Ref.get(expiries)
      yield* watching.control.cutOff(false)
      yield* TestClock.adjust("4500 millis")
      assert.strictEqual(yield* Ref.get(expiries), before)
      yield* TestClock.adjust("1500 millis")
      assert.isAbove(yield* Ref.get(expiries), before)
    }).pipe(Effect.scoped)
  )

  it.effect("begins it anew after a single look that failed", () =>
    Effect.gen(function* () {
      const expiries = yield* Ref.make(0)
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        policies: [],
        store: (store) => ({
          ...store,
          look: Effect.map(store.look, (look) => ({ ...look, anyExpired: true })),
          expire: (limit, asOfMs) =>
            Effect.andThen(
              Ref.update(expiries, (count) => count + 1),
              store.expire(limit, asOfMs)
            )
        })
      })
      yield* TestClock.adjust("10 seconds")
      yield* process.control.cutOff(true)
      yield* TestClock.adjust("1 second")
      yield* process.control.cutOff(false)
      const before = yield* Ref.get(expiries)
      assert.isAbove(before, 0)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Ref.get(expiries), before)
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(yield* Ref.get(expiries), before)
    }).pipe(Effect.scoped)
  )

  it.effect("goes on with it when the clock of its own node is set, which is no step of the database's", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const aheadMs = yield* Ref.make(0)
      const node: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + Ref.getUnsafe(aheadMs),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(Ref.getUnsafe(aheadMs)) * 1_000_000n
      })
      const expiries = yield* Ref.make(0)
      yield* startProcess(yield* MemoryDatabase.make(), {
        policies: [],
        store: (store) => ({
          ...store,
          clockOffsetMs: () => -Ref.getUnsafe(aheadMs),
          look: Effect.map(store.look, (look) => ({ ...look, anyExpired: true })),
          expire: (limit, asOfMs) =>
            Effect.andThen(
              Ref.update(expiries, (count) => count + 1),
              store.expire(limit, asOfMs)
            )
        })
      }).pipe(Effect.provideService(Clock.Clock, node))
      yield* TestClock.adjust("10 seconds")
      for (const jumpMs of [86_400_000, -3_600_000, 0]) {
        yield* Ref.set(aheadMs, jumpMs)
        const before = yield* Ref.get(expiries)
        yield* TestClock.adjust("2 seconds")
        assert.isAbove(yield* Ref.get(expiries), before)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("begins it anew after a step of the clock", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const offsetMs = yield* Ref.make(0)
      const expiries = yield* Ref.make(0)
      yield* startProcess(database, {
        policies: [],
        store: (store) => ({
          ...store,
          // The estimate learns of it later, with the next answer to a claim or the next reading of the clock.
          look: Effect.map(store.look, (look) => ({
            ...look,
            anyExpired: true,
            databaseMs: look.databaseMs + Ref.getUnsafe(offsetMs)
          })),
          expire: (limit, asOfMs) =>
            Effect.andThen(
              Ref.update(expiries, (count) => count + 1),
              store.expire(limit, asOfMs)
            )
        })
      })
      yield* TestClock.adjust("10 seconds")
      assert.isAbove(yield* Ref.get(expiries), 0)
      yield* Ref.set(offsetMs, 30_000)
      yield* TestClock.adjust("1 second")
      const before = yield* Ref.get(expiries)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* Ref.get(expiries), before)
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(yield* Ref.get(expiries), before)
    }).pipe(Effect.scoped)
  )

  it.effect("ends nothing for a clock that is set between a look that found something and the end of it", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const now = database.now.bind(database)
      const dead = yield* startProcess(database)
      yield* dead.control.crash
      const living = yield* startProcess(database, {
        policies: [],
        store: (store) => ({
          ...store,
          expire: (limit, asOfMs) =>
            Effect.suspend(() => {
              database.now = () => now() + 5_000
              return store.expire(limit, asOfMs)
            })
        })
      })
      const livingId = living.session.id()
      yield* TestClock.adjust("7 seconds")
      assert.notStrictEqual(database.now(), now())
      assert.isFalse(database.sessions.isAlive(dead.session.id(), 0))
      assert.strictEqual(living.session.id(), livingId)
    }).pipe(Effect.scoped)
  )

  it.effect("tells its engine what is served by its own look, and in place of another question", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const asked = { kinds: 0, looks: 0 }
      const isSilent = yield* Ref.make(false)
      yield* startProcess(database, {
        broker: (broker) => ({ ...broker, reach: "fleet" }),
        store: (store) => ({
          ...store,
          kinds: Effect.andThen(
            Effect.sync(() => asked.kinds++),
            store.kinds
          ),
          look: Effect.andThen(
            Effect.sync(() => asked.looks++),
            Effect.suspend(() => (Ref.getUnsafe(isSilent) ? Effect.never : store.look))
          )
        })
      })
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(asked.looks, 62)
      assert.isAtMost(asked.kinds, 1)
      // And asks itself again when nothing is heard of a look.
      yield* Ref.set(isSilent, true)
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(asked.kinds, 4)
    }).pipe(Effect.scoped)
  )

  it.effect("repairs a thousand lost claims in one tick, in bounded statements", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const limits = yield* Ref.make<ReadonlyArray<number>>([])
      const watching = yield* startProcess(database, {
        policies: [],
        store: (store) => ({
          ...store,
          expire: (limit, asOfMs) =>
            Effect.andThen(
              Ref.update(limits, (before) => [...before, limit]),
              store.expire(limit, asOfMs)
            )
        })
      })
      const claimant = yield* startProcess(database, { config: { windowTasksMin: 1_200, criticalTasksMax: 1 } })
      yield* TestClock.adjust("10 seconds")
      yield* scheduleAt(
        claimant.store,
        Array.from({ length: 1_200 }, () => 10_000)
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(claimant.engine.status().claimedCount, 1_200)
      yield* Ref.set(limits, [])
      yield* claimant.control.killSession(claimant.session.id())
      yield* claimant.control.crash
      yield* TestClock.adjust("1 second")
      assert.strictEqual(watching.engine.status().expiredCount, 1_200)
      assert.deepStrictEqual(yield* Ref.get(limits), [500, 500, 500])
    }).pipe(Effect.scoped)
  )

  it.effect("maintains the partitions at the start, then about each minute, and soon again after a failure", () =>
    Effect.gen(function* () {
      const atMs: Array<number> = []
      let fails = true
      yield* startProcess(yield* MemoryDatabase.make(), {
        policies: [emailPolicy],
        store: (store) => ({
          ...store,
          maintain: Effect.clockWith((clock) =>
            Effect.suspend(() => {
              atMs.push(clock.currentTimeMillisUnsafe())
              return fails ? Effect.die(new Error("the partition is locked")) : store.maintain
            })
          )
        })
      })
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(atMs, [0, 50])
      fails = false
      yield* TestClock.adjust("5 minutes")
      const pauses = atMs.slice(3).map((at, index) => at - (atMs[index + 2] ?? 0))
      assert.isAtLeast(pauses.length, 3)
      for (const pause of pauses) assert.isTrue(pause >= 48_000 && pause <= 72_000, `${pause} ms`)
      assert.isAbove(new Set(pauses).size, 1)
    }).pipe(Effect.scoped)
  )
})

const leaseMs = 5_000
