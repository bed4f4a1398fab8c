import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { priorities } from "../../../src/core/Priority.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  newEventId,
  newTask,
  only,
  running,
  scheduled,
  servedKind,
  start,
  stateOf,
  StoreControl,
  storeNowMs,
  tagsOf,
  type Law
} from "./world.ts"

const hourMs = 3_600_000

export const claimLaws = (law: Law): void => {
  law("a claim puts the task in progress under the session, its event the fence", () =>
    Effect.gen(function* () {
      const session = yield* Session
      const kind = yield* servedKind()
      const { dueAtMs, taskId } = yield* scheduled(kind, { priority: "high" })
      const task = only((yield* claim([kind])).tasks)
      const state = yield* stateOf(taskId)
      assert.deepStrictEqual(task, {
        taskId,
        kind,
        priority: "high",
        dueAtMs,
        fence: { version: 2, eventId: state.eventId },
        isSuspect: false
      })
      assert.deepStrictEqual([state.stage, state.sessionId], ["claimed", session.id()])
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
    })
  )

  law("only the kinds asked for are claimed", () =>
    Effect.gen(function* () {
      const [one, two, three] = [yield* servedKind(), yield* servedKind(), yield* servedKind()]
      yield* Effect.forEach([one, two, three], (kind) => scheduled(kind))
      const { tasks } = yield* claim([one, three])
      assert.deepStrictEqual(tasks.map(({ kind }) => kind).toSorted(), [one, three].toSorted())
      assert.deepStrictEqual((yield* claim([])).tasks, [])
    })
  )

  law("the most urgent priority comes first, within it the oldest due of all kinds", () =>
    Effect.gen(function* () {
      const kinds = [yield* servedKind(), yield* servedKind()]
      const nowMs = yield* storeNowMs
      const expected: Array<string> = []
      for (const priority of priorities) {
        for (const [place, kind] of [...kinds, ...kinds].entries()) {
          // The least urgent are the oldest: due time alone would turn the order around.
          const dueAtMs = nowMs - 10_000 * (priorities.indexOf(priority) + 1) + place
          expected.push((yield* scheduled(kind, { priority, dueAtMs })).taskId)
        }
      }
      const order: Array<string> = []
      for (let turn = 0; turn < expected.length; turn++) {
        order.push(only((yield* claim(kinds, { limit: 1 })).tasks).taskId)
      }
      assert.deepStrictEqual(order, expected)
    })
  )

  law("a claim takes as many as its limit, and those are the first", () =>
    Effect.gen(function* () {
      const kinds = [yield* servedKind(), yield* servedKind()]
      const nowMs = yield* storeNowMs
      const ids: Array<string> = []
      for (let place = 0; place < 6; place++) {
        const priority = place < 2 ? "critical" : "low"
        const dueAtMs = nowMs - 5_000 + place
        ids.push((yield* scheduled(kinds[place % 2] ?? "", { priority, dueAtMs })).taskId)
      }
      const { tasks } = yield* claim(kinds, { limit: 4 })
      assert.deepStrictEqual(new Set(tasks.map(({ taskId }) => taskId)), new Set(ids.slice(0, 4)))
    })
  )

  law("a claim of named priorities takes and looks at those lanes only", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      yield* scheduled(kind, { priority: "high" })
      yield* scheduled(kind, { priority: "low" })
      const { taskId } = yield* scheduled(kind, { priority: "critical" })
      const { nextDueAtMs, tasks } = yield* claim([kind], { priorities: ["critical"] })
      assert.deepStrictEqual(
        tasks.map((task) => task.taskId),
        [taskId]
      )
      assert.isNull(nextDueAtMs)
      assert.strictEqual((yield* claim([kind], { priorities: ["low", "high"] })).tasks.length, 2)
    })
  )

  law("what claims of other kinds and lanes find nothing of is found by the claim that asks for it", () =>
    Effect.gen(function* () {
      const [kind, other] = [yield* servedKind(), yield* servedKind()]
      // Well behind the place where a store may have stopped looking for what others asked for.
      const { taskId } = yield* scheduled(kind, { dueInMs: -60_000, priority: "low" })
      assert.deepStrictEqual((yield* claim([other])).tasks, [])
      assert.deepStrictEqual((yield* claim([kind, other], { priorities: ["critical"] })).tasks, [])
      assert.deepStrictEqual(
        (yield* claim([kind])).tasks.map((task) => task.taskId),
        [taskId]
      )
    })
  )

  law("the look-ahead is claimed, what lies behind it waits", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const inside = yield* scheduled(kind, { dueInMs: hourMs })
      yield* scheduled(kind, { dueInMs: 3 * hourMs })
      assert.deepStrictEqual((yield* claim([kind])).tasks, [])
      const { tasks } = yield* claim([kind], { lookAheadMs: 2 * hourMs })
      assert.deepStrictEqual(
        tasks.map(({ dueAtMs, taskId }) => [taskId, dueAtMs]),
        [[inside.taskId, inside.dueAtMs]]
      )
    })
  )

  law("the next due time is the earliest one left, in the past when the limit cut the claim", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const nowMs = yield* storeNowMs
      yield* scheduled(kind, { dueAtMs: nowMs - 3_000, priority: "low" })
      const second = yield* scheduled(kind, { dueAtMs: nowMs - 2_000, priority: "low" })
      const future = yield* scheduled(kind, { dueAtMs: nowMs + hourMs })
      assert.strictEqual((yield* claim([kind], { limit: 1 })).nextDueAtMs, second.dueAtMs)
      assert.strictEqual((yield* claim([kind], { limit: 1 })).nextDueAtMs, future.dueAtMs)
      assert.isNull((yield* claim([kind], { lookAheadMs: 2 * hourMs })).nextDueAtMs)
    })
  )

  law("two sessions that claim at the same time share the tasks without overlap", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const tasks = yield* Effect.forEach(Array.from({ length: 60 }), () => newTask(kind))
      yield* store.schedule(tasks)
      const sessions = [(yield* Session).id(), yield* (yield* StoreControl).secondSession]
      const claims = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, turn) => sessions[turn % 2] ?? 0),
        (sessionId) => claim([kind], { sessionId, limit: 5 }),
        { concurrency: "unbounded" }
      )
      const rest = yield* claim([kind])
      const ids = [...claims.flatMap((answer) => answer.tasks), ...rest.tasks].map(({ taskId }) => taskId)
      assert.strictEqual(ids.length, tasks.length)
      assert.deepStrictEqual(new Set(ids), new Set(tasks.map(({ taskId }) => taskId)))
    })
  )

  law("a session whose lease has passed claims nothing", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* servedKind()
      const { taskId } = yield* scheduled(kind)
      const sessionId = yield* control.secondSession
      yield* control.killSession(sessionId)
      assert.deepStrictEqual((yield* claim([kind], { sessionId })).tasks, [])
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled"])
    })
  )

  law("a claim of a session whose lease has passed hides nothing from the next one", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* servedKind()
      // Further back than a claim looks behind what it has seen.
      const task = yield* scheduled(kind, { dueInMs: -60_000 })
      const sessionId = yield* control.secondSession
      yield* control.killSession(sessionId)
      yield* claim([kind], { sessionId })
      assert.deepStrictEqual(
        (yield* claim([kind])).tasks.map(({ taskId }) => taskId),
        [task.taskId]
      )
    })
  )

  law("the claims of a session can be found until they are started, the due ones first", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const sessionId = yield* (yield* StoreControl).secondSession
      const kind = yield* servedKind()
      const nowMs = yield* storeNowMs
      for (const dueAtMs of [nowMs - 3_000, nowMs - 2_000, nowMs + hourMs]) yield* scheduled(kind, { dueAtMs })
      const { tasks } = yield* claim([kind], { sessionId, lookAheadMs: 2 * hourMs })
      const all = yield* store.claimedBy(sessionId, nowMs + 2 * hourMs, 10)
      assert.deepStrictEqual(byId(all), byId(tasks))
      const due = yield* store.claimedBy(sessionId, nowMs, 10)
      assert.deepStrictEqual(
        due.map(({ dueAtMs }) => dueAtMs),
        [nowMs - 3_000, nowMs - 2_000]
      )
      assert.strictEqual((yield* store.claimedBy(sessionId, nowMs + 2 * hourMs, 1)).length, 1)
      for (const task of due) yield* start(task, { sessionId })
      assert.deepStrictEqual(yield* store.claimedBy(sessionId, nowMs, 10), [])
    })
  )

  law("a released claim is pending again with its due time, and the old fence moves nothing", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const task = yield* claimed(kind)
      const { fence, taskId } = task
      const eventId = yield* newEventId
      const request = { taskId, fence, eventId, reason: "drained" } as const
      assert.deepStrictEqual(yield* store.release([request]), ["Released"])
      assert.deepStrictEqual(yield* store.release([request]), ["Released"])
      assert.deepStrictEqual(yield* store.release([{ ...request, eventId: yield* newEventId }]), ["Lost"])
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskClaimed", "ClaimReleased"])
      const { attempt, charged, dueAtMs, stage } = yield* stateOf(taskId)
      assert.deepStrictEqual(
        { attempt, charged, dueAtMs, stage },
        { attempt: 0, charged: 0, dueAtMs: task.dueAtMs, stage: "pending" }
      )
      assert.strictEqual((yield* start(task))._tag, "Lost")
      assert.strictEqual(only((yield* claim([kind])).tasks).fence.version, 4)
    })
  )

  law("a started task cannot be released, nor one of another fence, nor one that does not exist", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { fence, taskId } = yield* running(kind)
      const held = yield* claimed(kind)
      const unknown = yield* newTask(kind)
      const answers = yield* store.release([
        { taskId, fence, eventId: yield* newEventId, reason: "drained" },
        { taskId: held.taskId, fence, eventId: yield* newEventId, reason: "drained" },
        { taskId: unknown.taskId, fence, eventId: yield* newEventId, reason: "drained" },
        { taskId: held.taskId, fence: held.fence, eventId: yield* newEventId, reason: "unserved" }
      ])
      assert.deepStrictEqual(answers, ["Lost", "Lost", "Lost", "Released"])
    })
  )

  law("a claimed task that somebody moves is lost to its claimer", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind, { priority: "low" })
      yield* act(task.taskId, { _tag: "Reprioritise", priority: "critical" })
      assert.strictEqual((yield* start(task))._tag, "Lost")
      const again = only((yield* claim([kind])).tasks)
      assert.deepStrictEqual([again.priority, again.fence.version], ["critical", 4])
      assert.strictEqual((yield* start(again))._tag, "Started")
    })
  )
}

const byId = <A extends { readonly taskId: string }>(tasks: ReadonlyArray<A>): ReadonlyArray<A> =>
  tasks.toSorted((one, other) => (one.taskId < other.taskId ? -1 : 1))
