import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { KindCaps } from "../../../src/core/KindPolicy.ts"
import { tokensMaxOf } from "../../../src/core/pace.ts"
import { TaskStore, type ClaimedTask, type ClaimRequest } from "../../../src/store/TaskStore.ts"
import {
  claim,
  finished,
  newEventId,
  newTask,
  scheduled,
  servedKind,
  start,
  startedOf,
  storeNowMs,
  succeed,
  type Law
} from "./world.ts"

export const capLaws = (law: Law): void => {
  law("what is claimed or running of a capped kind is never more than its concurrency", () =>
    Effect.gen(function* () {
      const kind = yield* backlogOf(8)
      const caps = concurrency(3)
      const first = yield* capped(kind, caps)
      assert.strictEqual(first.tasks.length, 3)
      assert.isAtLeast(first.cappedForMs ?? 0, 1)
      const [one, two] = first.tasks
      if (one === undefined || two === undefined) throw new Error("nothing was claimed")
      const started = startedOf(yield* start(one))
      assert.deepStrictEqual((yield* capped(kind, caps)).tasks, [])
      yield* finished(started, succeed, "succeeded")
      yield* releaseAll([two])
      const next = yield* capped(kind, caps)
      assert.strictEqual(next.tasks.length, 2)
      assert.isNotNull(next.cappedForMs)
      assert.isNotNull(next.nextDueAtMs)
    })
  )

  law("a claim that its limit or the backlog ends is not capped", () =>
    Effect.gen(function* () {
      const kind = yield* backlogOf(4)
      const byLimit = yield* capped(kind, concurrency(3), { limit: 3 })
      assert.deepStrictEqual([byLimit.tasks.length, byLimit.cappedForMs], [3, null])
      const byBacklog = yield* capped(kind, concurrency(9))
      assert.deepStrictEqual([byBacklog.tasks.length, byBacklog.cappedForMs], [1, null])
      const withoutCaps = yield* claim([kind])
      assert.deepStrictEqual([withoutCaps.tasks.length, withoutCaps.cappedForMs], [0, null])
      const free = yield* capped(yield* backlogOf(2), { concurrencyMax: null, startsPerSecondMax: null })
      assert.deepStrictEqual([free.tasks.length, free.cappedForMs], [2, null])
    })
  )

  law("a new kind starts with a tenth of a second's claims, at least one, and then waits for its pace", () =>
    Effect.gen(function* () {
      for (const [startsPerSecondMax, count] of [
        [0.01, 1],
        [5, 1],
        // The next token comes after a hundredth of a second: a claim that takes longer is rightly given it.
        [100, 10]
      ] as const) {
        const kind = yield* backlogOf(12)
        const beganMs = yield* storeNowMs
        const { cappedForMs, tasks } = yield* capped(kind, pace(startsPerSecondMax))
        assert.isAtLeast(tasks.length, count)
        yield* assertPaced(startsPerSecondMax, tasks.length, beganMs)
        assert.isAtLeast(cappedForMs ?? 0, 1)
        assert.isAtMost(cappedForMs ?? Infinity, Math.ceil(1_000 / startsPerSecondMax))
      }
    })
  )

  law("claims come back at the pace and never faster, in whatever bites they are asked for", () =>
    Effect.gen(function* () {
      const startsPerSecondMax = 500
      const kind = yield* backlogOf(80)
      const beganMs = yield* storeNowMs
      for (let count = 0; count < 70;) {
        const { tasks } = yield* capped(kind, pace(startsPerSecondMax), { limit: 7 })
        count += tasks.length
        yield* assertPaced(startsPerSecondMax, count, beganMs)
        yield* Effect.yieldNow
      }
    })
  )

  law("a claim that is given back unstarted gives no start back", () =>
    Effect.gen(function* () {
      const kind = yield* backlogOf(2)
      const first = yield* capped(kind, pace(0.01))
      assert.strictEqual(first.tasks.length, 1)
      yield* releaseAll(first.tasks)
      const { cappedForMs, tasks } = yield* capped(kind, pace(0.01))
      assert.deepStrictEqual(tasks, [])
      assert.isAtLeast(cappedForMs ?? 0, 1)
    })
  )

  law("a claim with caps looks no further ahead than now", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const { dueAtMs } = yield* scheduled(kind, { dueInMs: 60_000 })
      const { nextDueAtMs, tasks } = yield* capped(kind, concurrency(5), { lookAheadMs: 120_000 })
      assert.deepStrictEqual([tasks, nextDueAtMs], [[], dueAtMs])
    })
  )

  law("caps of a paused kind claim nothing", () =>
    Effect.gen(function* () {
      const kind = yield* backlogOf(2)
      yield* (yield* TaskStore).pause({ _tag: "Kind", kind }, true)
      assert.deepStrictEqual(yield* capped(kind, concurrency(5)), { tasks: [], nextDueAtMs: null, cappedForMs: null })
    })
  )

  law("four claimers at once never have more than the concurrency in progress, nor more than the pace", () =>
    Effect.gen(function* () {
      const [crowded, paced] = [yield* backlogOf(60), yield* backlogOf(60)]
      const rounds = 12
      let inProgress = 0
      let pacedCount = 0
      const beganMs = yield* storeNowMs
      const claimer = Effect.gen(function* () {
        for (let round = 0; round < rounds; round++) {
          const { tasks } = yield* capped(crowded, concurrency(5), { limit: 3 })
          inProgress += tasks.length
          assert.isAtMost(inProgress, 5)
          // Counted out before they are given back: others may take their places before the answer comes.
          inProgress -= tasks.length
          yield* releaseAll(tasks)
          pacedCount += (yield* capped(paced, pace(100), { limit: 3 })).tasks.length
        }
      })
      const atOnce = capped(crowded, concurrency(5), { limit: 3 })
      const held = (yield* Effect.all([atOnce, atOnce, atOnce, atOnce], { concurrency: "unbounded" })).flatMap(
        ({ tasks }) => tasks
      )
      assert.strictEqual(held.length, 5)
      yield* releaseAll(held)
      yield* Effect.all([claimer, claimer, claimer, claimer], { concurrency: "unbounded" })
      yield* assertPaced(100, pacedCount, beganMs)
      assert.isAbove(pacedCount, 0)
    })
  )
}

const concurrency = (concurrencyMax: number): KindCaps => ({ concurrencyMax, startsPerSecondMax: null })
const pace = (startsPerSecondMax: number): KindCaps => ({ concurrencyMax: null, startsPerSecondMax })

/** A kind with so many tasks due. */
const backlogOf = Effect.fnUntraced(function* (count: number) {
  const kind = yield* servedKind()
  const tasks = yield* Effect.forEach(Array.from({ length: count }), () => newTask(kind))
  yield* (yield* TaskStore).schedule(tasks)
  return kind
})

const releaseAll = Effect.fnUntraced(function* (tasks: ReadonlyArray<ClaimedTask>) {
  const batch = yield* Effect.forEach(tasks, ({ fence, taskId }) =>
    Effect.map(newEventId, (eventId) => ({ taskId, fence, eventId, reason: "drained" as const }))
  )
  yield* (yield* TaskStore).release(batch)
})

const capped = (kind: string, caps: KindCaps, request: Partial<ClaimRequest> = {}) =>
  claim([kind], { caps, ...request })

/** For what the estimate of the store's clock is off by, and for a machine whose clock is set back meanwhile: 6 ms were seen. */
const clockSlackMs = 10

const assertPaced = Effect.fnUntraced(function* (startsPerSecondMax: number, count: number, beganMs: number) {
  const elapsedMs = (yield* storeNowMs) - beganMs + clockSlackMs
  assert.isAtMost(count, tokensMaxOf(startsPerSecondMax) + (elapsedMs * startsPerSecondMax) / 1_000)
})
