import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { fingerprintOf } from "../../../src/core/fingerprint.ts"
import type { Json } from "../../../src/core/TaskEvent.ts"
import { batchSizeMax, TaskStore } from "../../../src/store/TaskStore.ts"
import { act, finished, nextAttempt, only, running, servedKind, type Law } from "./world.ts"

export const deadGroupLaws = (law: Law): void => {
  law("dead letters of a kind with one cause are one group: how many, since when, until when and one of them", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const [kind, other] = [yield* servedKind(), yield* servedKind()]
      const letters = yield* Effect.forEach([1, 2, 3], (order) => dead(kind, `order ${order} is gone`))
      const [declined, elsewhere] = [yield* dead(kind, "declined"), yield* dead(other, "order 9 is gone")]
      yield* groupAll
      const groups = yield* store.deadGroups({ kind, limit: 10 })
      const deaths = yield* Effect.forEach(letters, deathOf)
      const deadAtMs = deaths.map(({ atMs }) => atMs)
      const [gone, single] = groups
      assert.deepStrictEqual(
        [gone?.group, gone?.kind, gone?.count, gone?.firstDeadAtMs, gone?.lastDeadAtMs],
        [
          fingerprintOf(kind, { name: "Error", message: "order 7 is gone" }).group,
          kind,
          3,
          Math.min(...deadAtMs),
          Math.max(...deadAtMs)
        ]
      )
      const sampled = only(deaths.filter(({ taskId }) => taskId === gone?.sample.taskId))
      assert.deepStrictEqual(gone?.sample, { taskId: sampled.taskId, reason: sampled.reason, error: sampled.error })
      assert.deepStrictEqual([groups.length, single?.count, single?.sample.taskId], [2, 1, declined])
      const { group } = only(yield* store.deadGroups({ kind: other, limit: 10 }))
      const found = yield* store.find({ stage: "dead", group, limit: 10 })
      assert.deepStrictEqual([only(found.tasks).taskId, found.next], [elsewhere, null])
      assert.deepStrictEqual(yield* store.deadGroups({ kind, group, limit: 10 }), [])
      assert.strictEqual((yield* store.deadGroups({ kind, limit: 1 })).length, 1)
    })
  )

  law("a group is paged through by id, whatever else is dead", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const letters: Array<string> = []
      for (let order = 0; order < 5; order++) {
        letters.push(yield* dead(kind, `order ${order} is gone`))
        yield* dead(kind, "declined")
      }
      yield* groupAll
      const group = only(
        (yield* store.deadGroups({ kind, limit: 10 })).filter(({ sample }) => sample.error.message !== "declined")
      ).group
      const first = yield* store.find({ stage: "dead", kind, group, limit: 3 })
      const second = yield* store.find({ stage: "dead", kind, group, limit: 3, after: first.next ?? undefined })
      assert.deepStrictEqual(
        [...first.tasks, ...second.tasks].map(({ taskId }) => taskId),
        letters.toSorted()
      )
    })
  )

  law("each letter is grouped once, and again when it has died anew, of whatever it was then", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      yield* groupAll
      const taskId = yield* dead(kind, "declined")
      assert.deepStrictEqual([yield* store.groupDead(10), yield* store.groupDead(10)], [1, 0])
      yield* act(taskId, { _tag: "Redrive" })
      assert.deepStrictEqual(yield* store.deadGroups({ kind, limit: 10 }), [])
      const failed = {
        _tag: "Fail",
        error: { name: "Error", message: "stolen" },
        retryable: false,
        retryInMs: null
      } as const
      yield* finished(yield* nextAttempt(kind), failed, "dead")
      assert.deepStrictEqual(yield* store.deadGroups({ kind, limit: 10 }), [], "not grouped yet")
      assert.strictEqual(yield* store.groupDead(10), 1)
      const { count, sample } = only(yield* store.deadGroups({ kind, limit: 10 }))
      assert.deepStrictEqual([count, sample.error.message], [1, "stolen"])
    })
  )

  law("a redrive with a payload is what all attempts are given from then on; one without changes nothing of it", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const taskId = yield* dead(kind, "declined", { amount: 1 })
      const given: Array<Json> = []
      const wishes: ReadonlyArray<{ readonly payload?: Json }> = [
        {},
        { payload: { amount: 2, note: null } },
        {},
        { payload: null },
        {}
      ]
      for (const wish of wishes) {
        yield* act(taskId, { _tag: "Redrive", ...wish })
        const started = yield* nextAttempt(kind)
        given.push(started.payload)
        yield* finished(started, { _tag: "Discard", reason: "no" }, "dead")
      }
      const mended = { amount: 2, note: null }
      assert.deepStrictEqual(given, [{ amount: 1 }, mended, mended, null, null])
      const events = yield* store.history(taskId)
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "TaskRedriven" ? [event.payload] : [])),
        wishes.map(({ payload }) => payload)
      )
    })
  )

  law("a discarded dead letter is cancelled with the reason, keeps its history and cannot be redriven", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const taskId = yield* dead(kind, "declined")
      const discarded = yield* act(taskId, { _tag: "DiscardDead", reason: "paid by hand" })
      assert.strictEqual(discarded.state.stage, "cancelled")
      assert.deepStrictEqual((yield* store.find({ stage: "dead", kind, limit: 10 })).tasks, [])
      const [death, end] = (yield* store.history(taskId)).slice(-2)
      assert.strictEqual(death?._tag, "TaskDeadLettered")
      assert.deepStrictEqual(
        [end?._tag, end?._tag === "TaskCancelled" ? end.reason : null],
        ["TaskCancelled", "paid by hand"]
      )
      const refused = yield* store.act(taskId, crypto.randomUUID(), { _tag: "Redrive" })
      assert.strictEqual(refused._tag, "Rejected")
    })
  )

  law("what is not dead cannot be discarded", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { taskId } = yield* running(yield* servedKind())
      const refused = yield* store.act(taskId, crypto.randomUUID(), { _tag: "DiscardDead", reason: "no" })
      assert.deepStrictEqual([refused._tag, refused.state.stage], ["Rejected", "running"])
    })
  )
}

const groupAll = Effect.gen(function* () {
  const store = yield* TaskStore
  while ((yield* store.groupDead(batchSizeMax)) > 0);
})

const dead = Effect.fnUntraced(function* (kind: string, message: string, payload: Json = null) {
  const started = yield* running(kind, { payload })
  const error = { name: "Error", message }
  return (yield* finished(started, { _tag: "Fail", error, retryable: false, retryInMs: null }, "dead")).taskId
})

const deathOf = Effect.fnUntraced(function* (taskId: string) {
  const death = (yield* (yield* TaskStore).history(taskId)).at(-1)
  if (death?._tag !== "TaskDeadLettered") throw new Error(`expected TaskDeadLettered, was ${death?._tag}`)
  return death
})
