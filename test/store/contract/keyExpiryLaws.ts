import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Scheduled, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claimNext,
  failure,
  finished,
  type Law,
  newTask,
  running,
  scheduled,
  servedKind,
  startWhenDue,
  succeed,
  tagsOf
} from "./world.ts"

const hourMs = 3_600_000

export const keyExpiryLaws = (law: Law): void => {
  law("a key that expires at the end of its task is free once it has succeeded or was cancelled", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      yield* finished(yield* running(kind, { key: "k", keyKeptMs: 0, payload: 1 }), succeed, "succeeded")
      const { taskId } = yield* scheduled(kind, { key: "k", keyKeptMs: 0, payload: 2 })
      const again = yield* newTask(kind, { key: "k", payload: 2 })
      assert.deepStrictEqual(yield* store.schedule([again]), [{ _tag: "Existing", taskId }])
      yield* act(taskId, { _tag: "Cancel", reason: null })
      yield* scheduled(kind, { key: "k", payload: 3 })
    })
  )

  law("is held while the task waits, is claimed, runs or is tried again", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { key: "k", keyKeptMs: 0 })
      const existing: ReadonlyArray<Scheduled> = [{ _tag: "Existing", taskId }]
      const again = Effect.flatMap(newTask(kind, { key: "k", keyKeptMs: 0 }), (task) => store.schedule([task]))
      assert.deepStrictEqual(yield* again, existing)
      const held = yield* claimNext(kind)
      assert.deepStrictEqual(yield* again, existing)
      const attempt = yield* startWhenDue(held)
      assert.deepStrictEqual(yield* again, existing)
      yield* finished(attempt, { ...failure, retryInMs: 0 }, "pending")
      assert.deepStrictEqual(yield* again, existing)
    })
  )

  law("is held by a dead letter, which may be redriven", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* running(kind, { key: "k", keyKeptMs: 0 }).pipe(
        Effect.flatMap((attempt) => finished(attempt, { ...failure, retryable: false }, "dead"))
      )
      const again = yield* newTask(kind, { key: "k" })
      assert.deepStrictEqual(yield* store.schedule([again]), [{ _tag: "Existing", taskId }])
      yield* act(taskId, { _tag: "Redrive" })
      assert.deepStrictEqual(yield* store.schedule([again]), [{ _tag: "Existing", taskId }])
    })
  )

  law("is held as long after the end as was asked, and without an expiry as long as the history", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      for (const [key, keyKeptMs] of [
        ["an hour", hourMs],
        ["no expiry", null]
      ] as const) {
        const { taskId } = yield* scheduled(kind, { key, keyKeptMs })
        yield* act(taskId, { _tag: "Cancel", reason: null })
        const again = yield* newTask(kind, { key, keyKeptMs: 0 })
        const other = yield* newTask(kind, { key, keyKeptMs: 0, payload: "other" })
        assert.deepStrictEqual(yield* store.schedule([again, other]), [
          { _tag: "Existing", taskId },
          { _tag: "KeyConflict", taskId }
        ])
      }
    })
  )

  law("is taken over by one of many who find it free, and all learn of that one", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { key: "race", keyKeptMs: 0 })
      yield* act(taskId, { _tag: "Cancel", reason: null })
      const tasks = yield* Effect.forEach(Array.from({ length: 8 }), () => newTask(kind, { key: "race" }))
      const answers = (yield* Effect.forEach(tasks, (task) => store.schedule([task]), {
        concurrency: "unbounded"
      })).flat()
      assert.deepStrictEqual(answers.map(({ _tag }) => _tag).toSorted(), [
        "Created",
        ...Array.from({ length: 7 }, () => "Existing")
      ])
      assert.strictEqual(new Set(answers.map((answer) => answer.taskId)).size, 1)
      assert.isFalse(answers.some((answer) => answer.taskId === taskId))
    })
  )

  law("is taken over by the first of a batch, beside keys that are new and keys that are held", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const free = yield* scheduled(kind, { key: "free", keyKeptMs: 0 })
      yield* act(free.taskId, { _tag: "Cancel", reason: null })
      const held = yield* scheduled(kind, { key: "held", keyKeptMs: 0 })
      const first = yield* newTask(kind, { key: "free", payload: 1 })
      const second = yield* newTask(kind, { key: "free", payload: 1 })
      const third = yield* newTask(kind, { key: "free", payload: 2 })
      const blocked = yield* newTask(kind, { key: "held" })
      const fresh = yield* newTask(kind, { key: "fresh" })
      const batch = [first, second, third, blocked, fresh]
      const answers: ReadonlyArray<Scheduled> = [
        { _tag: "Created", taskId: first.taskId },
        { _tag: "Existing", taskId: first.taskId },
        { _tag: "KeyConflict", taskId: first.taskId },
        { _tag: "Existing", taskId: held.taskId },
        { _tag: "Created", taskId: fresh.taskId }
      ]
      assert.deepStrictEqual(yield* store.schedule(batch), answers)
      assert.deepStrictEqual(yield* store.schedule(batch), answers)
    })
  )

  law("that another task has since taken over does not change what a repeat of the request is told", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const task = yield* newTask(kind, { key: "k", keyKeptMs: 0 })
      const made: ReadonlyArray<Scheduled> = [{ _tag: "Created", taskId: task.taskId }]
      assert.deepStrictEqual(yield* store.schedule([task]), made)
      yield* act(task.taskId, { _tag: "Cancel", reason: null })
      const other = yield* scheduled(kind, { key: "k", keyKeptMs: 0, payload: "other" })
      assert.deepStrictEqual(yield* store.schedule([task]), made)
      // Nor does it take the key back once that one has ended.
      yield* act(other.taskId, { _tag: "Cancel", reason: null })
      assert.deepStrictEqual(yield* store.schedule([task]), made)
      assert.deepStrictEqual(yield* tagsOf(task.taskId), ["TaskScheduled", "TaskCancelled"])
    })
  )
}
