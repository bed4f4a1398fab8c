import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { canonicalJson } from "../../../src/core/canonicalJson.ts"
import type { Json } from "../../../src/core/TaskEvent.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claimed,
  finish,
  newEventId,
  newTask,
  nextAttempt,
  only,
  running,
  scheduled,
  servedKind,
  start,
  startedOf,
  stateOf,
  storeNowMs,
  StoreControl,
  tagsOf,
  type Law
} from "./world.ts"

export const startLaws = (law: Law): void => {
  law("a start answers everything an attempt needs, as its event says", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const session = yield* Session
      const kind = yield* servedKind()
      const { dueAtMs, fence, taskId } = yield* claimed(kind, { priority: "high", payload: { n: 1 } })
      const eventId = yield* newEventId
      const request = { taskId, fence, eventId, timeoutMs: 30_000, dispatchedAtMs: dueAtMs + 1 }
      const started = startedOf(only(yield* store.start(session.id(), [request])))
      const event = (yield* store.history(taskId)).at(-1)
      assert.deepStrictEqual(event, {
        _tag: "AttemptStarted",
        taskId,
        version: 3,
        eventId,
        atMs: started.startedAtMs,
        attempt: 1,
        sessionId: session.id(),
        deadlineAtMs: started.deadlineAtMs,
        dispatchedAtMs: dueAtMs + 1
      })
      assert.approximately(started.deadlineAtMs - started.startedAtMs, 30_000, 0.01)
      const { deadlineAtMs, startedAtMs, ...rest } = started
      assert.isAtLeast(startedAtMs, dueAtMs)
      assert.isAbove(deadlineAtMs, startedAtMs)
      assert.deepStrictEqual(rest, {
        _tag: "Started",
        taskId,
        kind,
        priority: "high",
        dueAtMs,
        attempt: 1,
        charged: 1,
        fence: { version: 3, eventId },
        payload: { n: 1 },
        followed: false
      })
      const state = yield* stateOf(taskId)
      assert.deepStrictEqual([state.stage, state.attempt, state.charged], ["running", 1, 1])
    })
  )

  law("a payload comes back as it was given", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      for (const payload of payloads) {
        const started = yield* running(kind, { payload })
        assert.strictEqual(canonicalJson(started.payload), canonicalJson(payload))
      }
    })
  )

  law("a key named __proto__ is plain data", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const payload: Json = JSON.parse(`{"__proto__": {"isAdmin": true}, "constructor": 1, "toString": null}`)
      const started = yield* running(kind, { payload })
      assert.deepStrictEqual(Object.keys(started.payload ?? {}).toSorted(), ["__proto__", "constructor", "toString"])
      assert.notProperty(new Object(started.payload), "isAdmin")
    })
  )

  law("nothing starts before it is due, and being early costs neither the claim nor an attempt", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind, { dueInMs: 3_600_000 })
      const early = yield* start(task)
      if (early._tag !== "TooEarly") throw new Error(`was ${early._tag}`)
      const nowMs = yield* storeNowMs
      // Told by the database's clock: off by the time the answer takes, and by rounding up.
      assert.approximately(early.dueInMs, task.dueAtMs - nowMs, 5_000)
      assert.isAbove(early.dueInMs, 0)
      const state = yield* stateOf(task.taskId)
      assert.deepStrictEqual([state.stage, state.attempt, state.version], ["claimed", 0, 2])
    })
  )

  law("of many starts with one fence exactly one wins", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind)
      const second = yield* (yield* StoreControl).secondSession
      const first = (yield* Session).id()
      const answers = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, turn) => (turn % 2 === 0 ? first : second)),
        (sessionId) => start(task, { sessionId }),
        { concurrency: "unbounded" }
      )
      const tags = answers.map(({ _tag }) => _tag).toSorted()
      assert.deepStrictEqual(tags, [...Array.from({ length: 7 }, () => "Lost"), "Started"])
      assert.deepStrictEqual(yield* tagsOf(task.taskId), ["TaskScheduled", "TaskClaimed", "AttemptStarted"])
    })
  )

  law("a task named twice in one batch starts once", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { fence, taskId } = yield* claimed(kind)
      const request = { taskId, fence, timeoutMs: 60_000, dispatchedAtMs: null }
      const answers = yield* store.start((yield* Session).id(), [
        { ...request, eventId: yield* newEventId },
        { ...request, eventId: yield* newEventId }
      ])
      assert.deepStrictEqual(answers.map(({ _tag }) => _tag).toSorted(), ["Lost", "Started"])
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskClaimed", "AttemptStarted"])
    })
  )

  law("a batch answers each request in its place", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const due = yield* claimed(kind)
      const early = yield* claimed(kind, { dueInMs: 3_600_000 })
      const unknown = yield* newTask(kind)
      const other = yield* claimed(kind)
      const requests = yield* Effect.forEach([early, { ...unknown, fence: due.fence }, due, other], (task) =>
        Effect.map(newEventId, (eventId) => ({
          taskId: task.taskId,
          fence: task.fence,
          eventId,
          timeoutMs: 60_000,
          dispatchedAtMs: null
        }))
      )
      const answers = yield* store.start((yield* Session).id(), requests)
      assert.deepStrictEqual(
        answers.map((answer) => (answer._tag === "Started" ? answer.taskId : answer._tag)),
        ["TooEarly", "Lost", due.taskId, other.taskId]
      )
      assert.deepStrictEqual(yield* store.start((yield* Session).id(), []), [])
    })
  )

  law("a fence with the right version and another event id is stale, and the other way round", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind)
      const otherId = { ...task, fence: { ...task.fence, eventId: yield* newEventId } }
      const otherVersion = { ...task, fence: { ...task.fence, version: task.fence.version + 2 } }
      assert.strictEqual((yield* start(otherId))._tag, "Lost")
      assert.strictEqual((yield* start(otherVersion))._tag, "Lost")
      assert.strictEqual((yield* start(task))._tag, "Started")
    })
  )

  law("the fence of an earlier claim starts nothing", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const first = yield* claimed(kind)
      yield* finish(startedOf(yield* start(first)), { _tag: "Snooze", inMs: 0 })
      assert.strictEqual((yield* start(first))._tag, "Lost")
      assert.strictEqual((yield* nextAttempt(kind)).attempt, 2)
      assert.strictEqual((yield* start(first))._tag, "Lost")
    })
  )

  law("a repeated request answers as the first time", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind, { payload: ["once"] })
      const eventId = yield* newEventId
      const answer = yield* start(task, { eventId })
      assert.strictEqual(answer._tag, "Started")
      assert.deepStrictEqual(yield* start(task, { eventId }), answer)
      assert.deepStrictEqual(yield* tagsOf(task.taskId), ["TaskScheduled", "TaskClaimed", "AttemptStarted"])
    })
  )

  law("a repeated request is lost when the attempt has been taken away since", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind)
      const eventId = yield* newEventId
      const started = startedOf(yield* start(task, { eventId }))
      yield* finish(started, { _tag: "Snooze", inMs: 0 })
      assert.strictEqual((yield* start(task, { eventId }))._tag, "Lost")
      yield* nextAttempt(kind)
      assert.strictEqual((yield* start(task, { eventId }))._tag, "Lost")
    })
  )

  law("a session whose lease has passed starts nothing", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* servedKind()
      const task = yield* claimed(kind)
      const sessionId = yield* control.secondSession
      yield* control.killSession(sessionId)
      assert.strictEqual((yield* start(task, { sessionId }))._tag, "Lost")
      assert.strictEqual((yield* start(task))._tag, "Started")
    })
  )

  law("a session whose lease has passed is not told to wait for the due time", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const task = yield* claimed(yield* servedKind(), { dueInMs: 60_000 })
      const sessionId = yield* control.secondSession
      assert.strictEqual((yield* start(task, { sessionId }))._tag, "TooEarly")
      yield* control.killSession(sessionId)
      assert.strictEqual((yield* start(task, { sessionId }))._tag, "Lost")
    })
  )

  law("a cancelled task does not start, and a started one is asked to end", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const task = yield* claimed(kind)
      const [cancelled, answer] = yield* Effect.all(
        [act(task.taskId, { _tag: "Cancel", reason: "race" }), start(task)],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(cancelled._tag, "Done")
      const { stage } = cancelled.state
      assert.strictEqual(answer._tag, stage === "cancelled" ? "Lost" : "Started")
      assert.strictEqual((yield* stateOf(task.taskId)).stage, stage === "cancelled" ? "cancelled" : "running")
    })
  )

  law("a scheduled task cannot be started without a claim", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { dueAtMs, eventId, priority, taskId } = yield* scheduled(kind)
      const asIfClaimed = { taskId, kind, priority, dueAtMs, fence: { version: 1, eventId }, isSuspect: false }
      assert.strictEqual((yield* start(asIfClaimed))._tag, "Lost")
      assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled"])
    })
  )
}

const payloads: ReadonlyArray<Json> = [
  null,
  true,
  "",
  "text",
  0,
  -1.5,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  0.1 + 0.2,
  [],
  {},
  [[[[null]]], { a: [{ b: {} }] }],
  { "": "empty key", " ": 1, "a.b": 2, "emoji 👩‍👩‍👧‍👦": "ﷺ \u202e", "quote\"'": "\\ \n \u0001 \u2028" },
  { text: "ä".repeat(100_000) },
  Array.from({ length: 1_000 }, (_, index) => index)
]
