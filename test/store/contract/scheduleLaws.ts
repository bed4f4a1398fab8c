import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Json } from "../../../src/core/TaskEvent.ts"
import { batchSizeMax, TaskStore } from "../../../src/store/TaskStore.ts"
import { claim, newTask, only, scheduled, servedKind, stateOf, tagsOf, unservedKind, type Law } from "./world.ts"

const tenYearsMs = 10 * 365 * 86_400_000

export const scheduleLaws = (law: Law): void => {
  law("answers come in the order of the request", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const tasks = yield* Effect.forEach([3_000, 1_000, 2_000], (dueInMs) => newTask(kind, { dueInMs }))
      const answers = yield* store.schedule(tasks)
      assert.deepStrictEqual(
        answers,
        tasks.map(({ taskId }) => ({ _tag: "Created", taskId }))
      )
    })
  )

  law("a scheduled task is pending at version 1 with everything it was given", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { dueAtMs, eventId, taskId } = yield* scheduled(kind, {
        priority: "high",
        key: "a key",
        payload: { amount: 7 },
        dueInMs: 90_000
      })
      const event = only(yield* store.history(taskId))
      assert.isNumber(event.atMs)
      assert.deepStrictEqual(event, {
        _tag: "TaskScheduled",
        taskId,
        version: 1,
        eventId,
        atMs: event.atMs,
        kind,
        priority: "high",
        dueAtMs,
        key: "a key",
        payload: { amount: 7 }
      })
      const { tasks } = yield* store.find({ stage: "pending", kind, limit: 10 })
      assert.deepStrictEqual(tasks, [yield* stateOf(taskId)])
    })
  )

  law("an empty batch is answered with nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* (yield* TaskStore).schedule([]), [])
    })
  )

  law("ten years ahead can be scheduled", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { dueAtMs, taskId } = yield* scheduled(kind, { dueInMs: tenYearsMs })
      assert.strictEqual((yield* stateOf(taskId)).dueAtMs, dueAtMs)
    })
  )

  law("a key used before with an equal payload answers the first task", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const payload: Json = { a: 1, b: { c: [1, 2], d: null } }
      const { taskId } = yield* scheduled(kind, { key: "once", payload })
      const reordered: Json = { b: { d: null, c: [1, 2] }, a: 1 }
      const again = yield* newTask(kind, { key: "once", payload: reordered, dueInMs: 5_000, priority: "low" })
      assert.deepStrictEqual(yield* store.schedule([again]), [{ _tag: "Existing", taskId }])
      const unknown = yield* Effect.flip(store.history(again.taskId))
      assert.strictEqual(unknown._tag, "TaskNotFound")
    })
  )

  law("a key used before with another payload is a conflict and schedules nothing", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { key: "once", payload: { list: [1, 2] } })
      const other = yield* newTask(kind, { key: "once", payload: { list: [2, 1] } })
      assert.deepStrictEqual(yield* store.schedule([other]), [{ _tag: "KeyConflict", taskId }])
      assert.strictEqual((yield* store.find({ stage: "pending", kind, limit: 10 })).tasks.length, 1)
    })
  )

  law("the same key of two kinds names two tasks", () =>
    Effect.gen(function* () {
      const one = yield* servedKind()
      const other = yield* servedKind()
      yield* scheduled(one, { key: "same" })
      yield* scheduled(other, { key: "same" })
    })
  )

  law("a key used twice in one batch schedules the first only", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const first = yield* newTask(kind, { key: "k", payload: 1 })
      const equal = yield* newTask(kind, { key: "k", payload: 1 })
      const conflicting = yield* newTask(kind, { key: "k", payload: 2 })
      const { taskId } = first
      assert.deepStrictEqual(yield* store.schedule([first, equal, conflicting]), [
        { _tag: "Created", taskId },
        { _tag: "Existing", taskId },
        { _tag: "KeyConflict", taskId }
      ])
    })
  )

  law("a conflict in a batch leaves the other tasks scheduled", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind, { key: "taken", payload: 1 })
      const conflicting = yield* newTask(kind, { key: "taken", payload: 2 })
      const other = yield* newTask(kind, { key: "free" })
      assert.deepStrictEqual(yield* store.schedule([conflicting, other]), [
        { _tag: "KeyConflict", taskId },
        { _tag: "Created", taskId: other.taskId }
      ])
      assert.deepStrictEqual(yield* tagsOf(other.taskId), ["TaskScheduled"])
    })
  )

  law("of many schedulers with one key exactly one creates the task", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const tasks = yield* Effect.forEach(Array.from({ length: 8 }), () => newTask(kind, { key: "race" }))
      const answers = yield* Effect.forEach(tasks, (task) => store.schedule([task]), { concurrency: "unbounded" })
      const tags = answers.flat().map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags.toSorted(), ["Created", ...Array.from({ length: 7 }, () => "Existing")])
      assert.strictEqual(new Set(answers.flat().map(({ taskId }) => taskId)).size, 1)
    })
  )

  law("a repeated request answers as the first time and appends nothing", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const plain = yield* newTask(kind)
      const keyed = yield* newTask(kind, { key: "k" })
      const answers = yield* store.schedule([plain, keyed])
      assert.deepStrictEqual(yield* store.schedule([plain, keyed]), answers)
      assert.deepStrictEqual(yield* tagsOf(plain.taskId), ["TaskScheduled"])
      assert.deepStrictEqual(yield* tagsOf(keyed.taskId), ["TaskScheduled"])
    })
  )

  law("an id that has a stream already is an existing task, whoever asks", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { dueAtMs, taskId } = yield* scheduled(kind)
      const sameOccurrence = yield* newTask(kind, { taskId, dueAtMs })
      assert.deepStrictEqual(yield* store.schedule([sameOccurrence]), [{ _tag: "Existing", taskId }])
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled"])
    })
  )

  law("a batch tells which of its ids had streams already, and schedules the others", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const repeated = yield* newTask(kind)
      const taken = yield* newTask(kind, { dueInMs: 172_800_000 })
      yield* store.schedule([repeated, taken])
      const others = yield* newTask(kind, { taskId: taken.taskId, dueAtMs: taken.dueAtMs })
      const fresh = yield* newTask(kind, { dueInMs: 86_400_000 })
      assert.deepStrictEqual(yield* store.schedule([others, fresh, repeated]), [
        { _tag: "Existing", taskId: taken.taskId },
        { _tag: "Created", taskId: fresh.taskId },
        { _tag: "Created", taskId: repeated.taskId }
      ])
      for (const { taskId } of [repeated, taken, fresh])
        assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled"])
    })
  )

  law("a kind that nobody has announced waits, visible", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* unservedKind
      const served = yield* servedKind()
      const { taskId } = yield* scheduled(kind)
      assert.deepStrictEqual((yield* claim([served])).tasks, [])
      const { tasks } = yield* store.find({ stage: "pending", kind, limit: 10 })
      assert.deepStrictEqual(
        tasks.map((task) => task.taskId),
        [taskId]
      )
    })
  )

  law("strings are data, whatever they hold", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      for (const text of hostileStrings) {
        const task = yield* scheduled(kind, { key: text, payload: { [text]: text } })
        const [event] = yield* store.history(task.taskId)
        assert.deepStrictEqual(event?._tag === "TaskScheduled" && [event.key, event.payload], [text, { [text]: text }])
        const again = yield* newTask(kind, { key: text, payload: { [text]: text } })
        assert.deepStrictEqual(yield* store.schedule([again]), [{ _tag: "Existing", taskId: task.taskId }])
      }
    })
  )
}

/** Last of all laws, since every audit after it reads a thousand streams more. */
export const largeBatchLaws = (law: Law): void => {
  law("a batch of the largest size is scheduled whole", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* unservedKind
      const first = yield* newTask(kind, { dueInMs: tenYearsMs })
      const tasks = yield* Effect.forEach(Array.from({ length: batchSizeMax }), () =>
        newTask(kind, { dueAtMs: first.dueAtMs })
      )
      const answers = yield* store.schedule(tasks)
      assert.strictEqual(answers.filter(({ _tag }) => _tag === "Created").length, batchSizeMax)
      const { tasks: found } = yield* store.find({ stage: "pending", kind, limit: batchSizeMax })
      assert.deepStrictEqual(new Set(found.map(({ taskId }) => taskId)), new Set(tasks.map(({ taskId }) => taskId)))
    })
  )
}

const hostileStrings: ReadonlyArray<string> = [
  "'; DROP TABLE event; --",
  'a "quoted" \\ back\\slash',
  "$1 $$ %s ${x} {}",
  "line\nbreak\ttab\r\u0001",
  "👩‍👩‍👧‍👦 emoji",
  "مرحبا \u202eright to left",
  "zero\u200bwidth \ufeff",
  "{1,2,NULL}",
  " ",
  "NULL"
]
