/**
 * Goal: an engine whose broker spans processes knows what is under way without asking it, and loses nothing to it.
 * Method: the memory broker made to tell starts by hints, and to lose dispatches and hints as the test wants.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { emailPolicy, scheduleAt, startProcess, startWorker, unstartedClaims } from "./fleet.ts"
import { fleetBroker } from "./fleetBroker.ts"

const due = (count: number, atMs: number) => Array.from({ length: count }, () => atMs)

describe("An engine among processes", () => {
  it.effect("works a backlog off at the workers' speed, by what they tell it", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, due(2_000, 1_000))
      const worker = yield* startWorker(process, { atOnceMax: 50, pauseMs: 50 })
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(worker.started.length, 2_000)
      assert.strictEqual(new Set(worker.started.map(({ taskId }) => taskId)).size, 2_000)
    }).pipe(Effect.scoped)
  )

  it.effect("holds no more than its window while nobody starts anything, and publishes little again", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, due(5_000, 1_000))
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 100)
      assert.isAtMost(fleet.published.length, 200)
    }).pipe(Effect.scoped)
  )

  it.effect("looks up what was started when the hints of it are lost", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      fleet.losesHints = true
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, due(1_000, 1_000))
      const worker = yield* startWorker(process)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(worker.started.length, 1_000)
    }).pipe(Effect.scoped)
  )

  it.effect("publishes a lost dispatch again, and says that it does", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      fleet.loses = ({ repeat }) => repeat === 0
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, [1_000])
      const worker = yield* startWorker(process)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(worker.started.length, 1)
      assert.deepStrictEqual(
        fleet.published.map(({ repeat }) => repeat),
        [0, 1]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("forgets what it could not publish once somebody has pulled it", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      fleet.isDown = true
      yield* scheduleAt(process.store, due(500, 1_000))
      yield* TestClock.adjust("1 second")
      let startedCount = 0
      for (let round = 0; round < 40; round++) {
        const tasks = yield* process.store.pull({
          kinds: ["reminder.email"],
          overdueMs: 0,
          limit: 50,
          fromLowest: 0,
          suspectsMax: 1
        })
        const answers = yield* process.store.start(
          process.session.id(),
          tasks.map(({ fence, taskId }, index) => ({
            taskId,
            fence,
            eventId: `5f3c8f2a-0000-4000-8000-${(round * 100 + index).toString(16).padStart(12, "0")}`,
            timeoutMs: 600_000,
            dispatchedAtMs: null
          }))
        )
        startedCount += answers.filter(({ _tag }) => _tag === "Started").length
        yield* TestClock.adjust("200 millis")
      }
      assert.strictEqual(startedCount, 500)
      assert.strictEqual(process.engine.status().queues[0]?.pressingCount, 0)
      fleet.isDown = false
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(fleet.published, [])
    }).pipe(Effect.scoped)
  )

  it.effect("gives the claims of a paused kind back and claims them again when it is resumed", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, due(300, 1_000))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 100)
      yield* process.store.pause({ _tag: "Kind", kind: "reminder.email" }, true)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 0)
      const worker = yield* startWorker(process)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(worker.started.length, 0)
      yield* process.store.pause({ _tag: "Kind", kind: "reminder.email" }, false)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(worker.started.length, 300)
    }).pipe(Effect.scoped)
  )

  it.effect("claims within a second what waits of a kind that somebody begins to serve, however quiet it becomes", () =>
    Effect.gen(function* () {
      const others = { ...emailPolicy, kind: "reminder.sms" }
      // It asks four times a second at first, and then once.
      for (const afterMs of [50, 300, 550, 800, 1_050, 1_300]) {
        const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleetBroker().wrap })
        yield* scheduleAt(process.store, [0], { kind: others.kind })
        yield* TestClock.adjust(afterMs)
        yield* process.session.serve([emailPolicy, others])
        yield* TestClock.adjust("1 second")
        assert.lengthOf(yield* unstartedClaims(process), 1, `served after ${afterMs} ms`)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("gives claims back when nobody serves their kind any more", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, due(300, 1_000))
      yield* TestClock.adjust("2 seconds")
      yield* process.session.serve([])
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* unstartedClaims(process)).length, 0)
      const publishedCount = fleet.published.length
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(fleet.published.length, publishedCount)
    }).pipe(Effect.scoped)
  )

  it.effect("lets a flood of critical tasks leave the low ones more than a twentieth of the starts", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      yield* scheduleAt(process.store, due(8_000, 1_000), { priority: "critical" })
      yield* scheduleAt(process.store, due(2_000, 1_000), { priority: "low" })
      const worker = yield* startWorker(process, { atOnceMax: 25, pauseMs: 50 })
      yield* TestClock.adjust("11 seconds")
      const low = worker.started.filter(({ priority }) => priority === "low").length
      assert.isAtLeast(worker.started.length, 3_000)
      assert.isAtLeast(low / worker.started.length, 0.05)
      assert.isAtMost(low / worker.started.length, 0.2)
    }).pipe(Effect.scoped)
  )

  it.effect("starts no more of a capped kind in a second than its cap lets through, and the others without delay", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      const capped = {
        ...defaultKindPolicy("sms"),
        queue: "emails",
        caps: { concurrencyMax: null, startsPerSecondMax: 20 }
      }
      const process = yield* startProcess(yield* MemoryDatabase.make(), {
        broker: fleet.wrap,
        policies: [emailPolicy, capped]
      })
      yield* scheduleAt(process.store, due(200, 2_000), { kind: "sms" })
      yield* scheduleAt(process.store, due(50, 2_000))
      const worker = yield* startWorker(process)
      yield* TestClock.adjust("7 seconds")
      const ofKind = (kind: string) => worker.started.filter((one) => one.kind === kind).map((one) => one.startedAtMs)
      assert.isTrue(ofKind("reminder.email").every((atMs) => atMs < 2_050))
      assert.strictEqual(ofKind("reminder.email").length, 50)
      const starts = ofKind("sms")
      // Five seconds of twenty, and the bucket that was full at the beginning.
      assert.isAtLeast(starts.length, 95)
      assert.isAtMost(starts.length, 103)
      for (const atMs of starts)
        assert.isAtMost(starts.filter((other) => other >= atMs && other < atMs + 1_000).length, 22)
    }).pipe(Effect.scoped)
  )

  it.effect("announces each dead letter, after an outage too", () =>
    Effect.gen(function* () {
      const fleet = fleetBroker()
      fleet.isDown = true
      const process = yield* startProcess(yield* MemoryDatabase.make(), { broker: fleet.wrap })
      const ids = yield* scheduleAt(process.store, due(3, 1_000))
      yield* TestClock.adjust("1 second")
      const claims = yield* unstartedClaims(process)
      const started = yield* process.store.start(
        process.session.id(),
        claims.map(({ fence, taskId }, index) => ({
          taskId,
          fence,
          eventId: `5f3c8f2a-0000-4000-8000-00000000000${index}`,
          timeoutMs: 60_000,
          dispatchedAtMs: null
        }))
      )
      yield* process.store.finish(
        started.flatMap((one, index) =>
          one._tag === "Started"
            ? [
                {
                  started: one,
                  eventId: `5f3c8f2a-0000-4000-8000-00000000001${index}`,
                  outcome: { _tag: "Discard" as const, reason: "not wanted" },
                  policy: emailPolicy
                }
              ]
            : []
        )
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(fleet.announced, [])
      fleet.isDown = false
      yield* TestClock.adjust("10 seconds")
      assert.sameMembers(
        fleet.announced.map(({ taskId }) => taskId),
        ids
      )
      assert.isTrue(
        fleet.announced.every(({ errorName, reason }) => reason === "discarded" && errorName === "Discarded")
      )
    }).pipe(Effect.scoped)
  )
})
