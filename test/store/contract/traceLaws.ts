import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  claimed,
  claimNext,
  failure,
  finished,
  newEventId,
  only,
  running,
  scheduled,
  servedKind,
  startedOf,
  type startWhenDue,
  stateOf,
  StoreControl,
  type Law
} from "./world.ts"

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

export const traceLaws = (law: Law): void => {
  law("a task that was scheduled in a trace keeps it, and is not followed for that", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const traced = yield* scheduled(kind, { dueInMs: 60_000, traceparent })
      const untraced = yield* scheduled(kind, { dueInMs: 60_000 })
      const [born] = yield* (yield* TaskStore).history(traced.taskId)
      assert.strictEqual(born?._tag === "TaskScheduled" && born.traceparent, traceparent)
      assert.notProperty((yield* (yield* TaskStore).history(untraced.taskId))[0], "traceparent")
      assert.isFalse((yield* stateOf(traced.taskId)).followed)
    })
  )

  law("every start that asks for it is told the trace, and when the task was claimed for it", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const claimedAtMs = Effect.fnUntraced(function* (taskId: string) {
        return (yield* store.history(taskId)).findLast(({ _tag }) => _tag === "TaskClaimed")?.atMs
      })
      const first = yield* startTraced(yield* claimed(kind, { traceparent }))
      assert.deepStrictEqual(first.traced, { traceparent, claimedAtMs: yield* claimedAtMs(first.taskId) })
      yield* finished(first, { ...failure, retryInMs: 0 }, "pending")
      const second = yield* startTraced(yield* claimNext(kind))
      assert.deepStrictEqual(second.traced, { traceparent, claimedAtMs: yield* claimedAtMs(first.taskId) })
      assert.isAbove(second.traced?.claimedAtMs ?? 0, first.traced?.claimedAtMs ?? 0)
      yield* finished(second, { _tag: "Succeed", result: null }, "succeeded")
      const untraced = yield* startTraced(yield* claimed(yield* servedKind()))
      assert.notProperty(untraced, "traced")
    })
  )

  law("a start whose answer was lost is told it as well", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const control = yield* StoreControl
      const task = yield* claimed(yield* servedKind(), { traceparent })
      const request = { ...task, eventId: yield* newEventId, timeoutMs: 60_000, dispatchedAtMs: null, isTraced: true }
      const sessionId = (yield* Session).id()
      yield* control.failNext("after")
      yield* Effect.flip(store.start(sessionId, [request]))
      assert.strictEqual(startedOf(only(yield* store.start(sessionId, [request]))).traced?.traceparent, traceparent)
    })
  )

  law("what is claimed and started at once is told it, and was claimed as it started", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      yield* scheduled(kind, { dueInMs: -10, traceparent })
      const eventIds = [yield* newEventId]
      const request = { sessionId: (yield* Session).id(), kinds: [{ kind, timeoutMs: 30_000 }], eventIds }
      const started = only(yield* store.startDue({ ...request, isTraced: true }))
      assert.deepStrictEqual(started.traced, { traceparent, claimedAtMs: started.startedAtMs })
      assert.strictEqual(only(yield* store.startedWith(eventIds)).traced?.traceparent, traceparent)
    })
  )

  law("what follows an end belongs to the trace of the first task", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const next = { kind, priority: "normal" as const, inMs: 60_000, dueJitter: null, payload: null }
      const first = yield* running(kind, { traceparent, onSuccess: next })
      yield* finished(first, { _tag: "Succeed", result: null }, "succeeded")
      const store = yield* TaskStore
      const { tasks } = yield* store.find({ kind, stage: "pending", limit: 10 })
      const [born] = yield* store.history(only(tasks).taskId)
      assert.strictEqual(born?._tag === "TaskScheduled" && born.traceparent, traceparent)
    })
  )
}

const startTraced = Effect.fnUntraced(function* (task: Parameters<typeof startWhenDue>[0]) {
  const store = yield* TaskStore
  const sessionId = (yield* Session).id()
  const request = { ...task, eventId: yield* newEventId, timeoutMs: 60_000, dispatchedAtMs: null, isTraced: true }
  for (;;) {
    const answer = only(yield* store.start(sessionId, [request]))
    if (answer._tag !== "TooEarly") return startedOf(answer)
  }
})
