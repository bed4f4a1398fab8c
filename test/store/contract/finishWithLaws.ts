import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  failure,
  finish,
  finished,
  newEventId,
  newTask,
  policyOf,
  running,
  servedKind,
  stateOf,
  succeed,
  tagsOf,
  type Law
} from "./world.ts"

export const finishWithLaws = (law: Law): void => {
  law("what is scheduled in the outcome's transaction commits together with it", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const follower = yield* newTask(kind)
      const eventId = yield* newEventId
      const value = yield* store.finishWith(store.schedule([follower]), () => ({
        started,
        eventId,
        outcome: succeed,
        policy: policyOf(kind)
      }))
      assert.deepStrictEqual(value, [{ _tag: "Created", taskId: follower.taskId }])
      assert.strictEqual((yield* stateOf(started.taskId)).eventId, eventId)
      assert.deepStrictEqual(yield* tagsOf(follower.taskId), ["TaskScheduled"])
    })
  )

  law("a lost lease rolls back what was scheduled", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const follower = yield* newTask(kind, { key: "follower" })
      yield* finish(started, failure)
      const request = { started, eventId: yield* newEventId, outcome: succeed, policy: policyOf(kind) }
      const error = yield* Effect.flip(store.finishWith(store.schedule([follower]), () => request))
      assert.deepStrictEqual([error._tag, error._tag === "LeaseLost" && error.taskId], ["LeaseLost", started.taskId])
      assert.strictEqual((yield* Effect.flip(store.history(follower.taskId)))._tag, "TaskNotFound")
      assert.deepStrictEqual(yield* store.schedule([follower]), [{ _tag: "Created", taskId: follower.taskId }])
    })
  )

  law("a failing transaction records no outcome and schedules nothing", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const follower = yield* newTask(kind)
      const request = { started, eventId: yield* newEventId, outcome: succeed, policy: policyOf(kind) }
      const body = Effect.andThen(store.schedule([follower]), Effect.fail("no" as const))
      assert.strictEqual(yield* Effect.flip(store.finishWith(body, () => request)), "no")
      assert.strictEqual((yield* stateOf(started.taskId)).stage, "running")
      assert.strictEqual((yield* Effect.flip(store.history(follower.taskId)))._tag, "TaskNotFound")
      yield* finished(started, succeed, "succeeded")
    })
  )

  law("the value decides the outcome", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const eventId = yield* newEventId
      yield* store.finishWith(Effect.succeed(42), (result) => ({
        started,
        eventId,
        outcome: { _tag: "Succeed", result },
        policy: policyOf(kind)
      }))
      const event = (yield* store.history(started.taskId)).at(-1)
      assert.strictEqual(event?._tag === "AttemptSucceeded" && event.result, 42)
    })
  )

  law("a repeated transaction is not applied twice", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const started = yield* running(kind)
      const request = { started, eventId: yield* newEventId, outcome: succeed, policy: policyOf(kind) }
      const scheduleFollower = Effect.flatMap(newTask(kind), (task) => store.schedule([task]))
      yield* store.finishWith(scheduleFollower, () => request)
      yield* store.finishWith(scheduleFollower, () => request)
      assert.strictEqual((yield* store.find({ stage: "pending", kind, limit: 10 })).tasks.length, 1)
    })
  )
}
