import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"
import { askWaitsMs } from "../../../src/core/asks.ts"
import { decide } from "../../../src/core/decide.ts"
import type { RetryPolicy } from "../../../src/core/RetryPolicy.ts"
import type { Reconciliation } from "../../../src/core/TaskCommand.ts"
import { batchSizeMax, type Parked, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claimed,
  newEventId,
  nextAttempt,
  only,
  policyOf,
  servedKind,
  start,
  startedOf,
  stateOf,
  StoreControl,
  tagsOf,
  type Law
} from "./world.ts"

const retry: RetryPolicy = { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
const done: Reconciliation = { _tag: "Done", result: { chargeId: "ch_1" } }
const notDone: Reconciliation = { _tag: "NotDone" }
const cancel = { _tag: "Cancel", reason: null } as const

const parkingKind = servedKind({ onInterrupted: "park", retry })

/** Parks a running task whose deadline has passed. */
const expired = (taskId: string) =>
  Effect.gen(function* () {
    yield* (yield* TaskStore).expire(batchSizeMax)
    assert.strictEqual((yield* stateOf(taskId)).stage, "parked")
    return taskId
  })

const parked = Effect.fnUntraced(function* (kind: string, fields: Parameters<typeof claimed>[1] = {}) {
  const { taskId } = startedOf(yield* start(yield* claimed(kind, fields), { timeoutMs: 0 }))
  return yield* expired(taskId)
})

const take = Effect.fnUntraced(function* (kinds: ReadonlyArray<string>, limit = 10) {
  return yield* (yield* TaskStore).takeParked({ kinds, limit })
})

const reconcile = Effect.fnUntraced(function* (
  { fence, kind, taskId }: Pick<Parked, "fence" | "kind" | "taskId">,
  answer: Reconciliation,
  eventId?: string
) {
  const request = { taskId, fence, answer, eventId: eventId ?? (yield* newEventId), policy: policyOf(kind) }
  return yield* (yield* TaskStore).reconcile(request)
})

/** A parked task in each situation that the machine's rows tell apart. */
const situations = {
  "with attempts left": (kind: string) => parked(kind),
  "at its last attempt": (kind: string) =>
    Effect.gen(function* () {
      const taskId = yield* parked(kind)
      yield* act(taskId, { _tag: "RunNow" })
      yield* nextAttempt(kind, { timeoutMs: 0 })
      return yield* expired(taskId)
    }),
  "with a cancel request": (kind: string) =>
    Effect.gen(function* () {
      const started = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
      yield* act(started.taskId, cancel)
      return yield* expired(started.taskId)
    })
}

export const reconcileLaws = (law: Law): void => {
  law("a parked task is taken with its payload and the facts of its attempt", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* parkingKind
      const taskId = yield* parked(kind, { payload: { order: 7 }, priority: "high" })
      const taken = only(yield* take([kind]))
      const [born, , started, parking] = yield* store.history(taskId)
      if (born?._tag !== "TaskScheduled" || started?._tag !== "AttemptStarted")
        throw new Error("it has another history")
      assert.deepStrictEqual(taken, {
        taskId,
        kind,
        priority: "high",
        payload: { order: 7 },
        attempt: 1,
        dueAtMs: born.dueAtMs,
        startedAtMs: started.atMs,
        deadlineAtMs: started.deadlineAtMs,
        attemptFence: { version: 3, eventId: started.eventId },
        parkedAtMs: parking?.atMs ?? 0,
        reason: "deadline",
        fence: { version: 4, eventId: parking?.eventId ?? "" },
        askedCount: 1,
        isLastAsk: false
      })
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskClaimed", "AttemptStarted", "TaskParked"])
    })
  )

  law("those waiting longest are taken first, up to the limit, and only of the kinds asked for", () =>
    Effect.gen(function* () {
      const kind = yield* parkingKind
      const other = yield* parkingKind
      const first = yield* parked(kind)
      yield* parked(other)
      const second = yield* parked(kind)
      assert.deepStrictEqual(yield* take([], 10), [])
      assert.deepStrictEqual(yield* take([kind], 0), [])
      assert.strictEqual(only(yield* take([kind], 1)).taskId, first)
      assert.strictEqual(only(yield* take([kind], 1)).taskId, second)
      assert.deepStrictEqual(yield* take([kind]), [])
    })
  )

  law("what is taken is put off each time, and after the last ask it waits for a person", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* parkingKind
      const taskId = yield* parked(kind)
      for (let ask = 1; ask <= askWaitsMs.length + 1; ask++) {
        const { askedCount, isLastAsk } = only(yield* take([kind]))
        assert.deepStrictEqual([askedCount, isLastAsk], [ask, ask === askWaitsMs.length + 1])
        assert.deepStrictEqual(yield* take([kind]), [])
        yield* control.hastenAsk(taskId)
      }
      assert.deepStrictEqual(yield* take([kind]), [])
      assert.strictEqual((yield* stateOf(taskId)).version, 4)
      yield* act(taskId, { _tag: "RunNow" })
      yield* nextAttempt(kind, { timeoutMs: 0 })
      yield* expired(taskId)
      // Another attempt is another question.
      assert.strictEqual(only(yield* take([kind])).askedCount, 1)
    })
  )

  law("workers that take at the same time share the tasks without overlap", () =>
    Effect.gen(function* () {
      const kind = yield* parkingKind
      const taskIds = yield* Effect.forEach(Array.from({ length: 8 }), () => parked(kind))
      const takers = yield* Effect.forEach(Array.from({ length: 4 }), () => take([kind], 3), { concurrency: 4 })
      const rest = yield* take([kind])
      const taken = [...takers.flat(), ...rest].map((task) => task.taskId)
      assert.deepStrictEqual(taken.toSorted(), taskIds.toSorted())
    })
  )

  law("of a paused kind nothing is asked", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* parkingKind
      yield* parked(kind)
      yield* store.pause({ _tag: "Kind", kind }, true)
      assert.deepStrictEqual(yield* take([kind]), [])
      yield* store.pause({ _tag: "Kind", kind }, false)
      assert.strictEqual(only(yield* take([kind])).askedCount, 1)
    })
  )

  for (const [situation, reach] of Object.entries(situations)) {
    law(`what the outside says of a parked task ${situation} is recorded as the machine says`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* parkingKind
        for (const answer of [done, notDone]) {
          const taskId = yield* reach(kind)
          const before = yield* stateOf(taskId)
          const task = only(yield* take([kind]))
          const eventId = yield* newEventId
          const finished = yield* reconcile(task, answer, eventId)
          const after = yield* stateOf(taskId)
          assert.deepStrictEqual(finished, { _tag: "Recorded", stage: after.stage })
          const [event] = (yield* store.history(taskId)).slice(before.version)
          if (event === undefined) throw new Error("nothing was appended")
          const { atMs } = event
          const command = {
            _tag: "Reconcile",
            answer,
            fence: task.fence,
            policy: policyOf(kind),
            atMs,
            eventId
          } as const
          const body = Result.getOrThrow(decide(command, before)).at(0)
          const place = { taskId, version: before.version + 1, eventId, atMs }
          assert.deepStrictEqual({ ...event }, { ...place, ...body })
          assert.deepStrictEqual(yield* take([kind]), [])
          // What is pending again would be the next attempt of the other tasks here.
          if (after.stage === "pending") yield* act(taskId, cancel)
        }
      })
    )
  }

  law("a task that the outside says is done is found among those that have succeeded", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* parkingKind
      const taskId = yield* parked(kind)
      yield* reconcile(only(yield* take([kind])), done)
      const { tasks } = yield* store.find({ stage: "succeeded", kind, limit: 10 })
      assert.deepStrictEqual(tasks, [yield* stateOf(taskId)])
    })
  )

  law("a task that is exhausted by an answer is announced as a dead letter", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* parkingKind
      const taskId = yield* situations["at its last attempt"](kind)
      yield* reconcile(only(yield* take([kind])), notDone)
      let reason: string | undefined
      yield* store.relayDead(batchSizeMax, (letters) =>
        Effect.sync(() => {
          reason = letters.find((letter) => letter.taskId === taskId)?.reason
        })
      )
      assert.strictEqual(reason, "exhausted")
    })
  )

  law("of several answers about one parking the first one wins", () =>
    Effect.gen(function* () {
      const kind = yield* parkingKind
      const taskId = yield* parked(kind)
      const task = only(yield* take([kind]))
      const answers = yield* Effect.forEach([done, notDone, done], (answer) => reconcile(task, answer), {
        concurrency: "unbounded"
      })
      assert.strictEqual(answers.filter(({ _tag }) => _tag === "Recorded").length, 1)
      assert.strictEqual((yield* stateOf(taskId)).version, 5)
    })
  )

  law("an answer is lost when somebody has moved the task, and when it is about an earlier parking", () =>
    Effect.gen(function* () {
      const kind = yield* parkingKind
      const moved = yield* parked(kind)
      const early = only(yield* take([kind]))
      yield* act(moved, { _tag: "RunNow" })
      assert.deepStrictEqual(yield* reconcile(early, done), { _tag: "Lost" })
      yield* nextAttempt(kind, { timeoutMs: 0 })
      yield* expired(moved)
      assert.deepStrictEqual(yield* reconcile(early, done), { _tag: "Lost" })
      const { fence } = early
      const late = only(yield* take([kind]))
      assert.deepStrictEqual(yield* reconcile({ ...late, fence: { ...late.fence, version: fence.version } }, done), {
        _tag: "Lost"
      })
      assert.deepStrictEqual(yield* reconcile({ ...late, fence: { ...late.fence, eventId: fence.eventId } }, done), {
        _tag: "Lost"
      })
      assert.deepStrictEqual(yield* reconcile(late, done), { _tag: "Recorded", stage: "succeeded" })
    })
  )

  law("an answer and a cancel at the same time: one of them is recorded", () =>
    Effect.gen(function* () {
      const kind = yield* parkingKind
      const taskId = yield* parked(kind)
      const task = only(yield* take([kind]))
      const [finished, acted] = yield* Effect.all([reconcile(task, done), act(taskId, cancel)], { concurrency: 2 })
      const { stage, version } = yield* stateOf(taskId)
      assert.strictEqual(version, 5)
      assert.deepStrictEqual(
        [finished._tag, acted._tag],
        stage === "succeeded" ? ["Recorded", "Rejected"] : ["Lost", "Done"]
      )
    })
  )

  law("an answer about a task that does not exist is lost", () =>
    Effect.gen(function* () {
      const kind = yield* parkingKind
      const taskId = "01900000-0000-7000-8000-000000000000"
      const fence = { version: 4, eventId: yield* newEventId }
      assert.deepStrictEqual(yield* reconcile({ taskId, kind, fence }, done), { _tag: "Lost" })
    })
  )

  for (const fault of ["before", "after"] as const) {
    law(`an answer whose ${fault === "before" ? "request" : "answer"} was lost is recorded once by repeating it`, () =>
      Effect.gen(function* () {
        const kind = yield* parkingKind
        const taskId = yield* parked(kind)
        const task = only(yield* take([kind]))
        const eventId = yield* newEventId
        yield* (yield* StoreControl).failNext(fault)
        const error = yield* Effect.flip(reconcile(task, notDone, eventId))
        assert.strictEqual(error._tag, "StoreUnavailable")
        assert.deepStrictEqual(yield* reconcile(task, notDone, eventId), { _tag: "Recorded", stage: "pending" })
        // Whatever has happened since.
        yield* nextAttempt(kind)
        assert.deepStrictEqual(yield* reconcile(task, notDone, eventId), { _tag: "Recorded", stage: "pending" })
        assert.strictEqual((yield* tagsOf(taskId)).filter((tag) => tag === "TaskResumed").length, 1)
      })
    )
  }
}
