import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Recurrences, Task } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { normalised, runCli } from "./runCli.ts"

const Tick = Task.define("tick", { payload: {} })
const application = layerPostgres({ migrate: true, unsafeDurability: true }).pipe(Layer.provideMerge(database()))

const cli = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { url } = yield* TestDatabase
  return yield* runCli(["recur", ...args], { DUETIME_DATABASE_URL: url, DUETIME_UNSAFE_DURABILITY: "true" })
})

layer(application, { excludeTestServices: true, timeout: 60_000 })("duetime recur", (it) => {
  it.effect("lists, shows, previews, pauses, resumes and runs what recurs", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* cli("list"), { status: 0, stdout: "", stderr: "No recurrences.\n" })
      const recurrences = yield* Recurrences
      yield* recurrences.create(Tick, "nightly", { cron: "0 3 * * *", zone: "Europe/Berlin", payload: {} })
      yield* recurrences.create(Tick, "ticks", { every: "1 second", payload: {} })
      const calendar = { zone: "Europe/Berlin", holidays: ["2026-12-25"] }
      yield* recurrences.create(Tick, "payout", { cron: "0 10 1 * *", calendar, closed: "next", payload: {} })
      yield* (yield* RecurrenceStore).settle(10)
      const list = yield* cli("list")
      assert.match(normalised(list.stdout), /nightly {2}tick {2}0 3 \* \* \* Europe\/Berlin {2}1 {2}next <instant>/)
      assert.match(normalised(list.stdout), /payout {2}tick {2}0 10 1 \* \* UTC, next open day {2}1 {2}next <instant>/)
      assert.include((yield* cli("show", "payout")).stdout, "; if closed, on the next open day (Monday to Friday, ")
      assert.match((yield* cli("list", "--limit", "1")).stderr, /^More: duetime recur list --after nightly/)
      const shown = normalised((yield* cli("show", "ticks", "--lines", "2")).stdout)
      assert.match(shown, /^ticks {2}tick {2}every <span> {2}next <instant>\n/)
      assert.match(shown, /\n {2}says {2,}Every second\n/)
      assert.match(shown, /<instant> {2}fired {2}1 {2}<id>\n<instant> {2}fired {2}1 {2}<id>\n$/)
      const preview = yield* cli("preview", "nightly", "--count", "3", "--json")
      assert.lengthOf(JSON.parse(preview.stdout), 3)
      const inWords = yield* cli("preview", "nightly")
      assert.strictEqual(inWords.stderr, "At 03:00, Europe/Berlin.\n")
      assert.match(
        inWords.stdout,
        /^(\d{4}-\d\d-\d\d 0[12]:00:00\.000 UTC {2}\d{4}-\d\d-\d\d 03:00:00\.000 \+0[12]:00 Europe\/Berlin\n){5}$/
      )
      assert.match((yield* cli("preview", "payout")).stdout, /^(\d{4}-\d\d-\d\d 10:00:00\.000 UTC\n){5}$/)
      assert.match((yield* cli("pause", "ticks")).stdout, /^ticks {2}paused since /)
      assert.match(normalised((yield* cli("resume", "ticks")).stdout), /^ticks {2}next <instant>\n$/)
      assert.match((yield* cli("run-now", "nightly")).stdout, /^[0-9a-f-]{36}\n$/)
      const unknown = yield* cli("show", "nobody")
      assert.match(unknown.stderr, /^RecurrenceNotFound: no recurrence has the name "nobody"/)
      assert.strictEqual(unknown.status, 4)
    })
  )

  it.effect("deletes one only when told twice, takes back what is still to come, and lets go on what is due", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const store = yield* TaskStore
      yield* recurrences.create(Tick, "gone", { every: "1 second", payload: {} })
      yield* (yield* RecurrenceStore).settle(10)
      const asked = (yield* cli("run-now", "gone")).stdout.trim()
      const ahead = yield* Effect.map(recurrences.ledger("gone", 1), ([line]) => line?.taskId ?? "")

      const unsure = yield* cli("delete", "gone")
      assert.match(
        unsure.stderr,
        /^This would delete gone {2}tick {2}every 1 s\. Add --yes, or look first with --dry-run/
      )
      assert.deepStrictEqual([unsure.status, unsure.stdout], [2, ""])
      const dry = yield* cli("delete", "gone", "--dry-run")
      assert.strictEqual(dry.stdout, "Would delete gone  tick  every 1 s\n")
      assert.isNotNull(yield* recurrences.get("gone"))

      const deleted = yield* cli("delete", "gone", "--yes")
      assert.deepStrictEqual([deleted.status, deleted.stdout], [0, "Deleted gone  tick  every 1 s\n"])
      assert.match(
        deleted.stderr,
        /^Waiting tasks of instants that are still to come are cancelled; what is due by now/
      )
      assert.strictEqual((yield* cli("show", "gone")).status, 4)
      assert.strictEqual((yield* cli("delete", "gone", "--yes")).status, 4)
      const last = (id: string) => Effect.map(store.history(id), (history) => history.at(-1)?._tag)
      assert.deepStrictEqual([yield* last(ahead), yield* last(asked)], ["TaskCancelled", "TaskScheduled"])

      yield* recurrences.create(Tick, "gone", { every: "1 second", payload: {} })
      const document = { dryRun: false, name: "gone", deleted: true }
      assert.deepStrictEqual(JSON.parse((yield* cli("delete", "gone", "-y", "--json")).stdout), document)
    })
  )

  it.effect("audit proves a whole ledger, and finds what is missing, double or invented", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const recurrences = yield* Recurrences
      const store = yield* RecurrenceStore
      yield* recurrences.create(Tick, "audited", { every: "1 second", payload: {} })
      yield* store.settle(10)
      yield* recurrences.edit(Tick, "audited", { every: "2 seconds", payload: {} })
      yield* store.settle(10)
      const whole = yield* cli("audit")
      assert.match(whole.stdout, /none missing, none double\n$/)
      assert.strictEqual(whole.status, 0)

      const { recurrenceId } = yield* store.find("audited")
      const fired = (yield* store.ledger(recurrenceId, 0, 100)).filter(({ revision }) => revision === 2)
      const [first, second, third] = fired.map(({ nominalAtMs }) => nominalAtMs)
      yield* sql`DELETE FROM duetime.occurrence WHERE recurrence_id = ${recurrenceId} AND nominal_at = to_timestamp(${first ?? 0}::float8 / 1000)`
      yield* sql`UPDATE duetime.occurrence SET nominal_at = nominal_at - interval '1 ms'
        WHERE recurrence_id = ${recurrenceId} AND nominal_at = to_timestamp(${third ?? 0}::float8 / 1000)`
      yield* sql`INSERT INTO duetime.occurrence (recurrence_id, nominal_at, until_at, revision, fate)
        VALUES (${recurrenceId}, to_timestamp(${(second ?? 0) - 1}::float8 / 1000), to_timestamp(${second ?? 0}::float8 / 1000), 2, 2)`
      const broken = yield* cli("audit", "--name", "audited", "--json")
      assert.strictEqual(broken.status, 1)
      const { findings } = JSON.parse(broken.stdout) as { readonly findings: ReadonlyArray<{ readonly law: string }> }
      const laws = findings.map(({ law }) => law)
      for (const law of ["none missing", "none double", "none invented"]) assert.include(laws, law)
      assert.match(broken.stderr, /RecurrenceAuditFailed/)
    })
  )
})
