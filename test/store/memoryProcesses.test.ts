/** What only the memory store has: a clock that tests turn, processes that crash or are cut off, many on one database. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import * as TaskId from "../../src/core/TaskId.ts"
import { Ids } from "../../src/store/Ids.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import { CurrentTransaction } from "../../src/store/memory/MemoryTransaction.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { leaseMsDefault, Session } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { failure, finished, running, servedKind } from "./contract/world.ts"

const kind = "send-reminder"

/** A process of its own on the database, and the way to end it in order. */
const openProcess = Effect.fnUntraced(function* (database: MemoryDatabase.MemoryDatabase) {
  const scope = yield* Effect.scope.pipe(Effect.flatMap((parent) => Scope.fork(parent)))
  const context = yield* Layer.buildWithScope(MemoryStore.layerOn(database), scope)
  return {
    store: Context.get(context, TaskStore),
    session: Context.get(context, Session),
    control: Context.get(context, MemoryStore.MemoryControl),
    end: Scope.close(scope, Exit.void)
  }
})

type Process = Effect.Success<ReturnType<typeof openProcess>>

const schedule = Effect.fnUntraced(function* ({ store }: Process, dueAtMs: number, key: string | null = null) {
  const ids = yield* Ids
  const taskId = TaskId.make(dueAtMs, 0, ids.taskBytes())
  const task = { taskId, eventId: ids.eventId(), kind, priority: "normal", dueAtMs, key, payload: null } as const
  yield* store.schedule([task])
  return task
})

const claim = Effect.fnUntraced(function* ({ session, store }: Process, lookAheadMs = 0) {
  const { tasks } = yield* store.claim({ sessionId: session.id(), kinds: [kind], lookAheadMs, limit: 100 })
  return tasks
})

/** As a worker does, which has announced the kind. */
const start = Effect.fnUntraced(function* (
  { session, store }: Process,
  [task]: Effect.Success<ReturnType<typeof claim>>
) {
  if (task === undefined) throw new Error("nothing was claimed")
  yield* session.serve([defaultKindPolicy(kind)])
  const { fence, taskId } = task
  const eventId = (yield* Ids).eventId()
  const [answer] = yield* store.start(session.id(), [
    { taskId, fence, eventId, timeoutMs: 60_000, dispatchedAtMs: null }
  ])
  if (answer === undefined) throw new Error("no answer")
  return answer
})

const servedIn = ({ store }: Process) =>
  Effect.map(store.kinds, (records) => records.flatMap((one) => (one.liveSessions > 0 ? [one.policy.kind] : [])))

describe("a memory database whose clock is set back", () => {
  it.effect("ends what expired while it ran and is tried again before that instant", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      yield* TestClock.setTime(100_000)
      const task = yield* running(kind, { dueAtMs: 100_000, expiresAtMs: 101_000 })
      yield* TestClock.setTime(102_000)
      assert.deepStrictEqual(yield* store.expireTasks(100), { lookedAtCount: 1, taskIds: [] })
      yield* TestClock.setTime(90_000)
      yield* finished(task, { ...failure, retryInMs: 1_000 }, "pending")
      yield* TestClock.setTime(102_000)
      assert.isTrue((yield* store.look).anyExpired)
      assert.deepStrictEqual((yield* store.expireTasks(100)).taskIds, [task.taskId])
      assert.isFalse((yield* store.look).anyExpired)
    }).pipe(Effect.provide(MemoryStore.layer))
  )
})

describe("a memory process", () => {
  it.effect("keeps its session for as long as it lives, by renewing", () =>
    Effect.gen(function* () {
      const { session } = yield* openProcess(yield* MemoryDatabase.make())
      const id = session.id()
      for (let second = 0; second < 60; second++) {
        yield* TestClock.adjust("1 second")
        assert.isTrue(session.isAlive())
      }
      assert.strictEqual(session.id(), id)
    })
  )

  it.effect(
    "that is cut off stops trusting its lease no later than the database does, and comes back as another session",
    () =>
      Effect.gen(function* () {
        const database = yield* MemoryDatabase.make()
        const process = yield* openProcess(database)
        const other = yield* openProcess(database)
        const { control, session, store } = process
        yield* session.serve([defaultKindPolicy(kind)])
        const id = session.id()
        const { taskId } = yield* schedule(process, 0)
        yield* claim(process)
        yield* control.cutOff(true)
        const error = yield* Effect.flip(store.backlog)
        assert.deepStrictEqual([error._tag, error.commitUnknown], ["StoreUnavailable", false])

        let trustedMs = 0
        while (session.isAlive()) {
          assert.deepStrictEqual(yield* other.store.expire(10), [])
          yield* TestClock.adjust("50 millis")
          trustedMs += 50
        }
        assert.isAtMost(trustedMs, leaseMsDefault)
        yield* TestClock.adjust(leaseMsDefault)
        assert.deepStrictEqual(yield* servedIn(other), [])
        assert.deepStrictEqual(yield* other.store.expire(10), [{ taskId, from: "claimed", stage: "pending" }])

        yield* control.cutOff(false)
        yield* TestClock.adjust(leaseMsDefault / 2)
        assert.isTrue(session.isAlive())
        assert.notStrictEqual(session.id(), id)
        assert.deepStrictEqual(yield* servedIn(other), [kind])
        assert.strictEqual((yield* claim(process)).length, 1)
      })
  )

  it.effect("that was cut off for longer than its lease keeps its session, if nobody has ended it", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const process = yield* openProcess(database)
      const { control, session } = process
      const id = session.id()
      const { taskId } = yield* schedule(process, 0)
      yield* claim(process)
      yield* control.cutOff(true)
      yield* TestClock.adjust(leaseMsDefault * 2)
      assert.isFalse(session.isAlive())
      yield* control.cutOff(false)
      yield* TestClock.adjust(leaseMsDefault / 2)
      assert.isTrue(session.isAlive())
      assert.strictEqual(session.id(), id)
      assert.deepStrictEqual(yield* process.store.expire(10), [])
      assert.strictEqual((yield* process.store.claimedBy(id, 1, 10))[0]?.taskId, taskId)
    })
  )

  it.effect("that crashes says nothing more, and its attempts go to others when its lease has run out", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const crashing = yield* openProcess(database)
      const other = yield* openProcess(database)
      const { taskId } = yield* schedule(crashing, 0)
      const started = yield* start(crashing, yield* claim(crashing))
      assert.strictEqual(started._tag, "Started")
      yield* crashing.control.crash
      const asking = yield* Effect.forkChild(Effect.timeoutOption(crashing.store.backlog, "1 second"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* Fiber.join(asking)))
      // Its finalizers do not reach the database, so the session is not closed early.
      yield* crashing.end
      assert.deepStrictEqual(yield* other.store.expire(10), [])
      yield* TestClock.adjust(leaseMsDefault)
      assert.deepStrictEqual(yield* other.store.expire(10), [{ taskId, from: "running", stage: "pending" }])
    })
  )

  it.effect(
    "that stops in order leaves an attempt that has not died with it, one that crashes an attempt that has",
    () =>
      Effect.gen(function* () {
        const database = yield* MemoryDatabase.make()
        const [stopping, crashing] = [yield* openProcess(database), yield* openProcess(database)]
        const { store } = yield* openProcess(database)
        for (const process of [stopping, crashing]) {
          yield* schedule(process, 0)
          yield* start(process, yield* claim(process))
        }
        yield* stopping.end
        yield* crashing.control.crash
        yield* TestClock.adjust(leaseMsDefault)
        const reasons: Array<unknown> = []
        for (const { taskId } of yield* store.expire(10)) {
          const event = (yield* store.history(taskId)).at(-1)
          reasons.push(event?._tag === "AttemptExpired" ? event.reason : event?._tag)
        }
        assert.deepStrictEqual(reasons, ["session-left", "session-lost"])
      })
  )

  it.effect("that ends in order gives its session back at once", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const ending = yield* openProcess(database)
      const other = yield* openProcess(database)
      yield* schedule(ending, 0)
      yield* claim(ending)
      yield* ending.end
      assert.strictEqual((yield* other.store.expire(10)).length, 1)
    })
  )

  it.effect("is hit by its own faults only, each once, and none of them hits a renewal", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const [one, other] = [yield* openProcess(database), yield* openProcess(database)]
      const id = one.session.id()
      yield* one.control.failNext("after", 2)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* other.store.kinds, [])
      for (let time = 0; time < 2; time++) assert.isTrue((yield* Effect.flip(one.store.kinds)).commitUnknown)
      assert.deepStrictEqual(yield* one.store.kinds, [])
      assert.strictEqual(one.session.id(), id)
    })
  )
})

describe("the clock of the memory database", () => {
  it.effect("lets a task start in its due millisecond, not in the one before", () =>
    Effect.gen(function* () {
      const process = yield* openProcess(yield* MemoryDatabase.make())
      const { dueAtMs } = yield* schedule(process, 4_000)
      const tasks = yield* claim(process, 4_000)
      yield* TestClock.setTime(dueAtMs - 1)
      assert.strictEqual((yield* start(process, tasks))._tag, "TooEarly")
      yield* TestClock.setTime(dueAtMs)
      const started = yield* start(process, tasks)
      assert.strictEqual(started._tag === "Started" && started.startedAtMs - started.dueAtMs, 0)
    })
  )

  it.effect("ends an attempt at its deadline, not before", () =>
    Effect.gen(function* () {
      const process = yield* openProcess(yield* MemoryDatabase.make())
      const { taskId } = yield* schedule(process, 0)
      yield* start(process, yield* claim(process))
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(yield* process.store.expire(10), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* process.store.expire(10), [{ taskId, from: "running", stage: "pending" }])
      assert.deepStrictEqual(yield* process.store.expire(10), [])
    })
  )

  it.effect("is told to a process whose own clock goes wrong", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      yield* TestClock.setTime(10_000)
      const process = yield* openProcess(database)
      assert.strictEqual(process.store.clockOffsetMs(), 0)
      const late = yield* openProcess(database).pipe(Effect.provide(TestClock.layer(), { local: true }))
      assert.strictEqual(late.store.clockOffsetMs(), 10_000)
    })
  )
})

describe("the memory store", () => {
  it.effect("gives a kind its starts at its pace to the millisecond, and a burst after a lull", () =>
    Effect.gen(function* () {
      const process = yield* openProcess(yield* MemoryDatabase.make())
      for (let task = 0; task < 20; task++) yield* schedule(process, 0)
      const claimed = Effect.gen(function* () {
        const caps = { concurrencyMax: null, startsPerSecondMax: 20 }
        const request = { sessionId: process.session.id(), kinds: [kind], lookAheadMs: 0, limit: 100, caps }
        const { cappedForMs, tasks } = yield* process.store.claim(request)
        return [tasks.length, cappedForMs]
      })
      assert.deepStrictEqual(yield* claimed, [2, 50])
      yield* TestClock.adjust(49)
      assert.deepStrictEqual(yield* claimed, [0, 1])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* claimed, [1, 50])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* claimed, [2, 50])
    })
  )

  it.effect("lets others announce the dead letters of a process that crashed at it", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const [crashing, other] = [yield* openProcess(database), yield* openProcess(database)]
      const { taskId } = yield* schedule(crashing, 0)
      const started = yield* start(crashing, yield* claim(crashing))
      if (started._tag !== "Started") throw new Error(`was ${started._tag}`)
      const outcome = { _tag: "Discard", reason: "no" } as const
      const eventId = (yield* Ids).eventId()
      yield* crashing.store.finish([{ started, eventId, outcome, policy: defaultKindPolicy(kind) }])
      yield* Effect.forkChild(crashing.store.relayDead(10, () => crashing.control.crash))
      yield* Effect.yieldNow
      const announced: Array<string> = []
      const count = yield* other.store.relayDead(10, (letters) =>
        Effect.sync(() => announced.push(...letters.map((letter) => letter.taskId)))
      )
      assert.deepStrictEqual([count, announced], [1, [taskId]])
    })
  )

  it.effect("refuses a due time that no id can carry, with the whole batch", () =>
    Effect.gen(function* () {
      const process = yield* openProcess(yield* MemoryDatabase.make())
      const error = yield* Effect.flip(schedule(process, TaskId.timestampMsMax + 1))
      assert.strictEqual(error._tag, "DueBeyondHorizon")
      assert.deepStrictEqual(yield* process.store.streams(null, 10), [])
    })
  )

  it.effect("shows nobody what a transaction schedules before it commits, and lets only one take a key", () =>
    Effect.gen(function* () {
      const process = yield* openProcess(yield* MemoryDatabase.make())
      yield* schedule(process, 0)
      const started = yield* start(process, yield* claim(process))
      if (started._tag !== "Started") throw new Error(`was ${started._tag}`)
      const request = {
        started,
        eventId: (yield* Ids).eventId(),
        outcome: { _tag: "Succeed", result: null },
        policy: defaultKindPolicy(kind)
      } as const
      const transaction = Effect.gen(function* () {
        yield* schedule(process, 1, "follower")
        assert.strictEqual((yield* process.store.find({ stage: "pending", limit: 10 })).tasks.length, 0)
        // Whoever is not in the transaction takes the key meanwhile.
        yield* Effect.provideService(schedule(process, 2, "follower"), CurrentTransaction, null)
      })
      const error = yield* Effect.flip(process.store.finishWith(transaction, () => request))
      assert.strictEqual(error._tag, "StoreUnavailable")
      const [pending] = (yield* process.store.find({ stage: "pending", limit: 10 })).tasks
      assert.strictEqual(pending?.dueAtMs, 2)
      assert.strictEqual((yield* process.store.find({ stage: "running", limit: 10 })).tasks.length, 1)
    })
  )
})
