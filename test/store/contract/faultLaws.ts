import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claimed,
  finish,
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
  succeed,
  type Law
} from "./world.ts"

export const faultLaws = (law: Law): void => {
  for (const fault of ["before", "after"] as const) {
    const name = fault === "before" ? "request" : "answer"

    law(`a task whose schedule lost its ${name} is scheduled once by repeating it`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedKind()
        const batch = [yield* newTask(kind), yield* newTask(kind, { key: "k" })]
        yield* (yield* StoreControl).failNext(fault)
        yield* unavailable(fault, store.schedule(batch))
        const answers = yield* store.schedule(batch)
        assert.deepStrictEqual(
          answers,
          batch.map(({ taskId }) => ({ _tag: "Created", taskId }))
        )
        assert.strictEqual((yield* store.find({ stage: "pending", kind, limit: 10 })).tasks.length, 2)
      })
    )

    law(`claims whose ${name} was lost are found again`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const sessionId = yield* (yield* StoreControl).secondSession
        const kind = yield* servedKind()
        const { taskId } = yield* scheduled(kind)
        yield* (yield* StoreControl).failNext(fault)
        yield* unavailable(fault, store.claim({ sessionId, kinds: [kind], lookAheadMs: 0, limit: 10 }))
        const { tasks } = yield* store.claim({ sessionId, kinds: [kind], lookAheadMs: 0, limit: 10 })
        assert.strictEqual(tasks.length, fault === "before" ? 1 : 0)
        const held = only(yield* store.claimedBy(sessionId, yield* storeNowMs, 10))
        assert.deepStrictEqual([held.taskId, held.fence.version], [taskId, 2])
        assert.strictEqual((yield* start(held, { sessionId }))._tag, "Started")
      })
    )

    law(`a start, an outcome and a wish whose ${name} was lost are made once by repeating them`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const control = yield* StoreControl
        const kind = yield* servedKind()
        const task = yield* claimed(kind)
        const eventIds = [yield* newEventId, yield* newEventId, yield* newEventId]

        yield* control.failNext(fault)
        yield* unavailable(fault, start(task, { eventId: eventIds[0] ?? "" }))
        const started = yield* start(task, { eventId: eventIds[0] ?? "" })
        if (started._tag !== "Started") throw new Error(`was ${started._tag}`)

        yield* control.failNext(fault)
        yield* unavailable(fault, act(task.taskId, { _tag: "Reprioritise", priority: "high" }, eventIds[1]))
        yield* act(task.taskId, { _tag: "Reprioritise", priority: "high" }, eventIds[1])

        const snooze = { _tag: "Snooze", inMs: 0 } as const
        yield* control.failNext(fault)
        yield* unavailable(fault, finish(started, snooze, eventIds[2]))
        assert.deepStrictEqual(yield* finish(started, snooze, eventIds[2]), { _tag: "Recorded", stage: "pending" })

        const events = yield* store.history(task.taskId)
        assert.deepStrictEqual(
          events.slice(2).map((event) => event.eventId),
          eventIds
        )
      })
    )

    law(`a release whose ${name} was lost is made once by repeating it`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedKind()
        const { fence, taskId } = yield* claimed(kind)
        const batch = [{ taskId, fence, eventId: yield* newEventId, reason: "drained" }] as const
        yield* (yield* StoreControl).failNext(fault)
        yield* unavailable(fault, store.release(batch))
        assert.deepStrictEqual(yield* store.release(batch), ["Released"])
        assert.strictEqual((yield* stateOf(taskId)).version, 3)
      })
    )

    law(`a transaction whose ${name} was lost is applied once by repeating it`, () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const control = yield* StoreControl
        const kind = yield* servedKind()
        const started = yield* running(kind)
        const eventId = yield* newEventId
        const commit = (isFirst: boolean) =>
          store.finishWith(
            Effect.gen(function* () {
              yield* store.schedule([yield* newTask(kind)])
              // From here on the next operation is the commit.
              if (isFirst) yield* control.failNext(fault)
            }),
            () => ({ started, eventId, outcome: succeed, policy: defaultKindPolicy(kind) })
          )
        yield* unavailable(fault, commit(true))
        yield* commit(false)
        assert.strictEqual((yield* store.find({ stage: "pending", kind, limit: 10 })).tasks.length, 1)
        assert.strictEqual((yield* stateOf(started.taskId)).version, 4)
      })
    )
  }
}

export const unavailable = <A, E, R>(fault: "before" | "after", operation: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const error: unknown = yield* Effect.flip(operation)
    assert.propertyVal(error, "_tag", "StoreUnavailable")
    if (fault === "after") assert.propertyVal(error, "commitUnknown", true)
  })
