import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { rankOf } from "../../../src/core/Priority.ts"
import type { RetryPolicy } from "../../../src/core/RetryPolicy.ts"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import { Session } from "../../../src/store/Session.ts"
import { batchSizeMax, type KindRecord, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  finish,
  newTask,
  nextAttempt,
  only,
  running,
  scheduled,
  servedKind,
  start,
  startedOf,
  stateOf,
  StoreControl,
  succeed,
  tagsOf,
  unservedKind,
  type Law
} from "./world.ts"

const atOnce: RetryPolicy = { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }

/** What `expire` did to one task; other tests' leftovers do not count. */
const expiredOf = Effect.fnUntraced(function* (taskId: string) {
  const expired = yield* (yield* TaskStore).expire(batchSizeMax)
  return expired.filter((one) => one.taskId === taskId).map(({ from, stage }) => ({ from, stage }))
})

const lastEventOf = Effect.fnUntraced(function* (taskId: string) {
  return (yield* (yield* TaskStore).history(taskId)).at(-1)
})

/** A task started under a session of its own. */
const runningElsewhere = Effect.fnUntraced(function* (kind: string) {
  const sessionId = yield* (yield* StoreControl).secondSession
  const started = startedOf(yield* start(yield* claimed(kind), { sessionId }))
  return { sessionId, started }
})

export const expireLaws = (law: Law): void => {
  law("what a live session holds is left alone", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const held = yield* claimed(kind)
      const { started } = yield* runningElsewhere(kind)
      assert.deepStrictEqual(yield* expiredOf(held.taskId), [])
      assert.deepStrictEqual(yield* expiredOf(started.taskId), [])
      // What other laws have left behind was ended with it.
      assert.isFalse((yield* (yield* TaskStore).look).anyExpired)
      assert.strictEqual((yield* finish(started, succeed))._tag, "Recorded")
      assert.strictEqual((yield* start(held))._tag, "Started")
    })
  )

  law("a look tells of a kind what asking for kinds does: its policy, who serves it, that it is paused", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const recordIn = (records: ReadonlyArray<KindRecord>) =>
        only(records.filter(({ policy }) => policy.kind === kind))
      for (const _ of ["served", "paused"]) {
        const record = recordIn((yield* store.look).kinds)
        assert.deepStrictEqual(record, recordIn(yield* store.kinds))
        assert.strictEqual(record.liveSessions, 1)
        yield* store.pause({ _tag: "Kind", kind }, true)
      }
      assert.isTrue(recordIn((yield* store.look).kinds).isPaused)
    })
  )

  law("a look tells the database's time, by which leases and deadlines end", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { databaseMs: fromMs } = yield* store.look
      const { taskId } = yield* scheduled(yield* servedKind())
      const atMs = (yield* lastEventOf(taskId))?.atMs ?? 0
      const { databaseMs: untilMs } = yield* store.look
      assert.isAtLeast(atMs, fromMs - 0.01)
      assert.isAtMost(atMs, untilMs + 0.01)
    })
  )

  law("a claim of a dead session is given back with its due time and no attempt charged", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* servedKind()
      const sessionId = yield* control.secondSession
      const { dueAtMs, taskId } = yield* scheduled(kind)
      const task = only((yield* claim([kind], { sessionId })).tasks)
      yield* control.killSession(sessionId)
      assert.isTrue((yield* (yield* TaskStore).look).anyExpired)
      assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "claimed", stage: "pending" }])
      const event = yield* lastEventOf(taskId)
      assert.deepStrictEqual(event?._tag === "ClaimReleased" && event.reason, "session-lost")
      const state = yield* stateOf(taskId)
      assert.deepStrictEqual([state.dueAtMs, state.attempt, state.charged], [dueAtMs, 0, 0])
      assert.strictEqual((yield* start(task))._tag, "Lost")
      assert.deepStrictEqual(yield* expiredOf(taskId), [])
    })
  )

  law("an attempt of a dead session is charged and tried again by the kind's policy", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const retry: RetryPolicy = { ...atOnce, delay: { _tag: "Fixed", delayMs: 5_000 } }
      const kind = yield* servedKind({ retry })
      const { sessionId, started } = yield* runningElsewhere(kind)
      const { taskId } = started
      yield* control.killSession(sessionId)
      assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "running", stage: "pending" }])
      const event = yield* lastEventOf(taskId)
      if (event?._tag !== "AttemptExpired") throw new Error(`was ${event?._tag}`)
      assert.deepStrictEqual([event.attempt, event.reason], [1, "session-lost"])
      assert.strictEqual(event.dueAtMs, Math.ceil(event.atMs + 5_000))
      const state = yield* stateOf(taskId)
      assert.deepStrictEqual([state.charged, state.dueAtMs, state.fence], [1, event.dueAtMs, null])
      assert.strictEqual((yield* finish(started, succeed))._tag, "Lost")
    })
  )

  law("an attempt past its deadline expires though its session lives", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const started = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      assert.deepStrictEqual(yield* expiredOf(started.taskId), [{ from: "running", stage: "pending" }])
      const event = yield* lastEventOf(started.taskId)
      assert.deepStrictEqual(event?._tag === "AttemptExpired" && [event.attempt, event.reason], [1, "deadline"])
      assert.strictEqual((yield* finish(started, succeed))._tag, "Lost")
      assert.strictEqual((yield* nextAttempt(kind)).attempt, 2)
    })
  )

  law("nothing ends that had not ended at the instant asked about: since then the clock may have been set", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const late = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      const running = startedOf(yield* start(yield* claimed(kind)))
      const { databaseMs } = yield* store.look
      const expiredAsOf = (asOfMs: number) =>
        Effect.map(store.expire(batchSizeMax, asOfMs), (expired) =>
          expired.map(({ taskId }) => taskId).filter((taskId) => [late.taskId, running.taskId].includes(taskId))
        )
      assert.deepStrictEqual(yield* expiredAsOf(databaseMs - 60_000), [])
      // One that is still to come is now: nothing ends before its time.
      assert.deepStrictEqual(yield* expiredAsOf(databaseMs + 3_600_000), [late.taskId])
    })
  )

  law("an attempt of a kind that a failover has made the store forget waits for its policy; its claims do not", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* unservedKind
      const { started } = yield* runningElsewhere(kind)
      const late = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      const control = yield* StoreControl
      const sessionId = yield* control.secondSession
      const held = yield* scheduled(kind)
      yield* claim([kind], { sessionId })
      yield* control.killSession(sessionId)
      assert.deepStrictEqual(yield* expiredOf(started.taskId), [])
      assert.deepStrictEqual(yield* expiredOf(late.taskId), [])
      assert.strictEqual((yield* stateOf(held.taskId)).stage, "pending")
      assert.isFalse((yield* store.look).anyExpired)
      yield* (yield* Session).serve([{ ...defaultKindPolicy(kind), onInterrupted: "park" }])
      assert.isTrue((yield* store.look).anyExpired)
      assert.deepStrictEqual(yield* expiredOf(late.taskId), [{ from: "running", stage: "parked" }])
    })
  )

  law("the last attempt that expires makes a dead letter", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const { taskId } = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "running", stage: "pending" }])
      yield* nextAttempt(kind, { timeoutMs: 0 })
      assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "running", stage: "dead" }])
      const event = yield* lastEventOf(taskId)
      assert.deepStrictEqual(event?._tag === "TaskDeadLettered" && [event.reason, event.attempt], ["exhausted", 2])
    })
  )

  law("a kind that must not be repeated parks, and waits there for a person", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const control = yield* StoreControl
      const kind = yield* servedKind({ onInterrupted: "park" })
      const { sessionId, started } = yield* runningElsewhere(kind)
      const { taskId } = started
      yield* control.killSession(sessionId)
      assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "running", stage: "parked" }])
      const event = yield* lastEventOf(taskId)
      assert.deepStrictEqual(event?._tag === "TaskParked" && [event.attempt, event.reason], [1, "session-lost"])
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
      assert.deepStrictEqual((yield* store.find({ stage: "parked", kind, limit: 10 })).tasks, [yield* stateOf(taskId)])
      yield* act(taskId, { _tag: "RunNow" })
      assert.strictEqual((yield* nextAttempt(kind)).attempt, 2)
    })
  )

  law("a claim is never parked: nothing of it has run", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* servedKind({ onInterrupted: "park" })
      const sessionId = yield* control.secondSession
      const { taskId } = yield* scheduled(kind)
      only((yield* claim([kind], { sessionId })).tasks)
      yield* control.killSession(sessionId)
      assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "claimed", stage: "pending" }])
    })
  )

  law("a cancel request is fulfilled when the attempt expires, unless it parks first", () =>
    Effect.gen(function* () {
      for (const [onInterrupted, stage] of [
        ["retry", "cancelled"],
        ["park", "parked"]
      ] as const) {
        const kind = yield* servedKind({ onInterrupted })
        const { taskId } = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
        yield* act(taskId, { _tag: "Cancel", reason: null })
        assert.deepStrictEqual(yield* expiredOf(taskId), [{ from: "running", stage }])
        yield* act(taskId, { _tag: "RunNow" })
        assert.strictEqual((yield* stateOf(taskId)).stage, "cancelled")
      }
    })
  )

  law("expiring works off a dead session in batches of the limit", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const control = yield* StoreControl
      const kind = yield* servedKind()
      const sessionId = yield* control.secondSession
      yield* store.schedule(yield* Effect.forEach(Array.from({ length: 5 }), () => newTask(kind)))
      assert.strictEqual((yield* claim([kind], { sessionId })).tasks.length, 5)
      // Nothing else may be left to expire, so that the limit counts these tasks only.
      while ((yield* store.expire(batchSizeMax)).length > 0);
      yield* control.killSession(sessionId)
      assert.strictEqual((yield* store.expire(2)).length, 2)
      assert.strictEqual((yield* store.expire(2)).length, 2)
      assert.strictEqual((yield* store.expire(2)).length, 1)
      assert.strictEqual((yield* claim([kind])).tasks.length, 5)
    })
  )

  law("an outcome and the expiry of its attempt cannot both be recorded", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* servedKind({ retry: atOnce })
      for (let turn = 0; turn < 5; turn++) {
        const { sessionId, started } = yield* runningElsewhere(kind)
        yield* control.killSession(sessionId)
        const [outcome, expired] = yield* Effect.all([finish(started, succeed), expiredOf(started.taskId)], {
          concurrency: "unbounded"
        })
        assert.strictEqual(outcome._tag === "Recorded", expired.length === 0)
        assert.strictEqual((yield* tagsOf(started.taskId)).length, 4)
        if (expired.length === 1) yield* finish(yield* nextAttempt(kind), succeed)
      }
    })
  )

  law("priorities keep their rank through an expiry", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const { taskId } = startedOf(yield* start(yield* claimed(kind, { priority: "critical" }), { timeoutMs: 0 }))
      yield* expiredOf(taskId)
      const other = yield* running(kind, { priority: "low" })
      assert.isBelow(rankOf((yield* stateOf(taskId)).priority), rankOf(other.priority))
    })
  )

  law("the process's own session is alive and its id is the holder of what it claims", () =>
    Effect.gen(function* () {
      const session = yield* Session
      assert.isTrue(session.isAlive())
      const kind = yield* servedKind()
      const { taskId } = yield* claimed(kind)
      assert.strictEqual((yield* stateOf(taskId)).sessionId, session.id())
    })
  )
}
