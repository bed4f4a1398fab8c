import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"
import { decide } from "../../../src/core/decide.ts"
import * as TaskId from "../../../src/core/TaskId.ts"
import { Ids } from "../../../src/store/Ids.ts"
import { batchSizeMax, TaskStore, type Wish } from "../../../src/store/TaskStore.ts"
import {
  act,
  assertAuditIsGreen,
  claim,
  claimed,
  claimNext,
  failure,
  finish,
  newEventId,
  nextAttempt,
  only,
  running,
  scheduled,
  servedKind,
  start,
  startedOf,
  stateOf,
  storeNowMs,
  succeed,
  tagsOf,
  type Law
} from "./world.ts"

const hourMs = 3_600_000

/** A task in every stage the machine can reach, and in the variants that its guards tell apart. */
const reachable = {
  "pending, due": (kind: string) => Effect.map(scheduled(kind), ({ taskId }) => taskId),
  "pending, not due": (kind: string) => Effect.map(scheduled(kind, { dueInMs: hourMs }), ({ taskId }) => taskId),
  "claimed, due": (kind: string) => Effect.map(claimed(kind), ({ taskId }) => taskId),
  "claimed, not due": (kind: string) => Effect.map(claimed(kind, { dueInMs: hourMs }), ({ taskId }) => taskId),
  running: (kind: string) => Effect.map(running(kind), ({ taskId }) => taskId),
  "running, cancel requested": (kind: string) => Effect.tap(reachable.running(kind), cancel),
  parked: (kind: string) =>
    Effect.gen(function* () {
      const { taskId } = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      yield* (yield* TaskStore).expire(batchSizeMax)
      return taskId
    }),
  "parked, cancel requested": (kind: string) =>
    Effect.gen(function* () {
      const { taskId } = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      yield* cancel(taskId)
      yield* (yield* TaskStore).expire(batchSizeMax)
      return taskId
    }),
  dead: (kind: string) =>
    Effect.gen(function* () {
      const started = yield* running(kind)
      yield* finish(started, { ...failure, retryable: false })
      return started.taskId
    }),
  succeeded: (kind: string) =>
    Effect.gen(function* () {
      const started = yield* running(kind)
      yield* finish(started, succeed)
      return started.taskId
    }),
  cancelled: (kind: string) =>
    Effect.gen(function* () {
      const { taskId } = yield* scheduled(kind)
      yield* cancel(taskId)
      return taskId
    })
}

const wishes: ReadonlyArray<(nowMs: number) => Wish> = [
  () => ({ _tag: "Cancel", reason: "no longer wanted" }),
  (nowMs) => ({ _tag: "Reschedule", dueAtMs: nowMs + 2 * hourMs }),
  () => ({ _tag: "Reprioritise", priority: "critical" }),
  () => ({ _tag: "Reprioritise", priority: "normal" }),
  () => ({ _tag: "RunNow" }),
  () => ({ _tag: "Redrive" })
]

export const actLaws = (law: Law): void => {
  for (const [stage, reach] of Object.entries(reachable)) {
    law(`every wish on a task that is ${stage} is answered and recorded as the machine says`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedKind({ onInterrupted: "park" })
        for (const wishAt of wishes) {
          const taskId = yield* reach(kind)
          const before = yield* stateOf(taskId)
          const atMs = yield* storeNowMs
          const eventId = yield* newEventId
          const wish = wishAt(atMs)
          const answer = yield* store.act(taskId, eventId, wish)
          const decision = decide({ ...wish, atMs, eventId }, before)
          const history = yield* store.history(taskId)
          const appended = history.slice(before.version)
          assert.deepStrictEqual(answer.state, yield* stateOf(taskId))
          if (Result.isFailure(decision)) {
            assert.deepStrictEqual(answer._tag === "Rejected" && answer.rejection, decision.failure)
            assert.deepStrictEqual(appended, [])
          } else {
            assert.strictEqual(answer._tag, "Done")
            assert.deepStrictEqual(
              appended.map((event) => event._tag),
              decision.success.map((body) => body._tag)
            )
            assert.isTrue(appended.every((event) => event.eventId === eventId))
            if (wish._tag === "Reschedule") assert.strictEqual(answer.state.dueAtMs, wish.dueAtMs)
            if (wish._tag === "Reprioritise") assert.strictEqual(answer.state.priority, wish.priority)
          }
        }
      })
    )
  }

  law("a task is audited after every step of a long life", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ onInterrupted: "park" })
      const { taskId } = yield* scheduled(kind, { dueInMs: hourMs, key: "life" })
      yield* assertAuditIsGreen
      yield* act(taskId, { _tag: "Reprioritise", priority: "low" })
      yield* assertAuditIsGreen
      yield* act(taskId, { _tag: "RunNow" })
      yield* assertAuditIsGreen
      const first = yield* claimNext(kind)
      yield* assertAuditIsGreen
      yield* store.release([{ ...first, eventId: yield* newEventId, reason: "drained" }])
      yield* assertAuditIsGreen
      const second = yield* nextAttempt(kind)
      yield* assertAuditIsGreen
      yield* finish(second, { _tag: "Snooze", inMs: 0 })
      yield* assertAuditIsGreen
      yield* nextAttempt(kind, { timeoutMs: 0 })
      yield* store.expire(batchSizeMax)
      yield* assertAuditIsGreen
      yield* act(taskId, { _tag: "RunNow" })
      yield* assertAuditIsGreen
      const third = yield* nextAttempt(kind)
      yield* act(taskId, { _tag: "Reprioritise", priority: "high" })
      yield* assertAuditIsGreen
      yield* finish(third, { _tag: "Discard", reason: "enough" })
      yield* assertAuditIsGreen
      yield* act(taskId, { _tag: "Redrive" })
      yield* assertAuditIsGreen
      const fourth = yield* nextAttempt(kind)
      assert.deepStrictEqual([fourth.attempt, fourth.charged, fourth.priority], [4, 1, "high"])
      yield* finish(fourth, succeed)
      assert.strictEqual((yield* stateOf(taskId)).stage, "succeeded")
    })
  )

  law("a cancelled task is never claimed again", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind)
      const answer = yield* act(taskId, { _tag: "Cancel", reason: "no" })
      assert.deepStrictEqual([answer._tag, answer.state.stage], ["Done", "cancelled"])
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
      for (const wish of wishes) yield* act(taskId, wish(yield* storeNowMs))
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskCancelled"])
    })
  )

  law("a cancel request survives a park, so that running it now cancels it", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ onInterrupted: "park" })
      const taskId = yield* reachable["parked, cancel requested"](kind)
      const answer = yield* act(taskId, { _tag: "RunNow" })
      assert.deepStrictEqual([answer._tag, answer.state.stage], ["Done", "cancelled"])
    })
  )

  law("a repeated wish is recorded once and answered as the first time", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { dueInMs: hourMs })
      const eventId = yield* newEventId
      const wish: Wish = { _tag: "Reschedule", dueAtMs: (yield* storeNowMs) - 1_000 }
      const answer = yield* act(taskId, wish, eventId)
      assert.deepStrictEqual(yield* act(taskId, wish, eventId), answer)
      yield* claim([kind])
      assert.strictEqual((yield* act(taskId, wish, eventId))._tag, "Done")
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskRescheduled", "TaskClaimed"])
    })
  )

  law("a rescheduled task is found at its new due time, across days", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { dueInMs: 40 * 24 * hourMs })
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
      const dueAtMs = (yield* storeNowMs) - 5_000
      yield* act(taskId, { _tag: "Reschedule", dueAtMs })
      const task = only((yield* claim([kind])).tasks)
      assert.deepStrictEqual([task.taskId, task.dueAtMs], [taskId, dueAtMs])
    })
  )

  law("a redriven dead letter begins anew with its attempts, not with their numbers", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const taskId = yield* reachable.dead(kind)
      const { state } = yield* act(taskId, { _tag: "Redrive" })
      assert.deepStrictEqual([state.stage, state.attempt, state.charged], ["pending", 1, 0])
      const started = yield* nextAttempt(kind)
      assert.deepStrictEqual([started.attempt, started.charged], [2, 1])
    })
  )

  law("wishes at the same time all happen, one after the other", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { dueInMs: hourMs })
      const nowMs = yield* storeNowMs
      const answers = yield* Effect.forEach(
        Array.from({ length: 6 }, (_, turn) => nowMs + (turn + 2) * hourMs),
        (dueAtMs) => act(taskId, { _tag: "Reschedule", dueAtMs }),
        { concurrency: "unbounded" }
      )
      assert.isTrue(answers.every(({ _tag }) => _tag === "Done"))
      assert.strictEqual((yield* stateOf(taskId)).version, 7)
    })
  )

  law("a task that does not exist is not found", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const ids = yield* Ids
      const taskId = TaskId.make(yield* storeNowMs, 0, ids.taskBytes())
      for (const asked of [
        Effect.asVoid(store.history(taskId)),
        Effect.asVoid(store.act(taskId, ids.eventId(), { _tag: "RunNow" }))
      ]) {
        const error = yield* Effect.flip(asked)
        assert.deepStrictEqual([error._tag, error._tag === "TaskNotFound" && error.taskId], ["TaskNotFound", taskId])
      }
    })
  )
}

const cancel = (taskId: string) => act(taskId, { _tag: "Cancel", reason: null })
