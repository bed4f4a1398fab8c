import { assert } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore, type PauseTarget } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  finished,
  newEventId,
  newTask,
  only,
  running,
  scheduled,
  servedKind,
  start,
  startedOf,
  stateOf,
  succeed,
  tagsOf,
  unservedKind,
  type Law
} from "./world.ts"

export const pauseLaws = (law: Law): void => {
  for (const by of ["Kind", "Queue"] as const) {
    const target = (kind: string): PauseTarget =>
      by === "Kind" ? { _tag: by, kind } : { _tag: by, queue: `${kind}.q` }
    const servedInQueue = Effect.gen(function* () {
      const kind = yield* unservedKind
      yield* (yield* Session).serve([{ ...defaultKindPolicy(kind), queue: `${kind}.q` }])
      return kind
    })
    const name = by.toLowerCase()

    law(`nothing of a paused ${name} is claimed, started or pulled until it is resumed; the rest goes on`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const other = yield* servedKind()
        const kind = yield* servedInQueue
        const held = yield* claimed(kind)
        const waiting = yield* scheduled(kind)
        const free = yield* scheduled(other)
        yield* store.pause(target(kind), true)
        const during = yield* claim([kind, other])
        assert.deepStrictEqual(
          during.tasks.map(({ taskId }) => taskId),
          [free.taskId]
        )
        assert.isNull((yield* claim([kind])).nextDueAtMs)
        assert.strictEqual((yield* start(held))._tag, "Lost")
        assert.strictEqual((yield* start(only(during.tasks)))._tag, "Started")
        const request = { kinds: [kind], overdueMs: 0, limit: 10, fromLowest: 5, suspectsMax: 1 }
        assert.deepStrictEqual(yield* store.pull(request), [])
        assert.deepStrictEqual(yield* tagsOf(held.taskId), ["TaskScheduled", "TaskClaimed"])
        yield* store.pause(target(kind), false)
        assert.deepStrictEqual(yield* store.pull(request), [held])
        assert.strictEqual((yield* start(held))._tag, "Started")
        assert.strictEqual(only((yield* claim([kind])).tasks).taskId, waiting.taskId)
      })
    )

    law(`what a paused ${name} has started goes on, and repeating its start answers as before`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedInQueue
        const task = yield* claimed(kind)
        const eventId = yield* newEventId
        const started = startedOf(yield* start(task, { eventId }))
        yield* store.pause(target(kind), true)
        assert.deepStrictEqual(yield* start(task, { eventId }), started)
        yield* finished(started, succeed, "succeeded")
      })
    )

    law(`whether a ${name} is paused is told with its kinds, however often it was paused`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedInQueue
        const isPaused = Effect.map(store.kinds, (records) =>
          records.flatMap((record) => (record.policy.kind === kind ? [record.isPaused] : []))
        )
        for (const wanted of [false, true, true, false, false]) {
          yield* store.pause(target(kind), wanted)
          assert.deepStrictEqual(yield* isPaused, [wanted])
        }
      })
    )

    law(`resuming a ${name} wakes those that listen, with what has become due`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedInQueue
        yield* store.pause(target(kind), true)
        const { dueAtMs, taskId } = yield* scheduled(kind, { dueInMs: -30_000 })
        assert.deepStrictEqual((yield* claim([kind])).tasks, [])
        const wakeUps = yield* store.wakeUps
        yield* store.pause(target(kind), false)
        let woken = yield* Queue.take(wakeUps)
        while (woken !== dueAtMs) woken = yield* Queue.take(wakeUps)
        // At once, though a claim has looked past it while it was paused.
        assert.strictEqual(only((yield* claim([kind])).tasks).taskId, taskId)
      })
    )
  }

  law("a kind in a paused queue stays paused when only one of the two is resumed", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* unservedKind
      const queue = `${kind}.q`
      yield* (yield* Session).serve([{ ...defaultKindPolicy(kind), queue }])
      const task = yield* scheduled(kind)
      yield* store.pause({ _tag: "Kind", kind }, true)
      yield* store.pause({ _tag: "Queue", queue }, true)
      yield* store.pause({ _tag: "Kind", kind }, false)
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
      yield* store.pause({ _tag: "Kind", kind }, true)
      yield* store.pause({ _tag: "Queue", queue }, false)
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
      yield* store.pause({ _tag: "Kind", kind }, false)
      assert.strictEqual(only((yield* claim([kind])).tasks).taskId, task.taskId)
    })
  )

  law("a kind that nobody has named can be paused, and is still so when its tasks and workers come", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* unservedKind
      yield* store.pause({ _tag: "Kind", kind }, true)
      const record = (yield* store.kinds).find(({ policy }) => policy.kind === kind)
      assert.deepStrictEqual(record, {
        policy: defaultKindPolicy(kind),
        known: false,
        liveSessions: 0,
        isPaused: true
      })
      yield* scheduled(kind)
      yield* (yield* Session).serve([defaultKindPolicy(kind)])
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
    })
  )

  law("a queue that nobody serves can be paused, and the kinds that come to it are", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const [kind, moving] = [yield* unservedKind, yield* unservedKind]
      const queue = `${kind}.q`
      yield* store.pause({ _tag: "Queue", queue }, true)
      yield* (yield* Session).serve([{ ...defaultKindPolicy(kind), queue }, defaultKindPolicy(moving)])
      yield* scheduled(kind)
      const task = yield* scheduled(moving)
      assert.strictEqual(only((yield* claim([kind, moving])).tasks).taskId, task.taskId)
      yield* (yield* Session).serve([{ ...defaultKindPolicy(moving), queue }])
      yield* scheduled(moving)
      assert.deepStrictEqual((yield* claim([kind, moving])).tasks, [])
    })
  )

  law("of starts and a pause at once, none begins that is asked for after the pause has answered", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      yield* store.schedule(yield* Effect.forEach(Array.from({ length: 40 }), () => newTask(kind)))
      const { tasks } = yield* claim([kind])
      let isAnswered = false
      const answers: Array<string> = []
      const pausing = Effect.gen(function* () {
        while (answers.length < 10) yield* Effect.yieldNow
        yield* store.pause({ _tag: "Kind", kind }, true)
        isAnswered = true
      })
      const starting = Effect.forEach(
        tasks,
        (task) =>
          Effect.gen(function* () {
            const isAskedAfter = isAnswered
            const answer = yield* start(task)
            if (isAskedAfter) assert.strictEqual(answer._tag, "Lost")
            answers.push(answer._tag)
            yield* Effect.yieldNow
          }),
        { concurrency: 4 }
      )
      yield* Effect.all([pausing, starting], { concurrency: "unbounded" })
      assert.deepStrictEqual([answers[0], answers.at(-1)], ["Started", "Lost"])
    })
  )

  law("a start before due of a paused kind is lost, not too early", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const task = yield* claimed(kind, { dueInMs: 3_600_000 })
      assert.strictEqual((yield* start(task))._tag, "TooEarly")
      yield* store.pause({ _tag: "Kind", kind }, true)
      assert.strictEqual((yield* start(task))._tag, "Lost")
    })
  )

  law("a claim of a paused kind can be given back as paused, and wishes are granted as ever", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const [given, held] = [yield* claimed(kind), yield* claimed(kind)]
      const attempt = yield* running(kind)
      const waiting = yield* scheduled(kind)
      yield* store.pause({ _tag: "Kind", kind }, true)
      const eventId = yield* newEventId
      const { fence, taskId } = given
      assert.deepStrictEqual(yield* store.release([{ taskId, fence, eventId, reason: "paused" }]), ["Released"])
      const last = (yield* store.history(taskId)).at(-1)
      assert.strictEqual(last?._tag === "ClaimReleased" ? last.reason : last?._tag, "paused")
      yield* act(taskId, { _tag: "Reprioritise", priority: "low" })
      yield* act(held.taskId, { _tag: "Reschedule", dueAtMs: waiting.dueAtMs + 60_000 })
      yield* act(waiting.taskId, { _tag: "Cancel", reason: null })
      const stages = yield* Effect.forEach([taskId, held.taskId, waiting.taskId, attempt.taskId], (id) =>
        Effect.map(stateOf(id), ({ stage }) => stage)
      )
      assert.deepStrictEqual(stages, ["pending", "pending", "cancelled", "running"])
    })
  )
}
