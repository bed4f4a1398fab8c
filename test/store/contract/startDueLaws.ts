import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Session } from "../../../src/store/Session.ts"
import { batchSizeMax, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  finish,
  newEventId,
  only,
  scheduled,
  servedKind,
  stateOf,
  storeNowMs,
  StoreControl,
  tagsOf,
  type Law
} from "./world.ts"

export const startDueLaws = (law: Law): void => {
  law("what is due is claimed and started at once, with both events, and ends as any attempt", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { dueAtMs, taskId } = yield* scheduled(kind, { dueInMs: -10, payload: { n: 1 }, priority: "high" })
      const eventIds = [yield* newEventId, yield* newEventId]
      const sessionId = (yield* Session).id()
      const started = only(yield* startDue(kind, { eventIds }))
      const [, claimedEvent, startedEvent] = yield* (yield* TaskStore).history(taskId)
      assert.deepStrictEqual(startedEvent, {
        _tag: "AttemptStarted",
        taskId,
        version: 3,
        eventId: started.fence.eventId,
        atMs: started.startedAtMs,
        attempt: 1,
        sessionId,
        deadlineAtMs: started.deadlineAtMs,
        dispatchedAtMs: null
      })
      assert.strictEqual(claimedEvent?._tag, "TaskClaimed")
      assert.isTrue(eventIds.includes(started.fence.eventId))
      assert.approximately(started.deadlineAtMs - started.startedAtMs, 30_000, 0.01)
      const { deadlineAtMs: _, startedAtMs, ...rest } = started
      assert.isAtLeast(startedAtMs, dueAtMs)
      assert.deepStrictEqual(rest, {
        _tag: "Started",
        taskId,
        kind,
        priority: "high",
        dueAtMs,
        attempt: 1,
        charged: 1,
        fence: { version: 3, eventId: started.fence.eventId },
        payload: { n: 1 },
        followed: false
      })
      assert.deepStrictEqual(yield* finish(started, { _tag: "Succeed", result: null }), {
        _tag: "Recorded",
        stage: "succeeded"
      })
    })
  )

  law("as many are started as there are event ids, the most urgent and oldest first, each with an id of its own", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      // Of one instant, however long a busy machine needs from one to the next.
      const nowMs = yield* storeNowMs
      const late = yield* scheduled(kind, { dueAtMs: nowMs - 10 })
      const old = yield* scheduled(kind, { dueAtMs: nowMs - 20 })
      const urgent = yield* scheduled(kind, { dueAtMs: nowMs - 10, priority: "critical" })
      const first = yield* startDue(kind, { count: 2 })
      assert.deepStrictEqual(
        first.map(({ taskId }) => taskId),
        [urgent.taskId, old.taskId]
      )
      assert.strictEqual(new Set(first.map(({ fence }) => fence.eventId)).size, 2)
      assert.strictEqual(only(yield* startDue(kind)).taskId, late.taskId)
      assert.deepStrictEqual(yield* startDue(kind), [])
    })
  )

  law("what is not due, claimed, cancelled, paused, too late or of another kind is not started", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const [kind, other, paused] = [yield* servedKind(), yield* servedKind(), yield* servedKind()]
      yield* scheduled(kind, { dueInMs: 60_000 })
      yield* claimed(kind, { dueInMs: -10 })
      const cancelled = yield* scheduled(kind, { dueInMs: -10 })
      yield* act(cancelled.taskId, { _tag: "Cancel", reason: null })
      const late = yield* scheduled(kind, { dueInMs: -10 })
      yield* scheduled(kind, { dueInMs: -20, expiresAtMs: late.dueAtMs })
      yield* scheduled(other, { dueInMs: -10 })
      yield* scheduled(paused, { dueInMs: -10 })
      yield* store.pause({ _tag: "Kind", kind: paused }, true)
      assert.deepStrictEqual(yield* startDue(paused), [])
      yield* store.pause({ _tag: "Kind", kind: paused }, false)
      const ids = (yield* startDue(kind)).map(({ taskId }) => taskId)
      // What stands behind one that may not be started may wait for a claim.
      assert.isTrue(ids.every((taskId) => taskId === late.taskId))
      yield* store.expireTasks(batchSizeMax)
    })
  )

  law("a session that has lost its lease starts nothing", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const sessionId = yield* (yield* StoreControl).secondSession
      const { taskId } = yield* scheduled(kind, { dueInMs: -10 })
      yield* (yield* StoreControl).killSession(sessionId)
      assert.deepStrictEqual(yield* startDue(kind, { sessionId }), [])
      assert.strictEqual((yield* stateOf(taskId)).stage, "pending")
      yield* (yield* TaskStore).expire(batchSizeMax)
    })
  )

  law("a task whose last two attempts have died with their processes is left to a claim", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({
        retry: { attemptsMax: 9, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
      })
      const { taskId } = yield* scheduled(kind, { dueInMs: -10 })
      for (let death = 1; death <= 2; death++) {
        const sessionId = yield* (yield* StoreControl).secondSession
        assert.strictEqual(only(yield* untilStarted(startDue(kind, { sessionId }))).attempt, death)
        yield* (yield* StoreControl).killSession(sessionId)
        yield* store.expire(batchSizeMax)
      }
      assert.strictEqual((yield* stateOf(taskId)).deaths, 2)
      assert.deepStrictEqual(yield* startDue(kind), [])
      assert.isTrue(only((yield* claim([kind], { lookAheadMs: 1_000 })).tasks).isSuspect)
    })
  )

  law("starts whose answer was lost are found by their event ids, as long as they run", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { dueInMs: -10, payload: "kept" })
      const eventIds = [yield* newEventId]
      yield* (yield* StoreControl).failNext("after")
      const lost = yield* Effect.flip(startDue(kind, { eventIds }))
      assert.isTrue(lost.commitUnknown)
      const found = only(yield* store.startedWith(eventIds))
      assert.deepStrictEqual([found.taskId, found.payload, found.attempt], [taskId, "kept", 1])
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskClaimed", "AttemptStarted"])
      assert.deepStrictEqual(yield* store.startedWith([yield* newEventId]), [])
      yield* finish(found, { _tag: "Succeed", result: null })
      assert.deepStrictEqual(yield* store.startedWith(eventIds), [])
    })
  )

  law("tasks that many start at the same time are each started once", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const tasks = yield* Effect.forEach(Array.from({ length: 20 }), () => scheduled(kind, { dueInMs: -10 }))
      const answers = yield* Effect.all(
        [
          ...Array.from({ length: 4 }, () =>
            Effect.map(startDue(kind, { count: 8 }), (all) => all.map(({ taskId }) => taskId))
          ),
          Effect.map(claim([kind], { limit: 5 }), (claimed) => claimed.tasks.map(({ taskId }) => taskId))
        ],
        { concurrency: "unbounded" }
      )
      const taken = answers.flat()
      assert.strictEqual(new Set(taken).size, taken.length)
      taken.push(...(yield* startDue(kind, { count: 32 })).map(({ taskId }) => taskId))
      assert.sameMembers(
        taken,
        tasks.map(({ taskId }) => taskId)
      )
    })
  )
}

const startDue = Effect.fnUntraced(function* (
  kind: string,
  request: { readonly sessionId?: number; readonly count?: number; readonly eventIds?: ReadonlyArray<string> } = {}
) {
  const eventIds =
    request.eventIds ?? (yield* Effect.forEach(Array.from({ length: request.count ?? 9 }), () => newEventId))
  const sessionId = request.sessionId ?? (yield* Session).id()
  return yield* (yield* TaskStore).startDue({ sessionId, kinds: [{ kind, timeoutMs: 30_000 }], eventIds })
})

/** A retry without delay is due by the next whole millisecond: for the rest of this one there is nothing to start. */
const untilStarted = <A, E, R>(starting: Effect.Effect<ReadonlyArray<A>, E, R>) =>
  Effect.repeat(starting, { until: (started) => started.length > 0 })
