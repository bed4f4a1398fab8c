import { assert } from "@effect/vitest"
import { Effect, Queue } from "effect"
import type { RetryPolicy } from "../../../src/core/RetryPolicy.ts"
import type { FollowUp, FollowUps } from "../../../src/core/TaskEvent.ts"
import { Session } from "../../../src/store/Session.ts"
import { batchSizeMax, type FinishRequest, type Started, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  failure,
  finish,
  finished,
  type Law,
  newEventId,
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
  succeed,
  tagsOf,
  unservedKind
} from "./world.ts"

const retry: RetryPolicy = { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
const discard = { _tag: "Discard", reason: "no" } as const

const followUp = (kind: string, fields: Partial<FollowUp> = {}): FollowUp => ({
  kind,
  priority: "normal",
  inMs: 0,
  dueJitter: null,
  payload: { of: kind },
  ...fields
})

/** A kind of tasks, and two that nothing but ends schedules. */
const kindsOf = Effect.fnUntraced(function* (...policy: Parameters<typeof servedKind>) {
  const [kind, receipt, alert] = [yield* servedKind(...policy), yield* unservedKind, yield* unservedKind]
  const both: Required<FollowUps> = { onSuccess: followUp(receipt), onDead: followUp(alert) }
  return { kind, receipt, alert, both }
})

/** The tasks of a kind that wait; nothing in these laws claims them. */
const waiting = Effect.fnUntraced(function* (kind: string) {
  return (yield* (yield* TaskStore).find({ stage: "pending", kind, limit: 100 })).tasks
})

const countsOf = (...kinds: ReadonlyArray<string>) =>
  Effect.forEach(kinds, (kind) => Effect.map(waiting(kind), (tasks) => tasks.length))

const requestOf = Effect.fnUntraced(function* (started: Started, outcome: FinishRequest["outcome"] = succeed) {
  return { started, outcome, eventId: yield* newEventId, policy: policyOf(started.kind) }
})

export const followLaws = (law: Law): void => {
  law("a success schedules what was to follow it, and each history names the other", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf()
      const task = yield* running(kind, { ...both, onSuccess: followUp(receipt, { priority: "high", payload: [1] }) })
      assert.isTrue(task.followed)
      yield* finished(task, succeed, "succeeded")
      const end = (yield* store.history(task.taskId)).at(-1)
      const { taskId } = only(yield* waiting(receipt))
      const born = only(yield* store.history(taskId))
      assert.deepInclude(born, {
        _tag: "TaskScheduled",
        kind: receipt,
        priority: "high",
        dueAtMs: Math.floor(end?.atMs ?? 0),
        key: null,
        payload: [1],
        follows: { taskId: task.taskId, version: end?.version ?? 0 }
      })
      const [first] = yield* store.history(task.taskId)
      assert.deepInclude(first, {
        onDead: both.onDead,
        onSuccess: followUp(receipt, { priority: "high", payload: [1] })
      })
      assert.deepStrictEqual(yield* countsOf(alert), [0])
    })
  )

  law("a death schedules the other one, after its delay, whatever has killed the task", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, kind, receipt } = yield* kindsOf({ retry, deathsMax: 1 })
      const onDead = followUp(alert, { inMs: 60_000 })
      const fields: FollowUps = { onSuccess: followUp(receipt), onDead }
      const discarded = yield* finished(yield* running(kind, fields), discard, "dead")
      yield* finished(yield* running(kind, fields), failure, "pending")
      const exhausted = yield* finished(yield* nextAttempt(kind), failure, "dead")
      const sessionId = yield* (yield* StoreControl).secondSession
      const quarantined = startedOf(yield* start(yield* claimed(kind, fields), { sessionId }))
      yield* (yield* StoreControl).killSession(sessionId)
      yield* store.expire(batchSizeMax)
      for (const { taskId } of [discarded, exhausted, quarantined]) {
        const end = (yield* store.history(taskId)).at(-1)
        assert.strictEqual(end?._tag, "TaskDeadLettered")
        const followers = (yield* waiting(alert)).filter(
          (task) => task.dueAtMs === Math.ceil((end?.atMs ?? 0) + 60_000)
        )
        assert.isAtLeast(followers.length, 1)
      }
      assert.deepStrictEqual(yield* countsOf(alert, receipt), [3, 0])
    })
  )

  law("a cancelled or expired task schedules nothing, and neither does one that is tried again", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf({ retry })
      const cancelled = yield* scheduled(kind, { ...both, dueInMs: 60_000 })
      yield* act(cancelled.taskId, { _tag: "Cancel", reason: null })
      const asked = yield* running(kind, both)
      yield* act(asked.taskId, { _tag: "Cancel", reason: null })
      yield* finished(asked, discard, "cancelled")
      const late = yield* scheduled(kind, { ...both, expiresAtMs: 1 })
      while ((yield* stateOf(late.taskId)).stage !== "expired") yield* store.expireTasks(batchSizeMax)
      yield* finished(yield* running(kind, both), failure, "pending")
      yield* finished(yield* nextAttempt(kind), { _tag: "Snooze", inMs: 60_000 }, "pending")
      assert.deepStrictEqual(yield* countsOf(receipt, alert), [0, 0])
    })
  )

  law("is not forgotten while the task is given back, tried again, moved, parked or redriven", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf({ retry, onInterrupted: "park" })
      const first = yield* claimed(kind, both)
      const released = {
        taskId: first.taskId,
        fence: first.fence,
        eventId: yield* newEventId,
        reason: "drained"
      } as const
      yield* store.release([released])
      yield* act(first.taskId, { _tag: "Reprioritise", priority: "critical" })
      yield* finished(yield* nextAttempt(kind), { _tag: "Snooze", inMs: 0 }, "pending")
      const { taskId } = yield* nextAttempt(kind, { timeoutMs: 0 })
      yield* store.expire(batchSizeMax)
      assert.strictEqual((yield* stateOf(taskId)).stage, "parked")
      yield* act(taskId, { _tag: "RunNow" })
      yield* finished(yield* nextAttempt(kind), discard, "dead")
      yield* act(taskId, { _tag: "Redrive" })
      yield* finished(yield* nextAttempt(kind), discard, "dead")
      yield* act(taskId, { _tag: "Redrive" })
      yield* finished(yield* nextAttempt(kind), succeed, "succeeded")
      assert.deepStrictEqual(yield* countsOf(receipt, alert), [1, 2])
      const ids = (yield* waiting(alert)).map((task) => task.taskId)
      assert.strictEqual(new Set(ids).size, 2)
    })
  )

  law("follows what the outside says of a parked attempt, once for each answer that is accepted", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf({
        retry: { ...retry, attemptsMax: 1 },
        onInterrupted: "park"
      })
      const answers = [{ _tag: "Done", result: 1 }, { _tag: "NotDone" }] as const
      for (const [index, answer] of answers.entries()) {
        const { taskId } = startedOf(yield* start(yield* claimed(kind, both), { timeoutMs: 0 }))
        yield* store.expire(batchSizeMax)
        const { fence } = yield* stateOf(taskId)
        if (fence === null) throw new Error("the task is not parked")
        const request = { taskId, fence, answer, eventId: yield* newEventId, policy: policyOf(kind) }
        const stage = index === 0 ? "succeeded" : "dead"
        for (let time = 0; time < 2; time++)
          assert.deepStrictEqual(yield* store.reconcile(request), { _tag: "Recorded", stage })
        yield* Effect.all(
          [1, 2].map(() => Effect.flatMap(newEventId, (eventId) => store.reconcile({ ...request, eventId }))),
          { concurrency: 2 }
        )
      }
      assert.deepStrictEqual(yield* countsOf(receipt, alert), [1, 1])
    })
  )

  law("commits with the outcome of a transaction, and is gone with one that fails or comes too late", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { both, kind, receipt } = yield* kindsOf()
      const task = yield* running(kind, both)
      const request = yield* requestOf(task)
      assert.strictEqual(yield* Effect.flip(store.finishWith(Effect.fail("no" as const), () => request)), "no")
      assert.deepStrictEqual(yield* countsOf(receipt), [0])
      yield* store.finishWith(Effect.void, () => request)
      yield* store.finishWith(Effect.void, () => request)
      assert.deepStrictEqual(yield* countsOf(receipt), [1])
      const late = yield* requestOf(task)
      assert.strictEqual((yield* Effect.flip(store.finishWith(Effect.void, () => late)))._tag, "LeaseLost")
      assert.deepStrictEqual(yield* countsOf(receipt), [1])
    })
  )

  law("of many outcomes at once one is accepted, and one follow-up scheduled", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf()
      const task = yield* running(kind, both)
      const requests = [
        ...(yield* Effect.forEach([1, 2, 3, 4], () => requestOf(task))),
        ...(yield* Effect.forEach([1, 2, 3, 4], () => requestOf(task, discard)))
      ]
      const answers = yield* Effect.forEach(requests, (request) => store.finish([request]), { concurrency: 8 })
      assert.strictEqual(answers.filter((answer) => only(answer)._tag === "Recorded").length, 1)
      const counts = yield* countsOf(receipt, alert)
      assert.strictEqual((counts[0] ?? 0) + (counts[1] ?? 0), 1)
    })
  )

  law("in a batch each end has its own, and ends without one have none", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf()
      const plain = yield* running(kind)
      const good = yield* Effect.forEach([1, 2, 3], () => running(kind, both))
      const bad = yield* Effect.forEach([1, 2], () => running(kind, both))
      const asked = yield* running(kind, both)
      yield* act(asked.taskId, { _tag: "Cancel", reason: null })
      const onlyDead = yield* running(kind, { onDead: followUp(alert) })
      const lost = yield* finished(yield* running(kind), succeed, "succeeded")
      const batch = [
        ...(yield* Effect.forEach([plain, ...good, onlyDead, lost], (task) => requestOf(task))),
        ...(yield* Effect.forEach([...bad, asked], (task) => requestOf(task, discard)))
      ]
      const stages = (yield* store.finish(batch)).map((answer) =>
        answer._tag === "Recorded" ? answer.stage : answer._tag
      )
      assert.deepStrictEqual(stages, [
        ...Array.from({ length: 5 }, () => "succeeded"),
        "Lost",
        "dead",
        "dead",
        "cancelled"
      ])
      assert.deepStrictEqual(yield* countsOf(receipt, alert), [3, 2])
      assert.deepStrictEqual(
        (yield* store.finish(batch)).map(({ _tag }) => _tag),
        stages.map((stage) => (stage === "Lost" ? "Lost" : "Recorded"))
      )
      assert.deepStrictEqual(yield* countsOf(receipt, alert), [3, 2])
    })
  )

  for (const fault of ["before", "after"] as const) {
    law(`an outcome whose ${fault === "before" ? "request" : "answer"} was lost is repeated, and followed once`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const { both, kind, receipt } = yield* kindsOf()
        const request = yield* requestOf(yield* running(kind, both))
        yield* (yield* StoreControl).failNext(fault)
        yield* Effect.ignore(store.finish([request]))
        assert.deepStrictEqual(only(yield* store.finish([request])), { _tag: "Recorded", stage: "succeeded" })
        assert.deepStrictEqual(yield* countsOf(receipt), [1])
      })
    )
  }

  law("a follow-up is a task like any other: it waits for a worker, and what follows it follows its own end", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const last = yield* unservedKind
      const chain = followUp(kind, { onDead: followUp(kind, { onSuccess: followUp(last, { payload: "end" }) }) })
      const task = yield* running(kind, { onSuccess: chain })
      yield* finished(task, succeed, "succeeded")
      const second = yield* nextAttempt(kind)
      assert.deepStrictEqual([second.payload, second.followed], [{ of: kind }, true])
      yield* finished(second, discard, "dead")
      yield* finished(yield* nextAttempt(kind), succeed, "succeeded")
      const { taskId } = only(yield* waiting(last))
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled"])
      const kinds = yield* store.kinds
      assert.deepInclude(
        kinds.map(({ known, policy }) => [policy.kind, known]),
        [last, false]
      )
    })
  )

  law("is not forgotten by a start that claims in the same append, nor by one that was found again", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { both, kind, receipt } = yield* kindsOf()
      yield* scheduled(kind, { ...both, dueInMs: 0 })
      const eventIds = [yield* newEventId]
      const request = { sessionId: (yield* Session).id(), kinds: [{ kind, timeoutMs: 60_000 }], eventIds }
      let started: ReadonlyArray<Started> = []
      while (started.length === 0) started = yield* store.startDue(request)
      assert.isTrue(only(started).followed)
      assert.isTrue(only(yield* store.startedWith(eventIds)).followed)
      yield* finished(only(started), succeed, "succeeded")
      assert.deepStrictEqual(yield* countsOf(receipt), [1])
    })
  )

  law("engines are told of one that is due", () =>
    Effect.gen(function* () {
      const wakeUps = yield* (yield* TaskStore).wakeUps
      const { both, kind, receipt } = yield* kindsOf()
      const task = yield* running(kind, both)
      yield* finish(task, succeed)
      const { dueAtMs } = only(yield* waiting(receipt))
      while ((yield* Queue.take(wakeUps)) !== dueAtMs);
    })
  )

  law("a repeat of its schedule, and a task under the same key, change nothing of what follows", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { alert, both, kind, receipt } = yield* kindsOf()
      const task = yield* scheduled(kind, { ...both, key: "k" })
      assert.deepStrictEqual(yield* store.schedule([task]), [{ _tag: "Created", taskId: task.taskId }])
      const other = { ...task, eventId: yield* newEventId, onSuccess: followUp(alert) }
      assert.deepStrictEqual(yield* store.schedule([other]), [{ _tag: "Existing", taskId: task.taskId }])
      const { tasks } = yield* claim([kind])
      yield* finished(startedOf(yield* start(only(tasks))), succeed, "succeeded")
      assert.deepStrictEqual(yield* countsOf(receipt, alert), [1, 0])
    })
  )
}
