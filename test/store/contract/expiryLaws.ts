import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Scheduled, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  failure,
  finish,
  finished,
  type Law,
  newEventId,
  newTask,
  nextAttempt,
  only,
  policyOf,
  running,
  scheduled,
  servedKind,
  start,
  startedOf,
  stateOf,
  StoreControl,
  storeNowMs,
  succeed,
  tagsOf,
  withOwnDelays
} from "./world.ts"

const minuteMs = 60_000

/** Long enough ago, or far enough ahead, that no law waits. */
const passed = Effect.map(storeNowMs, (nowMs) => nowMs - 1)
const ahead = Effect.map(storeNowMs, (nowMs) => nowMs + minuteMs)

/** Started with this much left, which is as long as the laws about what runs then look at the clock. */
const leftMs = 300

const runningWhenItExpires = Effect.fnUntraced(function* (kind: string) {
  const expiresAtMs = (yield* storeNowMs) + leftMs
  const task = yield* running(kind, { expiresAtMs })
  while ((yield* storeNowMs) <= expiresAtMs) yield* Effect.yieldNow
  return task
})

const expireAll = Effect.gen(function* () {
  const store = yield* TaskStore
  const taskIds: Array<string> = []
  // A look tells of what other laws left running a minute ago, too.
  yield* store.expire(1_000)
  for (;;) {
    const answer = yield* store.expireTasks(100)
    taskIds.push(...answer.taskIds)
    if (answer.lookedAtCount < 100) return taskIds
  }
})

export const expiryLaws = (law: Law): void => {
  law("starts while it has not expired, and its history says until when", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const expiresAtMs = yield* ahead
      const task = yield* running(kind, { expiresAtMs })
      assert.notInclude(yield* expireAll, task.taskId)
      const [born] = yield* (yield* TaskStore).history(task.taskId)
      assert.strictEqual(born?._tag === "TaskScheduled" ? born.expiresAtMs : undefined, expiresAtMs)
      yield* finished(task, succeed, "succeeded")
    })
  )

  law("is ended where it waits once it has expired, and nobody claims it", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const due = yield* scheduled(kind, { expiresAtMs: yield* passed })
      const later = yield* scheduled(kind, { dueInMs: minuteMs, expiresAtMs: yield* passed })
      const other = yield* scheduled(kind)
      assert.isTrue((yield* store.look).anyExpired)
      assert.includeMembers([...(yield* expireAll)], [due.taskId, later.taskId])
      assert.isFalse((yield* store.look).anyExpired)
      assert.deepStrictEqual(yield* tagsOf(due.taskId), ["TaskScheduled", "TaskExpired"])
      assert.strictEqual((yield* stateOf(later.taskId)).stage, "expired")
      const { tasks } = yield* claim([kind], { lookAheadMs: 2 * minuteMs })
      assert.deepStrictEqual(
        tasks.map(({ taskId }) => taskId),
        [other.taskId]
      )
      const page = yield* store.find({ stage: "expired", kind, limit: 10 })
      assert.sameMembers(
        page.tasks.map(({ taskId }) => taskId),
        [due.taskId, later.taskId]
      )
    })
  )

  law("does not start once it has expired, even if nobody has ended it yet, and is ended where it is claimed", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const late = yield* claimed(kind, { expiresAtMs: yield* passed })
      const inTime = yield* claimed(kind, { expiresAtMs: yield* ahead })
      const never = yield* claimed(kind)
      assert.deepStrictEqual(yield* start(late), { _tag: "Lost" })
      for (const task of [inTime, never]) startedOf(yield* start(task))
      assert.include(yield* expireAll, late.taskId)
      assert.deepStrictEqual(yield* tagsOf(late.taskId), ["TaskScheduled", "TaskClaimed", "TaskExpired"])
      assert.deepStrictEqual(yield* start(late), { _tag: "Lost" })
    })
  )

  law("goes on when its attempt is under way at that instant", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* runningWhenItExpires(kind)
      assert.notInclude(yield* expireAll, task.taskId)
      assert.isFalse((yield* (yield* TaskStore).look).anyExpired)
      yield* finished(task, { _tag: "Release", reason: "drained" }, "expired")
      assert.notInclude(yield* expireAll, task.taskId)
    })
  )

  law("is not tried again when that would be too late, and keeps the failure", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      yield* withOwnDelays(kind)
      const failed = yield* running(kind, { expiresAtMs: yield* ahead })
      yield* finished(failed, { ...failure, retryInMs: 2 * minuteMs }, "expired")
      const end = (yield* (yield* TaskStore).history(failed.taskId)).at(-1)
      assert.deepStrictEqual(end?._tag === "TaskExpired" ? end.error : undefined, failure.error)
      const snoozed = yield* running(kind, { expiresAtMs: yield* ahead })
      yield* finished(snoozed, { _tag: "Snooze", inMs: 2 * minuteMs }, "expired")
      assert.strictEqual((yield* claim([kind], { lookAheadMs: 3 * minuteMs })).tasks.length, 0)
    })
  )

  law("is tried again in time, may be dead, cancelled or succeed, as any other", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      yield* withOwnDelays(kind)
      const fields = { expiresAtMs: yield* ahead }
      yield* finished(yield* running(kind, fields), { ...failure, retryInMs: 0 }, "pending")
      yield* finished(yield* nextAttempt(kind), { ...failure, retryable: false, retryInMs: 2 * minuteMs }, "dead")
      yield* finished(yield* running(kind, fields), { _tag: "Discard", reason: "no" }, "dead")
      const asked = yield* running(kind, fields)
      yield* act(asked.taskId, { _tag: "Cancel", reason: null })
      yield* finished(asked, { ...failure, retryInMs: 2 * minuteMs }, "cancelled")
    })
  )

  law("is not tried again when its worker dies and it would be too late", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const retry = { attemptsMax: 5, delay: { _tag: "Fixed", delayMs: 2 * minuteMs }, jitter: "none" } as const
      const kind = yield* servedKind({ retry })
      const sessionId = yield* (yield* StoreControl).secondSession
      const task = startedOf(yield* start(yield* claimed(kind, { expiresAtMs: yield* ahead }), { sessionId }))
      yield* (yield* StoreControl).killSession(sessionId)
      yield* store.expire(1_000)
      assert.deepStrictEqual((yield* tagsOf(task.taskId)).at(-1), "TaskExpired")
    })
  )

  law("is not resumed by the outside or a person when it would be too late", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const retry = { attemptsMax: 5, delay: { _tag: "Fixed", delayMs: 2 * minuteMs }, jitter: "none" } as const
      const kind = yield* servedKind({ retry, onInterrupted: "park" })
      const sessionId = yield* (yield* StoreControl).secondSession
      const task = startedOf(yield* start(yield* claimed(kind, { expiresAtMs: yield* ahead }), { sessionId }))
      yield* (yield* StoreControl).killSession(sessionId)
      yield* store.expire(1_000)
      const { fence } = yield* stateOf(task.taskId)
      if (fence === null) throw new Error("the task is not parked")
      const request = { taskId: task.taskId, fence, policy: policyOf(kind), answer: { _tag: "NotDone" } } as const
      assert.deepStrictEqual(yield* store.reconcile({ ...request, eventId: yield* newEventId }), {
        _tag: "Recorded",
        stage: "expired"
      })
    })
  )

  law("cannot be moved behind its last instant, nor redriven after it", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const expiresAtMs = yield* ahead
      const waiting = yield* scheduled(kind, { dueInMs: 1_000, expiresAtMs })
      const moved = yield* act(waiting.taskId, { _tag: "Reschedule", dueAtMs: expiresAtMs })
      assert.deepStrictEqual(moved._tag === "Rejected" ? moved.rejection : moved, { _tag: "TooLate", expiresAtMs })
      assert.strictEqual((yield* act(waiting.taskId, { _tag: "Reschedule", dueAtMs: expiresAtMs - 1 }))._tag, "Done")
      const dead = yield* finished(yield* runningWhenItExpires(kind), { _tag: "Discard", reason: "no" }, "dead")
      yield* expireAll
      const redriven = yield* act(dead.taskId, { _tag: "Redrive" })
      assert.strictEqual(redriven._tag === "Rejected" ? redriven.rejection._tag : redriven._tag, "TooLate")
    })
  )

  law("is ended at most once and a bounded number at a time, whoever asks", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      yield* expireAll
      const fields = { expiresAtMs: yield* passed }
      const tasks = yield* Effect.forEach([1, 2, 3], () => scheduled(kind, fields))
      const first = yield* store.expireTasks(2)
      assert.deepStrictEqual([first.lookedAtCount, first.taskIds.length], [2, 2])
      const answers = yield* Effect.all([store.expireTasks(10), store.expireTasks(10)], { concurrency: 2 })
      const ended = [...first.taskIds, ...answers.flatMap(({ taskIds }) => taskIds)]
      assert.sameMembers(
        ended,
        tasks.map(({ taskId }) => taskId)
      )
    })
  )

  law("frees its expiring key, and is not revived by a repeat of its schedule", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const first = yield* scheduled(kind, { key: "k", keyKeptMs: 0, expiresAtMs: yield* passed })
      yield* expireAll
      const again: Scheduled = only(yield* store.schedule([first]))
      assert.strictEqual(again._tag, "Created")
      assert.strictEqual((yield* stateOf(first.taskId)).stage, "expired")
      const second = yield* newTask(kind, { key: "k" })
      assert.strictEqual(only(yield* store.schedule([second]))._tag, "Created")
    })
  )

  law("a success is recorded however late it comes", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* runningWhenItExpires(kind)
      assert.deepStrictEqual(yield* finish(task, succeed), { _tag: "Recorded", stage: "succeeded" })
    })
  )
}
