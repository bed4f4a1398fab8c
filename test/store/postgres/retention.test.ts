import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { defaultKindPolicy, type KindPolicy } from "../../../src/core/KindPolicy.ts"
import { make } from "../../../src/store/postgres/Partitions.ts"
import { batchSizeMax, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  assertAuditIsGreen,
  claim,
  claimed,
  finish,
  newEventId,
  only,
  running,
  scheduled,
  start,
  storeNowMs,
  StoreControl,
  tagsOf
} from "../contract/world.ts"
import { Session } from "../../../src/store/Session.ts"
import { pgWorld } from "./world.ts"

const dayMs = 86_400_000

layer(pgWorld("embedded"), { excludeTestServices: true, timeout: 120_000 })("when days pass", (it) => {
  it.effect("a claim finds what another process has moved into a partition that this one does not know", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const kind = "retention.moved"
      yield* (yield* Session).serve([defaultKindPolicy(kind)])
      const plain = yield* scheduled(kind)
      const [table] = yield* sql<{ readonly name: string }>`SELECT tableoid::regclass::text AS name FROM duetime.due
        WHERE task_id = ${plain.taskId}::uuid`
      const claimedIds = (request: Parameters<typeof claim>[1]) =>
        Effect.map(claim([kind], request), ({ tasks }) => tasks.map(({ taskId }) => taskId))
      yield* sql.unsafe(`ALTER TABLE ${table?.name} RENAME TO due_renamed`)
      assert.deepStrictEqual(yield* claimedIds({ lookAheadMs: 0 }), [plain.taskId], "its table is gone")
      const capped = yield* scheduled(kind)
      const caps = { concurrencyMax: 10, startsPerSecondMax: null }
      assert.deepStrictEqual(yield* claimedIds({ lookAheadMs: 0, caps }), [capped.taskId], "in a transaction")
      yield* sql.unsafe(`CREATE TABLE ${table?.name} (LIKE duetime.due)`)
      const elsewhere = yield* scheduled(kind)
      assert.deepStrictEqual(yield* claimedIds({ lookAheadMs: 0 }), [elsewhere.taskId], "its table is another one")
      yield* assertAuditIsGreen
      yield* sql.unsafe(`DROP TABLE ${table?.name}`)
      yield* sql.unsafe(`ALTER TABLE duetime.due_renamed RENAME TO ${table?.name.replace("duetime.", "")}`)
    })
  )

  it.effect("what ended well goes with its day; what goes on is carried, readable and movable as before", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const kind = "retention"
      const parking: KindPolicy = { ...defaultKindPolicy("retention.parking"), onInterrupted: "park" }
      yield* (yield* Session).serve([defaultKindPolicy(kind), parking])
      const reconciled = yield* parkedBy(parking)
      yield* saidToBeDone(parking)
      const parked = yield* parkedBy(parking)
      const succeeded = yield* running(kind)
      yield* finish(succeeded, { _tag: "Succeed", result: null })
      const dead = yield* running(kind)
      yield* finish(dead, { _tag: "Discard", reason: "no" })
      const waiting = yield* scheduled("retention.unserved")
      const keyed = yield* scheduled("retention.unserved", { key: "order-1" })
      const future = yield* scheduled(kind, { dueInMs: 10 * 365 * dayMs })
      const held = yield* running(kind)

      const nowMs = yield* storeNowMs
      const partitions = make(sql, 3)
      for (const day of [1, 5, 40, 400]) {
        yield* partitions.maintainAt(nowMs + day * dayMs)
        yield* assertAuditIsGreen
      }
      const { made, dropped } = yield* partitions.maintainAt(nowMs + 400 * dayMs)
      assert.deepStrictEqual([made, dropped], [[], []])

      for (const { taskId } of [succeeded, reconciled]) {
        assert.strictEqual((yield* Effect.flip(store.history(taskId)))._tag, "TaskNotFound")
      }
      assert.deepStrictEqual(yield* saidToBeDone(parking), { _tag: "Recorded", stage: "succeeded" })
      assert.deepStrictEqual((yield* tagsOf(parked.taskId)).at(-1), "TaskReconciled")
      assert.deepStrictEqual((yield* tagsOf(dead.taskId)).at(-1), "TaskDeadLettered")
      assert.deepStrictEqual(yield* tagsOf(future.taskId), ["TaskScheduled"])
      const redriven = yield* store.act(dead.taskId, yield* newEventId, { _tag: "Redrive" })
      const cancelled = yield* store.act(future.taskId, yield* newEventId, { _tag: "Cancel", reason: null })
      assert.deepStrictEqual([redriven._tag, cancelled._tag], ["Done", "Done"])
      // Claimed as before, though their partitions are gone; and the attempt of before the days passed ends as before.
      const claims = yield* claim(["retention.unserved", kind], { lookAheadMs: 1_000 })
      assert.sameMembers(
        claims.tasks.map(({ taskId }) => taskId),
        [waiting.taskId, keyed.taskId, dead.taskId]
      )
      // Started through a store that still believes in the day's own partition.
      const again = claims.tasks.find(({ taskId }) => taskId === dead.taskId)
      assert.strictEqual(again && (yield* start(again))._tag, "Started")
      yield* finish(held, { _tag: "Succeed", result: null })
      yield* assertAuditIsGreen
    })
  )

  it.effect("a key is forgotten with its task's history, not before", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const keys = Effect.map(sql<{ readonly key: string }>`SELECT key FROM duetime.key ORDER BY key`, (rows) =>
        rows.map((row) => row.key)
      )
      assert.deepStrictEqual(yield* keys, ["order-1"])
      const [held] = yield* store
        .claimedBy((yield* Session).id(), 8.64e15, 10)
        .pipe(Effect.map((tasks) => tasks.filter(({ kind }) => kind === "retention.unserved")))
      const keyedId = (yield* sql<{ readonly id: string }>`SELECT task_id::text AS id FROM duetime.key`)[0]?.id ?? ""
      assert.isDefined(held)
      yield* store.act(keyedId, yield* newEventId, { _tag: "Cancel", reason: null })
      assert.deepStrictEqual(yield* keys, ["order-1"])
      yield* make(sql, 3).maintainAt((yield* storeNowMs) + 401 * dayMs)
      assert.deepStrictEqual(yield* keys, [])
      assert.strictEqual((yield* Effect.flip(store.history(keyedId)))._tag, "TaskNotFound")
      yield* assertAuditIsGreen
      assert.deepStrictEqual(yield* auditRows, [])
    })
  )

  it.effect("an audit asks nobody about an end that has gone with its day, though what follows it is there", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const kind = "retention.followed"
      yield* (yield* Session).serve([defaultKindPolicy(kind)])
      const inMs = 900 * dayMs
      const task = yield* running(kind, { onSuccess: { kind, priority: "low", inMs, dueJitter: null, payload: null } })
      yield* finish(task, { _tag: "Succeed", result: null })
      const follower = only((yield* store.find({ stage: "pending", kind, limit: 10 })).tasks)
      const links = Effect.map((yield* StoreControl).auditRows, (violations) =>
        violations.filter(({ invariant }) => invariant === "S20")
      )
      assert.deepStrictEqual(yield* links, [])
      yield* make(sql, 3).maintainAt((yield* storeNowMs) + 410 * dayMs)
      assert.strictEqual((yield* Effect.flip(store.history(task.taskId)))._tag, "TaskNotFound")
      assert.deepStrictEqual(yield* tagsOf(follower.taskId), ["TaskScheduled"])
      assert.deepStrictEqual(yield* links, [])
    })
  )
})

layer(pgWorld("embedded"), { excludeTestServices: true, timeout: 120_000 })("beside maintenance", (it) => {
  it.effect("an audit sees every row while partitions are split and retired under it", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const kind = "retention.beside"
      for (let count = 0; count < 50; count++) yield* scheduled(kind, { dueInMs: (count / 5 - 3) * dayMs })
      const partitions = make(sql, 3)
      const nowMs = yield* storeNowMs
      const maintaining = Effect.forEach(
        [1, 2, 3, 4].map((day) => nowMs + day * dayMs),
        (atMs) => partitions.maintainAt(atMs),
        { discard: true }
      )
      let audits = 0
      const auditing = Effect.forever(
        Effect.map(auditRows, (violations) => {
          audits++
          assert.deepStrictEqual(violations, [])
        })
      )
      yield* Effect.raceFirst(maintaining, auditing)
      assert.isAbove(audits, 0)
    })
  )
})

const auditRows = Effect.flatMap(StoreControl, (control) => control.auditRows)

/** A task whose deadline has passed. */
const parkedBy = Effect.fnUntraced(function* ({ kind }: KindPolicy) {
  const task = yield* claimed(kind)
  yield* start(task, { timeoutMs: 0 })
  yield* (yield* TaskStore).expire(batchSizeMax)
  return task
})

const saidToBeDone = Effect.fnUntraced(function* (policy: KindPolicy) {
  const store = yield* TaskStore
  const { fence, taskId } = only(yield* store.takeParked({ kinds: [policy.kind], limit: 10 }))
  const answer = { _tag: "Done", result: null } as const
  return yield* store.reconcile({ taskId, fence, eventId: yield* newEventId, answer, policy })
})
