import { assert } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import type { Stage } from "../../../src/core/TaskState.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  allStreams,
  claimed,
  failure,
  finish,
  only,
  running,
  scheduled,
  servedKind,
  start,
  stateOf,
  storeNowMs,
  succeed,
  unservedKind,
  type Law
} from "./world.ts"

export const readLaws = (law: Law): void => {
  law("a history is the whole stream in the order of its versions", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind, { payload: { a: [1] } })
      yield* finish(started, { _tag: "Succeed", result: "done" })
      const events = yield* store.history(started.taskId)
      assert.deepStrictEqual(
        events.map(({ _tag, version }) => [version, _tag]),
        [
          [1, "TaskScheduled"],
          [2, "TaskClaimed"],
          [3, "AttemptStarted"],
          [4, "AttemptSucceeded"]
        ]
      )
      assert.isTrue(events.every((event) => event.taskId === started.taskId))
      assert.strictEqual(new Set(events.map((event) => event.eventId)).size, 4)
    })
  )

  law("the tasks of every stage can be paged without loss or repeat, by kind", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ onInterrupted: "park" })
      yield* servedKind()
      const other = yield* unservedKind
      yield* scheduled(other)
      const expected = yield* oneOfEachStage(kind, 5)
      for (const [stage, ids] of expected) {
        const found: Array<string> = []
        let after: string | undefined
        for (;;) {
          const page = yield* store.find({ stage, kind, after, limit: 2 })
          assert.isAtMost(page.tasks.length, 2)
          for (const task of page.tasks) {
            assert.deepStrictEqual(task, yield* stateOf(task.taskId))
            found.push(task.taskId)
          }
          if (page.next === null) break
          after = page.next
        }
        assert.strictEqual(found.length, 5, stage)
        assert.deepStrictEqual(new Set(found), new Set(ids), stage)
      }
    })
  )

  law("without a kind the tasks of all kinds are found", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const [one, two] = [yield* servedKind(), yield* servedKind()]
      const ids = [(yield* running(one)).taskId, (yield* running(two)).taskId]
      const { tasks } = yield* store.find({ stage: "running", limit: 1_000 })
      assert.includeMembers(
        tasks.map(({ taskId }) => taskId),
        ids
      )
      assert.deepStrictEqual(yield* store.find({ stage: "running", kind: yield* unservedKind, limit: 5 }), {
        tasks: [],
        next: null
      })
    })
  )

  law("streams are paged in the order of their ids without loss or repeat", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const ids = yield* Effect.forEach(Array.from({ length: 7 }), (_, place) =>
        Effect.map(scheduled(kind, { dueInMs: place * 86_400_000 }), ({ taskId }) => taskId)
      )
      const inOnePage = (yield* allStreams()).map(({ taskId }) => taskId)
      const inPages = (yield* allStreams(3)).map(({ taskId }) => taskId)
      assert.deepStrictEqual(inPages, inOnePage)
      assert.deepStrictEqual(inPages, inPages.toSorted())
      assert.strictEqual(new Set(inPages).size, inPages.length)
      assert.includeMembers(inPages, ids)
    })
  )

  law("a stream carries the projection row of its task, an ended task but a dead letter none", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ onInterrupted: "park" })
      const expected = yield* oneOfEachStage(kind, 1)
      const streams = yield* allStreams()
      for (const [stage, ids] of expected) {
        const { events, projections } = only(streams.filter(({ taskId }) => ids.includes(taskId)))
        const { attempt, charged, dueAtMs, priority, taskId, version } = yield* stateOf(only(ids))
        const row = { stage, kind, priority, dueAtMs, version, attempt, charged }
        assert.deepStrictEqual(projections, stage === "succeeded" || stage === "cancelled" ? [] : [row])
        assert.deepStrictEqual(events, yield* (yield* TaskStore).history(taskId))
      }
    })
  )

  law("a kind's backlog counts what is due, in progress, parked and dead", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind({ onInterrupted: "park" })
      yield* oneOfEachStage(kind, 2)
      const nowMs = yield* storeNowMs
      const oldest = yield* scheduled(kind, { dueAtMs: nowMs - 60_000, priority: "low" })
      yield* scheduled(kind, { dueAtMs: nowMs - 30_000, priority: "critical" })
      yield* scheduled(kind, { dueInMs: 3_600_000 })
      const row = only((yield* store.backlog).filter((one) => one.kind === kind))
      assert.deepStrictEqual(row, {
        kind,
        dueCount: 4,
        oldestDueAtMs: oldest.dueAtMs,
        inProgressCount: 4,
        parkedCount: 2,
        deadCount: 2
      })
    })
  )

  law("a kind with nothing due has no oldest due time", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      yield* scheduled(kind, { dueInMs: 3_600_000 })
      const row = (yield* (yield* TaskStore).backlog).find((one) => one.kind === kind)
      assert.deepStrictEqual([row?.dueCount ?? 0, row?.oldestDueAtMs ?? null], [0, null])
    })
  )

  law("kinds carry the announced policy and who serves them; a kind only scheduled is unknown", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const session = yield* Session
      const unknown = yield* unservedKind
      yield* scheduled(unknown)
      const one = yield* unservedKind
      const two = yield* unservedKind
      const policy = {
        ...defaultKindPolicy(one),
        queue: "billing",
        retry: { attemptsMax: 4, delay: { _tag: "Listed", delaysMs: [1, 10, 100] }, jitter: "full" },
        timeoutMs: 5_000,
        dueJitter: { fromMs: 1_000, toMs: 5_000 },
        onInterrupted: "park"
      } as const
      yield* session.serve([policy, defaultKindPolicy(two)])
      const kinds = yield* store.kinds
      const recordOf = (kind: string) => kinds.find((record) => record.policy.kind === kind)
      assert.deepStrictEqual(recordOf(one), { policy, known: true, liveSessions: 1, isPaused: false })
      const other = { policy: defaultKindPolicy(two), known: true, liveSessions: 1, isPaused: false }
      assert.deepStrictEqual(recordOf(two), other)
      const { known, liveSessions } = recordOf(unknown) ?? {}
      assert.deepStrictEqual([known, liveSessions], [false, 0])
    })
  )

  law("an announcement replaces the one before, and a changed policy the old one", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const session = yield* Session
      const [one, two] = [yield* unservedKind, yield* unservedKind]
      yield* session.serve([defaultKindPolicy(one), defaultKindPolicy(two)])
      assert.deepStrictEqual(session.ownKinds().toSorted(), [one, two].toSorted())
      const changed = { ...defaultKindPolicy(two), timeoutMs: 1_234 }
      yield* session.serve([changed])
      assert.deepStrictEqual(session.ownKinds(), [two])
      const records = yield* store.kinds
      assert.deepStrictEqual(records.find(({ policy }) => policy.kind === two)?.policy, changed)
      assert.strictEqual(records.find(({ policy }) => policy.kind === one)?.liveSessions, 0)
      assert.strictEqual(records.find(({ policy }) => policy.kind === two)?.liveSessions, 1)
    })
  )

  law("whoever listens in the process is told once of new own kinds, and not of the same ones again", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const session = yield* Session
        const [one, two] = [defaultKindPolicy(yield* unservedKind), defaultKindPolicy(yield* unservedKind)]
        yield* session.serve([one])
        const news = yield* session.newOwnKinds
        const tellings = Effect.map(Queue.clear(news), (told) => told.length)
        yield* session.serve([one])
        assert.strictEqual(yield* tellings, 0)
        yield* session.serve([one, two])
        yield* session.serve([two])
        assert.strictEqual(yield* tellings, 1)
        yield* session.serve([one, two])
        assert.strictEqual(yield* tellings, 1)
      })
    )
  )

  law("who schedules wakes those that listen, with the due time", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const wakeUps = yield* store.wakeUps
      const task = yield* scheduled(kind, { dueInMs: 1_500 })
      // Other tests' wake-ups may come first; one that never comes is a failure by the test's own time limit.
      let woken = yield* Queue.take(wakeUps)
      while (woken !== task.dueAtMs) woken = yield* Queue.take(wakeUps)
      assert.strictEqual(woken, task.dueAtMs)
    })
  )

  law("maintaining may be repeated by anyone at any time", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      yield* Effect.all([store.maintain, store.maintain, store.maintain], { concurrency: "unbounded" })
      assert.deepStrictEqual((yield* store.maintain).dropped, [])
    })
  )
}

/** `count` tasks of a kind that parks in every stage. */
const oneOfEachStage = Effect.fnUntraced(function* (kind: string, count: number) {
  const store = yield* TaskStore
  const ids = new Map<Stage, Array<string>>()
  for (let place = 0; place < count; place++) {
    const parked = yield* start(yield* claimed(kind), { timeoutMs: 0 })
    yield* store.expire(1_000)
    const dead = yield* running(kind)
    yield* finish(dead, { ...failure, retryable: false })
    const succeeded = yield* running(kind)
    yield* finish(succeeded, succeed)
    const cancelled = yield* scheduled(kind)
    yield* act(cancelled.taskId, { _tag: "Cancel", reason: null })
    const inProgress = yield* running(kind)
    const held = yield* claimed(kind)
    if (parked._tag !== "Started") throw new Error(`was ${parked._tag}`)
    for (const [stage, task] of [
      ["parked", parked],
      ["dead", dead],
      ["succeeded", succeeded],
      ["cancelled", cancelled],
      ["running", inProgress],
      ["claimed", held]
    ] as const) {
      ids.set(stage, [...(ids.get(stage) ?? []), task.taskId])
    }
  }
  // Last, since every step above claims whatever is pending.
  const pending = yield* Effect.forEach(Array.from({ length: count }), () => scheduled(kind))
  return ids.set(
    "pending",
    pending.map(({ taskId }) => taskId)
  )
})
