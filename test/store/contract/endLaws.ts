import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as TaskId from "../../../src/core/TaskId.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { act, failure, finished, type Law, running, scheduled, servedKind, storeNowMs } from "./world.ts"

export const endLaws = (law: Law): void => {
  law("the last event of a task tells how it has ended, and of one that goes on nothing", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const done = yield* finished(yield* running(kind), { _tag: "Succeed", result: { n: 1 } }, "succeeded")
      const dead = yield* finished(yield* running(kind), { ...failure, retryable: false }, "dead")
      const late = yield* scheduled(kind, { dueInMs: 10_000, expiresAtMs: (yield* storeNowMs) - 1 })
      for (let looked = 100; looked === 100; looked = (yield* store.expireTasks(100)).lookedAtCount);
      const gone = yield* scheduled(kind, { dueInMs: 40 * 86_400_000, payload: "p" })
      yield* act(gone.taskId, { _tag: "Cancel", reason: "why" })
      const waits = yield* scheduled(kind, { dueInMs: 3_600_000, payload: "p" })
      const runs = yield* running(kind)
      const nobody = TaskId.make(yield* storeNowMs, 1, new Uint8Array(8))
      const asked = [done, dead, late, gone, waits, runs].map(({ taskId }) => taskId)
      const found = yield* store.ends([...asked, nobody, done.taskId])
      assert.sameMembers(
        found.map(({ taskId }) => taskId),
        asked
      )
      const ends = new Map(found.map(({ end, taskId }) => [taskId, end]))
      for (const taskId of asked) {
        const last = (yield* store.history(taskId)).at(-1)
        assert.deepStrictEqual(ends.get(taskId), [waits, runs].some((task) => task.taskId === taskId) ? null : last)
      }
    })
  )

  law("a redriven dead letter has not ended", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const { taskId } = yield* finished(yield* running(kind), { ...failure, retryable: false }, "dead")
      yield* act(taskId, { _tag: "Redrive" })
      assert.deepStrictEqual(yield* store.ends([taskId]), [{ taskId, end: null }])
      assert.deepStrictEqual(yield* store.ends([]), [])
    })
  )
}
