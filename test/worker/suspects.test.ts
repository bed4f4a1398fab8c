/**
 * Goal: whatever brings them, a worker never runs two suspects at the same time, so that of one process's death at most one
 * of them can be blamed; and suspects cost all others nothing. Method: dispatches by hand for each way in which the place is given
 * back; and tasks that have really died twice, brought by the broker, by pulls, or within a process, on the virtual clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Broker, type Dispatch } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { Duetime } from "../../src/Duetime.ts"
import { Engine } from "../../src/engine/Engine.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { Ids } from "../../src/store/Ids.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { MemoryControl } from "../../src/store/MemoryStore.ts"
import { Session } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import * as Task from "../../src/Task.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { fleetBroker } from "../engine/fleetBroker.ts"
import { audited, passMs } from "./process.ts"

const ends = ["succeed", "fail", "snooze", "time out", "ignore its interruption"] as const
const Work = Task.define("work", {
  payload: { end: Schema.Literals(ends) },
  timeout: "1 second",
  retry: RetryPolicy.fixed({ delay: 0, attemptsMax: 20 })
})

const stageOf = (id: string) =>
  Effect.map(
    Duetime.use((duetime) => duetime.get(id)),
    ({ stage }) => stage
  )

/** Counts what runs at the same time, and the most that did. */
class Gauge {
  now = 0
  most = 0
  readonly during = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => void (this.most = Math.max(this.most, ++this.now))),
      () => effect,
      () => Effect.sync(() => this.now--)
    )
}

describe("a worker that is brought suspects", () => {
  const handler = Work.handle(({ end }): Effect.Effect<void, unknown> => {
    const half = Effect.sleep("500 millis")
    switch (end) {
      case "succeed":
        return half
      case "fail":
        return Effect.andThen(half, Effect.fail("no"))
      case "snooze":
        return Effect.andThen(half, Effect.fail(Task.snooze("1 hour")))
      case "time out":
        return Effect.never
      case "ignore its interruption":
        return Effect.uninterruptible(Effect.sleep("1 hour"))
    }
  })

  it.effect("runs one of them beside its other tasks, and lets the rest go at once", () =>
    Effect.gen(function* () {
      yield* Layer.build(handler)
      const [one, other, plain] = [yield* suspect(), yield* suspect(), yield* claimed()]
      yield* publish(one, other, plain)
      yield* passMs(10)
      const stages = Effect.forEach([one, other, plain], ({ taskId }) => stageOf(taskId))
      assert.deepStrictEqual(yield* stages, ["running", "claimed", "running"])
      assert.strictEqual((yield* Worker).status().inFlight, 2)
      assert.strictEqual(yield* lag, 0)
      yield* publish(other)
      yield* passMs(480)
      assert.deepStrictEqual(yield* stages, ["running", "claimed", "running"])
      yield* passMs(10)
      assert.deepStrictEqual(yield* stages, ["succeeded", "claimed", "succeeded"])
      yield* publish(other)
      yield* passMs(500)
      assert.deepStrictEqual(yield* stages, ["succeeded", "succeeded", "succeeded"])
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )

  for (const end of ends) {
    it.effect(`has room for the next one when an attempt is to ${end}`, () =>
      Effect.gen(function* () {
        yield* Layer.build(handler)
        yield* publish(yield* suspect(end))
        yield* passMs(2_000)
        const next = yield* suspect()
        yield* publish(next)
        yield* passMs(10)
        assert.strictEqual(yield* stageOf(next.taskId), "running")
        yield* passMs(3_600_000)
      }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
    )
  }

  it.effect("has room for the next one when a start is lost, comes too early, or is not made for want of a lease", () =>
    Effect.gen(function* () {
      const control = yield* MemoryControl
      const session = yield* Session
      yield* Layer.build(handler)
      const lost = yield* suspect()
      yield* publish({ ...lost, fence: { ...lost.fence, version: 7 } })
      yield* passMs(10)
      const early = yield* suspect("succeed", 300)
      yield* publish(early)
      yield* passMs(900)
      assert.strictEqual(yield* stageOf(early.taskId), "succeeded")
      const leaseless = yield* suspect()
      yield* control.cutOff(true)
      yield* passMs(session.leaseMs + 1)
      yield* publish(leaseless)
      yield* passMs(10)
      yield* control.cutOff(false)
      yield* passMs(session.leaseMs)
      const next = yield* suspect()
      yield* publish(next)
      yield* passMs(10)
      assert.strictEqual(yield* stageOf(next.taskId), "running")
      assert.strictEqual((yield* Worker).status().inFlight, 1)
      yield* passMs(1_000)
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )
})

describe("tasks that have died twice", () => {
  const suspectsCount = 6
  const othersCount = 30
  const lossy = fleetBroker()
  lossy.loses = () => true
  const ways: ReadonlyArray<readonly [way: string, broker: (own: Broker["Service"]) => Broker["Service"]]> = [
    ["dispatches and pulls", fleetBroker().wrap],
    ["pulls alone", lossy.wrap],
    ["the broker of a process", (own) => own]
  ]
  for (const [way, wrap] of ways) {
    it.effect(`run one at a time, brought by ${way}, and all others as ever`, () =>
      Effect.gen(function* () {
        const database = yield* MemoryDatabase.make()
        const suspects = new Set(yield* Effect.provide(diedTwice(suspectsCount), clientOn(database)))
        const [apart, together] = [new Gauge(), new Gauge()]
        const handlers = Work.handle((_, { taskId }) =>
          (suspects.has(taskId) ? apart : together).during(Effect.sleep("500 millis"))
        )
        const broker = Layer.effect(Broker, Effect.map(Broker, wrap)).pipe(Layer.provide(MemoryBroker.layer))
        const member = Layer.mergeAll(handlers, Engine.layer).pipe(
          Layer.provideMerge(Worker.layer({ drainGrace: 0 })),
          Layer.provideMerge(Layer.mergeAll(clientOn(database), broker))
        )
        yield* Effect.gen(function* () {
          yield* Work.scheduleMany(
            Array.from({ length: othersCount }, () => ({ payload: { end: "succeed" as const } }))
          )
          yield* passMs(2_000)
          assert.strictEqual(together.most, othersCount)
          for (let second = 0; second < 30; second++) yield* passMs(1_000)
          const store = yield* TaskStore
          assert.strictEqual(
            (yield* store.find({ stage: "succeeded", limit: 100 })).tasks.length,
            suspectsCount + othersCount
          )
          assert.strictEqual(apart.most, 1)
          yield* audited
        }).pipe(Effect.provide(member))
      })
    )
  }
})

/** One process on the database. */
const clientOn = (database: MemoryDatabase.MemoryDatabase) =>
  Duetime.layer.pipe(Layer.provideMerge(Layer.fresh(MemoryStore.layerOn(database))))

/** Tasks whose first two attempts were started by processes that died. */
const diedTwice = Effect.fnUntraced(function* (count: number) {
  const store = yield* TaskStore
  const control = yield* MemoryControl
  const session = yield* Session
  const { eventId } = yield* Ids
  yield* session.serve([Work.policy])
  yield* Work.scheduleMany(Array.from({ length: count }, () => ({ payload: { end: "succeed" as const } })))
  let ids: ReadonlyArray<string> = []
  for (let death = 0; death < 2; death++) {
    const sessionId = yield* control.openSession
    const { tasks } = yield* store.claim({ sessionId, kinds: ["work"], lookAheadMs: 0, limit: count })
    ids = tasks.map(({ taskId }) => taskId)
    const requests = tasks.map(({ fence, taskId }) => ({
      taskId,
      fence,
      eventId: eventId(),
      timeoutMs: 1_000,
      dispatchedAtMs: null
    }))
    yield* store.start(sessionId, requests)
    yield* control.killSession(sessionId)
    assert.strictEqual((yield* store.expire(count)).length, count)
  }
  yield* session.serve([])
  return ids
}, Effect.scoped)

/** A worker without an engine: the tests claim and dispatch by hand. */
const worker = Worker.layer({ drainGrace: 0 }).pipe(
  Layer.provideMerge(Duetime.layer),
  Layer.provideMerge(Layer.mergeAll(MemoryStore.layer, MemoryBroker.layer))
)

/** The dispatch of a task that is claimed by the process's own session. */
const claimed = Effect.fnUntraced(function* (end: (typeof ends)[number] = "succeed", inMs = 0) {
  const store = yield* TaskStore
  const session = yield* Session
  const { id } = yield* Work.schedule({ end }, { in: inMs })
  const { tasks } = yield* store.claim({ sessionId: session.id(), kinds: ["work"], lookAheadMs: 60_000, limit: 100 })
  const task = tasks.find(({ taskId }) => taskId === id)
  if (task === undefined) return yield* Effect.die(new Error("nothing to claim"))
  const dispatchedAtMs = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
  const dispatch: Dispatch = { ...task, queue: "default", dispatchedAtMs, repeat: 0 }
  return dispatch
})

const suspect = (...options: Parameters<typeof claimed>) =>
  Effect.map(claimed(...options), (dispatch): Dispatch => ({ ...dispatch, isSuspect: true }))

const publish = (...dispatches: ReadonlyArray<Dispatch>) => Broker.use((broker) => broker.publish(dispatches))

const lag = Effect.map(
  Broker.use((broker) => broker.lag("default")),
  ({ critical, high, low, normal }) => critical + high + low + normal
)
