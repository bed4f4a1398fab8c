import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Priority } from "../../../src/core/Priority.ts"
import { TaskStore, type PullRequest } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  running,
  scheduled,
  servedKind,
  start,
  stateOf,
  StoreControl,
  storeNowMs,
  type Law
} from "./world.ts"

export const pullLaws = (law: Law): void => {
  law("a pull shows claims of any session that are overdue, with the fence that starts them, and moves nothing", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const sessionId = yield* (yield* StoreControl).secondSession
      yield* scheduled(kind, { priority: "high" })
      const { tasks } = yield* claim([kind], { sessionId })
      assert.deepStrictEqual(yield* pull([kind]), tasks)
      assert.deepStrictEqual(yield* pull([kind]), tasks)
      for (const task of tasks) {
        assert.strictEqual((yield* stateOf(task.taskId)).stage, "claimed")
        assert.strictEqual((yield* start(task))._tag, "Started")
      }
      assert.deepStrictEqual(yield* pull([kind]), [])
    })
  )

  law("what is pending, running, of another kind or not overdue for so long is not pulled", () =>
    Effect.gen(function* () {
      const [kind, other] = [yield* servedKind(), yield* servedKind()]
      yield* running(kind)
      yield* claimed(other)
      yield* claimed(kind, { dueInMs: 3_600_000 })
      const overdue = yield* claimed(kind, { dueInMs: -10_000 })
      yield* scheduled(kind)
      assert.deepStrictEqual(yield* pull([kind]), [overdue])
      assert.deepStrictEqual(yield* pull([kind], { overdueMs: 3_600_000 }), [])
      assert.deepStrictEqual(yield* pull([]), [])
    })
  )

  law("a pull takes the most urgent and oldest, and a share from the least urgent end", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const placed = Effect.fnUntraced(function* (priority: Priority, secondsAgo: number) {
        return (yield* claimed(kind, { priority, dueInMs: -secondsAgo * 1_000 })).taskId
      })
      const low = [yield* placed("low", 40), yield* placed("low", 30), yield* placed("low", 20)]
      const normal = [yield* placed("normal", 9), yield* placed("normal", 8)]
      const critical = [yield* placed("critical", 3), yield* placed("critical", 2)]
      const ids = (request: Partial<PullRequest>) =>
        Effect.map(pull([kind], request), (tasks) => tasks.map(({ taskId }) => taskId))
      assert.deepStrictEqual(yield* ids({ limit: 3, fromLowest: 0 }), [...critical, ...normal.slice(0, 1)])
      assert.deepStrictEqual(yield* ids({ limit: 4, fromLowest: 2 }), [...critical, ...low.slice(0, 2)])
      assert.deepStrictEqual(yield* ids({ limit: 2, fromLowest: 2 }), low.slice(0, 2))
      assert.deepStrictEqual(yield* ids({ limit: 6, fromLowest: 1 }), [...critical, ...normal, ...low.slice(0, 2)])
      // As many as there are, none of them twice, when the limit has room for all.
      assert.sameMembers(yield* ids({ limit: 9, fromLowest: 5 }), [...critical, ...normal, ...low])
      assert.strictEqual((yield* ids({ limit: 9, fromLowest: 5 })).length, 7)
    })
  )

  law("a claim that has expired is pulled no more, and takes no place before one that may start", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const nowMs = yield* storeNowMs
      yield* claimed(kind, { priority: "high", expiresAtMs: nowMs - 1 })
      const left = yield* claimed(kind, { expiresAtMs: nowMs + 3_600_000 })
      assert.deepStrictEqual(yield* pull([kind], { limit: 1 }), [left])
      yield* (yield* TaskStore).expireTasks(1_000)
    })
  )

  law("a claim that was cancelled or moved is pulled no more", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const [one, two] = [yield* claimed(kind), yield* claimed(kind)]
      yield* act(one.taskId, { _tag: "Cancel", reason: null })
      yield* act(two.taskId, { _tag: "Reprioritise", priority: "low" })
      assert.deepStrictEqual(yield* pull([kind]), [])
    })
  )
}

const pull = Effect.fnUntraced(function* (kinds: ReadonlyArray<string>, request: Partial<PullRequest> = {}) {
  return yield* (yield* TaskStore).pull({
    kinds,
    overdueMs: 500,
    limit: 100,
    fromLowest: 0,
    suspectsMax: 1,
    ...request
  })
})
