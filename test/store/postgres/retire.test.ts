/** Days of history taken out by hand: what is carried, what is exported, and who has to wait. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { inspect } from "node:util"
import { gunzipSync } from "node:zlib"
import { exportDay } from "../../../src/cli/exportDay.ts"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import type { TaskEvent } from "../../../src/core/TaskEvent.ts"
import * as TaskId from "../../../src/core/TaskId.ts"
import { Ids } from "../../../src/store/Ids.ts"
import { Retention } from "../../../src/store/Retention.ts"
import * as PgRetention from "../../../src/store/postgres/PgRetention.ts"
import { Session } from "../../../src/store/Session.ts"
import { StoreUnavailable } from "../../../src/store/StoreError.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { act, assertAuditIsGreen, finish, running, scheduled, storeNowMs, tagsOf } from "../contract/world.ts"
import { pgWorld } from "./world.ts"

const dayMs = 86_400_000
const world = PgRetention.layer(14).pipe(Layer.provideMerge(pgWorld("embedded")))

layer(world, { excludeTestServices: true, timeout: 120_000 })("a day of history", (it) => {
  it.effect("that is taken out takes what has ended along, and leaves what goes on where it is found", () =>
    Effect.gen(function* () {
      const retention = yield* Retention
      const store = yield* TaskStore
      const days = yield* lives(9)
      const taken = yield* retention.retire(days.name)
      assert.strictEqual(taken.at(-1), days.name)
      assert.strictEqual((yield* Effect.flip(store.history(days.ended)))._tag, "TaskNotFound")
      assert.deepStrictEqual(yield* tagsOf(days.waiting), ["TaskScheduled"])
      assert.deepStrictEqual((yield* tagsOf(days.dead)).at(-1), "TaskDeadLettered")
      const redriven = yield* act(days.dead, { _tag: "Redrive" })
      assert.strictEqual(redriven.state.stage, "pending")
      const events = yield* retention.events(days.name, null, 1_000)
      assert.deepStrictEqual(
        new Set(events.map(({ taskId }) => taskId)),
        new Set([days.ended, days.dead, days.waiting])
      )
      assert.deepStrictEqual(
        (yield* retention.days).filter(({ isRetired }) => isRetired).map(({ day }) => day),
        taken
      )
      for (const day of taken) yield* retention.drop(day)
      assert.isFalse((yield* retention.days).some(({ day }) => day <= days.name))
      yield* assertAuditIsGreen
    })
  )

  it.effect("that is being copied loses nothing that is appended meanwhile, and takes no new stream", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const retention = yield* Retention
      const days = yield* lives(7)
      // The days before go first; this one is the next.
      yield* retention.retire(new Date((yield* storeNowMs) - 8 * dayMs).toISOString().slice(0, 10))
      const mayEnd = yield* Deferred.make<void>()
      const isHeld = yield* Deferred.make<void>()
      // As somebody who is moving a task that was carried before: the swap waits for it, and the copy is made by then.
      const holder = yield* Effect.forkChild(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`LOCK TABLE duetime.event_kept IN ROW EXCLUSIVE MODE`
            yield* Deferred.succeed(isHeld, undefined)
            yield* Deferred.await(mayEnd)
          })
        )
      )
      yield* Deferred.await(isHeld)
      const retiring = yield* Effect.forkChild(retention.retire(days.name))
      const waiting = sql<{ readonly waits: boolean }>`SELECT EXISTS (
        SELECT FROM pg_locks WHERE NOT granted AND relation = 'duetime.event_kept'::regclass) AS waits`
      while ((yield* waiting)[0]?.waits !== true) yield* Effect.sleep(5)
      const table = `duetime.event_d${days.name.replaceAll("-", "")}`
      const birth = sql.unsafe(
        `INSERT INTO ${table} (at, task_id, event_id, version, type) VALUES (now(), $1::uuid, gen_random_uuid(), 1, 1)`,
        [days.waiting.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))]
      )
      assert.match(inspect(yield* Effect.flip(birth), { depth: 10 }), /is being retired/)
      yield* act(days.waiting, { _tag: "Reschedule", dueAtMs: (yield* storeNowMs) + dayMs })
      yield* Deferred.succeed(mayEnd, undefined)
      yield* Fiber.join(holder)
      yield* Fiber.join(retiring)
      // On a busy machine the wait may have been too long for it: then it begins anew.
      while ((yield* retention.days).some(({ day, isRetired }) => day === days.name && !isRetired)) {
        yield* retention.retire(days.name)
      }
      assert.deepStrictEqual(yield* tagsOf(days.waiting), ["TaskScheduled", "TaskRescheduled"])
      yield* assertAuditIsGreen
      for (const { day, isRetired } of yield* retention.days) if (isRetired) yield* retention.drop(day)
    })
  )

  it.effect("stays while a long transaction holds the history, and nobody waits behind it", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const retention = yield* Retention
      const days = yield* lives(5)
      const taken = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`SELECT count(*) FROM duetime.event`
          yield* sql`SELECT pg_sleep(1.1)`
          return yield* retention.retire(days.name)
        })
      )
      assert.deepStrictEqual(taken, [])
      assert.isAbove((yield* tagsOf(days.ended)).length, 1)
      const snapshotOnly = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`
          yield* sql`SELECT count(*) FROM duetime.dead_letter`
          yield* sql`SELECT pg_sleep(1.1)`
          return yield* retention.retire(days.name)
        })
      )
      assert.strictEqual(snapshotOnly.at(-1), days.name, "a reader of anything else is in nobody's way")
      for (const { day, isRetired } of yield* retention.days) if (isRetired) yield* retention.drop(day)
    })
  )

  it.effect("is exported whole, goes on where it broke, and is what its checksum says", () =>
    Effect.gen(function* () {
      const retention = yield* Retention
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "duetime-export-"))),
        (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
      )
      const days = yield* lives(3, 1_100)
      const all = yield* retention.events(days.name, null, 10_000)
      assert.isAbove(all.length, 1_000)
      const file = path.join(folder, "day.jsonl.gz")
      const interrupted = yield* Effect.flip(
        exportDay({ ...retention, events: breaking(retention.events, 2) }, days.name, file, () => Effect.void)
      )
      assert.strictEqual(interrupted._tag, "StoreUnavailable")
      assert.deepStrictEqual(fs.readdirSync(folder).toSorted(), ["day.jsonl.gz.part", "day.jsonl.gz.part.json"])
      // As a crash leaves it that came while a page was written.
      fs.appendFileSync(`${file}.part`, "half a page")
      const exported = yield* exportDay(retention, days.name, file, () => Effect.void)
      assert.deepStrictEqual([exported.events, exported.resumedAt], [all.length, 1_000])
      assert.deepStrictEqual(fs.readdirSync(folder).toSorted(), ["day.jsonl.gz", "day.jsonl.gz.sha256"])
      const packed = fs.readFileSync(file)
      const lines = gunzipSync(packed).toString("utf8").trimEnd().split("\n")
      assert.deepStrictEqual(
        lines.map((line): TaskEvent => JSON.parse(line)),
        all
      )
      const sha256 = createHash("sha256").update(packed).digest("hex")
      assert.deepStrictEqual(
        [exported.sha256, fs.readFileSync(`${file}.sha256`, "utf8")],
        [sha256, `${sha256}  day.jsonl.gz\n`]
      )
      const again = yield* Effect.flip(exportDay(retention, days.name, file, () => Effect.void))
      assert.match(again.message, /^ExportFailed: .*: is there already\./)
    }).pipe(Effect.scoped)
  )
})

/** Tasks born so many days ago and due now: some that have ended, a dead letter and one that waits. */
const lives = Effect.fnUntraced(function* (daysAgo: number, endedCount = 1) {
  const kind = `retire.${daysAgo}`
  yield* (yield* Session).serve([defaultKindPolicy(kind)])
  const atMs = (yield* storeNowMs) - daysAgo * dayMs
  const { taskBytes } = yield* Ids
  const bornThen = () => ({ taskId: TaskId.make(atMs, 0, taskBytes()) })
  const ended = yield* running(kind, bornThen())
  yield* finish(ended, { _tag: "Succeed", result: null })
  for (let count = 1; count < endedCount; count++) yield* scheduled("retire.unserved", bornThen())
  const dead = yield* running(kind, bornThen())
  yield* finish(dead, { _tag: "Discard", reason: "no" })
  const waiting = yield* scheduled("retire.unserved", bornThen())
  const name = new Date(atMs).toISOString().slice(0, 10)
  return { name, ended: ended.taskId, dead: dead.taskId, waiting: waiting.taskId }
})

/** Fails at a page, as when the server goes away. */
const breaking = (events: Retention["Service"]["events"], atPage: number): Retention["Service"]["events"] => {
  let pages = 0
  return (...request) => (++pages === atPage ? Effect.fail(serverWentAway()) : events(...request))
}

const serverWentAway = () =>
  new StoreUnavailable({ operation: "events", commitUnknown: false, reason: "the server went away" })
