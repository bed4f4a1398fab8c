import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import type { RetryPolicy } from "../../../src/core/RetryPolicy.ts"
import type { Outcome } from "../../../src/core/TaskCommand.ts"
import type { Stage } from "../../../src/core/TaskState.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  failure,
  finish,
  finished,
  newEventId,
  nextAttempt,
  policyOf,
  running,
  servedKind,
  stateOf,
  succeed,
  tagsOf,
  withOwnDelays,
  type Law
} from "./world.ts"

const atOnce: RetryPolicy = { attemptsMax: 3, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
const hourLater: RetryPolicy = { attemptsMax: 3, delay: { _tag: "Fixed", delayMs: 3_600_000 }, jitter: "none" }

export const finishLaws = (law: Law): void => {
  law("a success ends the task with its result", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const result = { sent: true, to: ["a", "ü"] }
      assert.deepStrictEqual(yield* finish(started, { _tag: "Succeed", result }), {
        _tag: "Recorded",
        stage: "succeeded"
      })
      const event = (yield* store.history(started.taskId)).at(-1)
      assert.deepStrictEqual(event?._tag === "AttemptSucceeded" && [event.attempt, event.result], [1, result])
      for (const stage of ["pending", "claimed", "running", "parked", "dead"] as const) {
        assert.deepStrictEqual((yield* store.find({ stage, kind, limit: 10 })).tasks, [])
      }
    })
  )

  law("a failure waits for the policy's delay and its attempt is charged", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ retry: hourLater })
      const started = yield* running(kind)
      const error = { name: "TypeError", message: "it's broken", stack: "at line 1" }
      assert.deepStrictEqual(yield* finish(started, { ...failure, error }), { _tag: "Recorded", stage: "pending" })
      const event = (yield* store.history(started.taskId)).at(-1)
      if (event?._tag !== "AttemptFailed") throw new Error(`was ${event?._tag}`)
      assert.deepStrictEqual(event.error, error)
      assert.strictEqual(event.dueAtMs, Math.ceil(event.atMs + 3_600_000))
      const { attempt, charged, dueAtMs, fence, stage } = yield* stateOf(started.taskId)
      assert.deepStrictEqual([attempt, charged, dueAtMs, fence, stage], [1, 1, event.dueAtMs, null, "pending"])
    })
  )

  law("a handler's own delay replaces the policy's", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ retry: hourLater })
      yield* withOwnDelays(kind)
      const started = yield* running(kind)
      yield* finish(started, { ...failure, retryInMs: 7_200_000 })
      const event = (yield* store.history(started.taskId)).at(-1)
      assert.strictEqual(event?._tag === "AttemptFailed" && event.dueAtMs, Math.ceil((event?.atMs ?? 0) + 7_200_000))
    })
  )

  law("the last charged attempt that fails makes a dead letter, the one before is tried again", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ retry: atOnce })
      const { taskId } = yield* finished(yield* running(kind), failure, "pending")
      yield* finished(yield* nextAttempt(kind), failure, "pending")
      const third = yield* nextAttempt(kind)
      assert.deepStrictEqual([third.taskId, third.attempt, third.charged], [taskId, 3, 3])
      yield* finished(third, failure, "dead")
      const event = (yield* store.history(taskId)).at(-1)
      assert.strictEqual(event?._tag === "TaskDeadLettered" && event.reason, "exhausted")
      const { tasks } = yield* store.find({ stage: "dead", kind, limit: 10 })
      assert.deepStrictEqual(tasks, [yield* stateOf(taskId)])
    })
  )

  law("a failure that must not be repeated is a dead letter at once", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* finished(yield* running(kind), { ...failure, retryable: false }, "dead")
      const event = (yield* store.history(taskId)).at(-1)
      assert.deepStrictEqual(event?._tag === "TaskDeadLettered" && [event.reason, event.error], [
        "not-retryable",
        { name: "Error", message: "no" }
      ])
    })
  )

  law("a discarded task is a dead letter with the handler's reason", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* finished(yield* running(kind), { _tag: "Discard", reason: "too late" }, "dead")
      const event = (yield* store.history(taskId)).at(-1)
      assert.deepStrictEqual(event?._tag === "TaskDeadLettered" && [event.reason, event.error.message], [
        "discarded",
        "too late"
      ])
    })
  )

  law("snoozes and releases give their attempt back, the number goes on", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const outcomes: ReadonlyArray<Outcome> = [
        { _tag: "Snooze", inMs: 0 },
        { _tag: "Release", reason: "drained" },
        failure,
        { _tag: "Snooze", inMs: 0 }
      ]
      let started = yield* running(kind)
      const seen: Array<readonly [number, number]> = []
      for (const outcome of outcomes) {
        seen.push([started.attempt, started.charged])
        yield* finished(started, outcome, "pending")
        started = yield* nextAttempt(kind)
      }
      assert.deepStrictEqual(seen, [
        [1, 1],
        [2, 1],
        [3, 1],
        [4, 2]
      ])
      assert.deepStrictEqual([started.attempt, started.charged], [5, 2])
    })
  )

  law("a snoozed task is due when its handler said", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* finished(yield* running(kind), { _tag: "Snooze", inMs: 86_400_000 }, "pending")
      const event = (yield* store.history(taskId)).at(-1)
      const { charged, dueAtMs } = yield* stateOf(taskId)
      assert.deepStrictEqual([dueAtMs, charged], [Math.ceil((event?.atMs ?? 0) + 86_400_000), 0])
    })
  )

  law("a cancel request wins over every outcome but success", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const outcomes: ReadonlyArray<readonly [Outcome, Stage]> = [
        [succeed, "succeeded"],
        [failure, "cancelled"],
        [{ ...failure, retryable: false }, "cancelled"],
        [{ _tag: "Snooze", inMs: 0 }, "cancelled"],
        [{ _tag: "Discard", reason: "no" }, "cancelled"],
        [{ _tag: "Release", reason: "drained" }, "cancelled"]
      ]
      for (const [outcome, stage] of outcomes) {
        const started = yield* running(kind)
        yield* act(started.taskId, { _tag: "Cancel", reason: "asked" })
        yield* finished(started, outcome, stage)
        assert.strictEqual((yield* stateOf(started.taskId)).stage, stage)
      }
    })
  )

  law("harmless events between a start and its outcome do not take the lease", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const started = yield* running(kind)
      yield* act(started.taskId, { _tag: "Reprioritise", priority: "critical" })
      yield* act(started.taskId, { _tag: "Reprioritise", priority: "low" })
      yield* finished(started, succeed, "succeeded")
    })
  )

  law("an outcome is recorded once: of several with one fence the first wins", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const started = yield* running(kind)
      const answers = yield* Effect.forEach(
        [succeed, failure, succeed, failure],
        (outcome) => finish(started, outcome),
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(answers.map(({ _tag }) => _tag).toSorted(), ["Lost", "Lost", "Lost", "Recorded"])
      assert.strictEqual((yield* tagsOf(started.taskId)).length, 4)
    })
  )

  law("a task named twice in one batch is finished once", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const request = { started, outcome: succeed, policy: policyOf(kind) }
      const answers = yield* store.finish([
        { ...request, eventId: yield* newEventId },
        { ...request, eventId: yield* newEventId }
      ])
      assert.deepStrictEqual(answers.map(({ _tag }) => _tag).toSorted(), ["Lost", "Recorded"])
    })
  )

  law("the fence of a start that is over records nothing, on a later attempt either", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const first = yield* running(kind)
      yield* finished(first, failure, "pending")
      assert.strictEqual((yield* finish(first, succeed))._tag, "Lost")
      const second = yield* nextAttempt(kind)
      assert.strictEqual((yield* finish(first, succeed))._tag, "Lost")
      const forged = { ...second, fence: { ...second.fence, eventId: first.fence.eventId } }
      assert.strictEqual((yield* finish(forged, succeed))._tag, "Lost")
      assert.strictEqual((yield* stateOf(first.taskId)).stage, "running")
      yield* finished(second, succeed, "succeeded")
    })
  )

  law("a repeated request answers as the first time, whatever happened since", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: atOnce })
      const started = yield* running(kind)
      const eventId = yield* newEventId
      const answer = yield* finish(started, failure, eventId)
      assert.deepStrictEqual(answer, { _tag: "Recorded", stage: "pending" })
      assert.deepStrictEqual(yield* finish(started, failure, eventId), answer)
      yield* nextAttempt(kind)
      assert.deepStrictEqual(yield* finish(started, failure, eventId), answer)
      assert.strictEqual((yield* stateOf(started.taskId)).version, 6)
    })
  )

  law("a batch of every outcome answers each in its place", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const outcomes: ReadonlyArray<readonly [Outcome, Stage]> = [
        [{ _tag: "Release", reason: "drained" }, "pending"],
        [succeed, "succeeded"],
        [{ _tag: "Snooze", inMs: 86_400_000 }, "pending"],
        [{ ...failure, retryable: false }, "dead"],
        [failure, "pending"],
        [{ _tag: "Discard", reason: "no" }, "dead"]
      ]
      const requests = yield* Effect.forEach(outcomes, ([outcome]) =>
        Effect.gen(function* () {
          return {
            started: yield* running(yield* servedKind()),
            eventId: yield* newEventId,
            outcome,
            policy: policyOf(kind)
          }
        })
      )
      const answers = yield* store.finish(requests)
      assert.deepStrictEqual(
        answers,
        outcomes.map(([, stage]) => ({ _tag: "Recorded", stage }))
      )
      assert.deepStrictEqual(yield* store.finish([]), [])
    })
  )

  law("the policy that comes with the outcome decides", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ retry: hourLater })
      yield* withOwnDelays(kind)
      const started = yield* running(kind)
      const policy = { ...defaultKindPolicy(kind), retry: { ...hourLater, attemptsMax: 1 } }
      const request = { started, eventId: yield* newEventId, outcome: failure, policy }
      assert.deepStrictEqual(yield* store.finish([request]), [{ _tag: "Recorded", stage: "dead" }])
    })
  )

  law("an error's texts are kept as they are, up to a megabyte", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const error = { name: "'; DROP TABLE event; --", message: "é\n\"'\\👩‍👧".repeat(100_000), stack: "$1 %s" }
      const { taskId } = yield* finished(yield* running(kind), { ...failure, error, retryable: false }, "dead")
      const event = (yield* store.history(taskId)).at(-1)
      assert.isTrue(event?._tag === "TaskDeadLettered" && event.error.message === error.message)
      assert.deepStrictEqual(event?._tag === "TaskDeadLettered" && [event.error.name, event.error.stack], [
        error.name,
        error.stack
      ])
    })
  )
}
