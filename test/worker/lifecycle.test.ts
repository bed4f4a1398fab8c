import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { Broker, type Dispatch } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { Duetime } from "../../src/Duetime.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { MemoryControl } from "../../src/store/MemoryStore.ts"
import { renewalsPerLease, Session } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import * as Task from "../../src/Task.ts"
import { AttemptObserver } from "../../src/worker/AttemptObserver.ts"
import { announcedMsMax, Worker } from "../../src/worker/Worker.ts"
import { audited, itRuns, passMs } from "./process.ts"

const Work = Task.define("work", { payload: {} })
const get = (id: string) => Duetime.use((duetime) => duetime.get(id))
const tagsOf = (id: string) =>
  Effect.map(
    Duetime.use((duetime) => duetime.history(id)),
    (history) => history.map((event) => event._tag)
  )

describe("what a process serves", () => {
  it.effect("a kind handled twice is refused, and names the kind", () =>
    Effect.gen(function* () {
      const twice = Layer.mergeAll(
        Work.handle(() => Effect.void),
        Work.handle(() => Effect.void)
      )
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.provide(twice, worker))))
      assert.strictEqual(error._tag, "HandlerConflict")
      assert.include(error.message, '"work"')
    })
  )

  it.effect("the kinds of open layers are announced, and taken back when their layers close", () =>
    Effect.gen(function* () {
      const session = yield* Session
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Layer.mergeAll(
          Work.handle(() => Effect.void),
          Task.define("other", { payload: {} }).handle(() => Effect.void)
        ),
        scope
      )
      yield* passMs(0)
      assert.sameMembers([...session.ownKinds()], ["work", "other"])
      yield* Scope.close(scope, Exit.void)
      yield* passMs(0)
      assert.deepStrictEqual(session.ownKinds(), [])
    }).pipe(Effect.provide(worker))
  )

  it.effect("what is served is announced again though its session is the same: a failover may have lost it", () =>
    Effect.gen(function* () {
      const session = yield* Session
      yield* Layer.build(Work.handle(() => Effect.void))
      yield* passMs(100)
      const sessionId = session.id()
      yield* session.serve([])
      yield* passMs(announcedMsMax + 2 * session.leaseMs)
      assert.deepStrictEqual(session.ownKinds(), ["work"])
      assert.strictEqual(session.id(), sessionId)
    }).pipe(Effect.scoped, Effect.provide(worker))
  )

  it.effect("what a failover has lost of it is announced again within a lease and a renewal", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const process = Work.handle(() => Effect.void).pipe(
        Layer.provide(Worker.layer()),
        Layer.provideMerge(Layer.mergeAll(MemoryStore.layerOn(database), MemoryBroker.layer))
      )
      const context = yield* Layer.build(process)
      const session = Context.get(context, Session)
      const store = Context.get(context, TaskStore)
      yield* passMs(100)
      const isServed = Effect.map(store.kinds, (kinds) => kinds.some(({ liveSessions }) => liveSessions > 0))
      assert.isTrue(yield* isServed)
      database.sessions.serve(session.id(), [])
      assert.isFalse(yield* isServed)
      yield* passMs(session.leaseMs * (1 + 1 / renewalsPerLease))
      assert.isTrue(yield* isServed)
    }).pipe(Effect.scoped)
  )

  it.effect("a dispatch of a kind without a handler is acknowledged and left to workers that have one", () =>
    Effect.gen(function* () {
      yield* Layer.build(Work.handle(() => Effect.void))
      const { dispatch } = yield* claimed("unknown")
      yield* publish(dispatch)
      yield* passMs(10)
      assert.strictEqual(yield* lag, 0)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "claimed")
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("a dispatch of more than a minute ago, by the database's time, is acknowledged and not started", () =>
    Effect.gen(function* () {
      yield* Layer.build(Work.handle(() => Effect.void))
      yield* passMs(100_000)
      const { dispatch } = yield* claimed("work")
      yield* publish({ ...dispatch, dispatchedAtMs: 39_000 })
      yield* passMs(10)
      assert.strictEqual(yield* lag, 0)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "claimed")
      yield* publish({ ...dispatch, dispatchedAtMs: 41_000 })
      yield* passMs(10)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "succeeded")
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )
})

describe("starting", () => {
  it.effect("a dispatch is acknowledged before its handler runs, and a repeated one is lost", () =>
    Effect.gen(function* () {
      let lagInHandler = -1
      let calls = 0
      yield* Layer.build(
        Work.handle(() =>
          Effect.gen(function* () {
            calls++
            lagInHandler = yield* lag
            yield* Effect.sleep("1 second")
          })
        )
      )
      const { dispatch } = yield* claimed("work")
      yield* publish(dispatch, dispatch)
      yield* passMs(10)
      yield* publish(dispatch)
      yield* passMs(2_000)
      assert.strictEqual(lagInHandler, 0)
      assert.strictEqual(calls, 1)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "succeeded")
      assert.strictEqual((yield* Worker).status().inFlight, 0)
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("a dispatch that comes before the due time is started when it is due, never earlier", () =>
    Effect.gen(function* () {
      yield* Layer.build(Work.handle(() => Effect.void))
      const { dispatch } = yield* claimed("work", 300)
      yield* publish(dispatch)
      yield* passMs(299)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "claimed")
      yield* passMs(1)
      const view = yield* get(dispatch.taskId)
      assert.strictEqual(view.stage, "succeeded")
      assert.strictEqual(view.endedAt?.getTime(), view.dueAt.getTime())
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("a worker without a lease calls no handler", () =>
    Effect.gen(function* () {
      const control = yield* MemoryControl
      const session = yield* Session
      let calls = 0
      yield* Layer.build(Work.handle(() => Effect.sync(() => ++calls)))
      const { dispatch } = yield* claimed("work")
      yield* control.cutOff(true)
      yield* passMs(session.leaseMs + 1)
      assert.isFalse(session.isAlive())
      yield* publish(dispatch)
      yield* passMs(10)
      // Acknowledged and dropped, not waiting for the store: the next hint will come to whoever has a lease.
      assert.strictEqual(yield* lag, 0)
      yield* control.cutOff(false)
      yield* passMs(100)
      assert.strictEqual(calls, 0)
      assert.strictEqual((yield* Worker).status().inFlight, 0)
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("a lease lost between the start and the handler keeps the handler from being called", () =>
    Effect.gen(function* () {
      const control = yield* MemoryControl
      const session = yield* Session
      let calls = 0
      yield* Layer.build(Work.handle(() => Effect.sync(() => ++calls)))
      const { dispatch } = yield* claimed("work")
      // The start is made, its answer lost, and the store away for longer than the lease.
      yield* control.failNext("after")
      yield* publish(dispatch)
      yield* passMs(0)
      yield* control.cutOff(true)
      yield* passMs(session.leaseMs + 1)
      yield* control.killSession(session.id())
      yield* control.cutOff(false)
      yield* passMs(10_000)
      assert.strictEqual(calls, 0)
      // Nobody has taken it yet, so it is given back rather than left to a supervisor, who would charge the start.
      const tags = ["TaskScheduled", "TaskClaimed", "AttemptStarted", "AttemptReleased"]
      assert.deepStrictEqual(yield* tagsOf(dispatch.taskId), tags)
      assert.strictEqual((yield* Worker).status().inFlight, 0)
    }).pipe(Effect.scoped, Effect.andThen(audited), Effect.provide(worker))
  )

  itRuns("an attempt whose start is answered after its deadline is given back, at no cost and not called", () => {
    const answered = Deferred.makeUnsafe<void>()
    const Short = Task.define("short", { payload: {}, timeout: "1 second" })
    const calls: Array<number> = []
    return {
      handlers: Short.handle((_, attempt) => Effect.sync(() => void calls.push(attempt.number))),
      options: {
        store: (real) => ({
          ...real,
          start: (sessionId, batch) => Effect.tap(real.start(sessionId, batch), () => Deferred.await(answered))
        })
      },
      test: Effect.gen(function* () {
        const session = yield* Session
        const { id: taskId } = yield* Short.schedule({})
        yield* passMs(2_500)
        assert.isTrue(session.isAlive())
        Deferred.doneUnsafe(answered, Exit.void)
        yield* passMs(1_000)
        // The second attempt is the first one that is called.
        assert.deepStrictEqual(calls, [2])
        assert.include(yield* tagsOf(taskId), "AttemptReleased")
      })
    }
  })

  itRuns(
    "an attempt whose start is answered after the end of the lease is given back, at no cost and not called",
    () => {
      const answered = Deferred.makeUnsafe<void>()
      const calls: Array<number> = []
      return {
        handlers: Work.handle((_, attempt) => Effect.sync(() => void calls.push(attempt.number))),
        options: {
          store: (real) => ({
            ...real,
            start: (sessionId, batch) => Effect.tap(real.start(sessionId, batch), () => Deferred.await(answered))
          })
        },
        test: Effect.gen(function* () {
          const control = yield* MemoryControl
          const session = yield* Session
          const id = session.id()
          const { id: taskId } = yield* Work.schedule({})
          yield* passMs(1_000)
          yield* control.cutOff(true)
          yield* passMs(session.leaseMs + 1)
          yield* Deferred.succeed(answered, undefined)
          yield* passMs(10)
          yield* control.cutOff(false)
          yield* passMs(10_000)
          const history = yield* Duetime.use((duetime) => duetime.history(taskId))
          const released = history.find(({ _tag }) => _tag === "AttemptReleased")
          assert.strictEqual(released?._tag === "AttemptReleased" && released.reason, "session-lost")
          assert.deepStrictEqual(calls, [2])
          assert.strictEqual((yield* get(taskId)).stage, "succeeded")
          assert.strictEqual(session.id(), id)
        })
      }
    }
  )

  itRuns("an outage longer than the lease costs a running attempt nothing", () => ({
    handlers: Work.handle(() => Effect.sleep("9 seconds")),
    test: Effect.gen(function* () {
      const control = yield* MemoryControl
      const session = yield* Session
      const { id: taskId } = yield* Work.schedule({})
      yield* passMs(1_000)
      yield* control.cutOff(true)
      yield* passMs(session.leaseMs + 1_000)
      assert.isFalse(session.isAlive())
      yield* control.cutOff(false)
      yield* passMs(60_000)
      assert.deepStrictEqual(yield* tagsOf(taskId), [
        "TaskScheduled",
        "TaskClaimed",
        "AttemptStarted",
        "AttemptSucceeded"
      ])
    })
  }))
})

describe("stopping", () => {
  class Mailer extends Context.Service<Mailer, { readonly isOpen: () => boolean }>()("test/Mailer") {
    static readonly layer = Layer.effect(
      Mailer,
      Effect.gen(function* () {
        let isOpen = true
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            isOpen = false
          })
        )
        return { isOpen: () => isOpen }
      })
    )
  }

  /** Starts one attempt of a handler that takes 5 s, closes the handler's layer, and tells what happened when. */
  const closing = (handler: (mailer: Mailer["Service"]) => Effect.Effect<unknown, unknown>, kind = Work) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const layer = kind.handle(() => Mailer.use(handler)).pipe(Layer.provide(Mailer.layer))
      yield* Layer.buildWithScope(layer, scope)
      const { dispatch } = yield* claimed(kind.kind)
      yield* publish(dispatch)
      yield* passMs(10)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "running")
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      return dispatch.taskId
    })

  it.effect("an attempt may end within the grace, with the services of its handler still open", () =>
    Effect.gen(function* () {
      let wasOpen: boolean | null = null
      const id = yield* closing((mailer) =>
        Effect.sleep("5 seconds").pipe(
          Effect.tap(() =>
            Effect.sync(() => {
              wasOpen = mailer.isOpen()
            })
          )
        )
      )
      yield* passMs(5_000)
      assert.strictEqual((yield* get(id)).stage, "succeeded")
      assert.isTrue(wasOpen)
    }).pipe(Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("an attempt that takes longer is interrupted and given back uncharged", () =>
    Effect.gen(function* () {
      let wasOpen: boolean | null = null
      const id = yield* closing((mailer) =>
        Effect.never.pipe(
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              wasOpen = mailer.isOpen()
            })
          )
        )
      )
      yield* passMs(9_999)
      assert.strictEqual((yield* get(id)).stage, "running")
      yield* passMs(1)
      const history = yield* Duetime.use((duetime) => duetime.history(id))
      const last = history.at(-1)
      assert.strictEqual(last?._tag, "AttemptReleased")
      assert.isTrue(wasOpen)
      assert.strictEqual((yield* get(id)).stage, "pending")
    }).pipe(Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("a handler that does not stop is left behind after the grace, its attempt given back", () =>
    Effect.gen(function* () {
      const id = yield* closing(() => Effect.uninterruptible(Effect.never))
      yield* passMs(20_000)
      assert.strictEqual((yield* tagsOf(id)).at(-1), "AttemptReleased")
      assert.strictEqual((yield* Worker).status().inFlight, 0)
    }).pipe(Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("where the policy says park, an interrupted attempt is not given back: it may have acted", () =>
    Effect.gen(function* () {
      const id = yield* closing(() => Effect.never, Task.define("charge", { payload: {}, onInterrupted: "park" }))
      yield* passMs(20_000)
      assert.strictEqual((yield* tagsOf(id)).at(-1), "AttemptStarted")
      assert.strictEqual((yield* Worker).status().inFlight, 0)
    }).pipe(Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("a start under way that is lost in the end does not make the worker wait for its grace", () =>
    Effect.gen(function* () {
      const control = yield* MemoryControl
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Work.handle(() => Effect.void),
        scope
      )
      const { dispatch } = yield* claimed("work")
      yield* control.cutOff(true)
      yield* publish({ ...dispatch, fence: { ...dispatch.fence, version: 7 } })
      yield* passMs(10)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* passMs(10)
      assert.isUndefined(closing.pollUnsafe())
      yield* control.cutOff(false)
      yield* passMs(1_000)
      assert.isDefined(closing.pollUnsafe())
    }).pipe(Effect.andThen(audited), Effect.provide(worker))
  )

  it.effect("nothing is taken any more once stopping has begun", () =>
    Effect.gen(function* () {
      yield* closing(() => Effect.sleep("5 seconds"))
      const { dispatch } = yield* claimed("work")
      yield* publish(dispatch)
      yield* passMs(20_000)
      assert.strictEqual((yield* get(dispatch.taskId)).stage, "claimed")
      // It waits in the queue for another worker of the service.
      assert.strictEqual(yield* lag, 1)
    }).pipe(Effect.andThen(audited), Effect.provide(worker))
  )
})

describe("looking on", () => {
  const seen: Array<string> = []
  itRuns("an observer sees each attempt begin and end, and its errors harm nothing", () => ({
    around: Layer.succeed(AttemptObserver, {
      started: (started, beganAtMs) => {
        seen.push(`started ${started.attempt} at ${beganAtMs}`)
        throw new Error("from the observer")
      },
      ended: (started, stage) => {
        seen.push(`ended ${started.attempt} ${stage}`)
      }
    }),
    handlers: Work.handle((_, { number }) => (number === 1 ? Task.snooze("1 second") : Effect.void)),
    test: Effect.gen(function* () {
      yield* Work.schedule({}, { in: "1 second" })
      yield* passMs(10_000)
      assert.deepStrictEqual(seen, ["started 1 at 1000", "ended 1 pending", "started 2 at 2000", "ended 2 succeeded"])
    })
  }))
})

describe("an attempt", () => {
  itRuns("knows its task, its times, a key that stays and a fence that grows", () => {
    const attempts: Array<unknown> = []
    const fences: Array<number> = []
    return {
      handlers: Work.handle((_, attempt) =>
        Effect.suspend(() => {
          const { deadline, dueAt, idempotencyKey, kind, number, startedAt, taskId } = attempt
          attempts.push({ deadline, dueAt, isKey: idempotencyKey === taskId, kind, number, startedAt })
          fences.push(attempt.fence)
          return number === 1 ? Effect.fail(Task.retryIn("1 second", "once")) : Effect.void
        })
      ),
      test: Effect.gen(function* () {
        yield* Work.schedule({}, { in: "1 second" })
        yield* passMs(10_000)
        const at = (ms: number) => new Date(ms)
        const same = { isKey: true, kind: "work" }
        assert.deepStrictEqual(attempts, [
          { ...same, number: 1, dueAt: at(1_000), startedAt: at(1_000), deadline: at(61_000) },
          { ...same, number: 2, dueAt: at(2_000), startedAt: at(2_000), deadline: at(62_000) }
        ])
        assert.deepStrictEqual(fences, [3, 6])
      })
    }
  })

  itRuns("has a scope of its own, closed when it ends", () => {
    const log: Array<string> = []
    return {
      handlers: Work.handle(() =>
        Effect.acquireRelease(
          Effect.sync(() => log.push("open")),
          () => Effect.sync(() => log.push("close"))
        )
      ),
      test: Effect.gen(function* () {
        yield* Work.schedule({}, { in: "1 second" })
        yield* passMs(1_000)
        assert.deepStrictEqual(log, ["open", "close"])
      })
    }
  })

  itRuns("cannot commit SQL to a store that has none, and says so", () => ({
    handlers: Work.handle((_, attempt) => attempt.commit((sql) => sql`SELECT 1`)),
    test: Effect.gen(function* () {
      const { id } = yield* Work.schedule({})
      yield* passMs(10)
      const { lastError } = yield* get(id)
      assert.strictEqual(lastError?.name, "CommitUnsupported")
      assert.include(lastError?.message, "PostgreSQL")
    })
  }))
})

/** A worker without an engine: the tests claim and dispatch by hand. */
const worker = Worker.layer({ drainGrace: "10 seconds" }).pipe(
  Layer.provideMerge(Duetime.layer),
  Layer.provideMerge(Layer.mergeAll(MemoryStore.layer, MemoryBroker.layer))
)

/** A task claimed by the process's own session, due in `inMs`, and its dispatch. */
const claimed = Effect.fnUntraced(function* (kind: string, inMs = 0) {
  const store = yield* TaskStore
  const session = yield* Session
  yield* Duetime.use((duetime) => duetime.scheduleUntyped([{ kind, payload: {}, in: inMs }]))
  const claimed = yield* store.claim({ sessionId: session.id(), kinds: [kind], lookAheadMs: 60_000, limit: 1 })
  const [task] = claimed.tasks
  if (task === undefined) return yield* Effect.die(new Error("nothing to claim"))
  const dispatch: Dispatch = { ...task, queue: "default", dispatchedAtMs: 0, repeat: 0 }
  return { dispatch }
})

const publish = (...dispatches: ReadonlyArray<Dispatch>) => Broker.use((broker) => broker.publish(dispatches))

const lag = Effect.map(
  Broker.use((broker) => broker.lag("default")),
  ({ critical, high, low, normal }) => critical + high + low + normal
)
