import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { defaultPolicies } from "../../../src/core/recurrence/Policies.ts"
import { make as makePartitions } from "../../../src/store/postgres/Partitions.ts"
import { RecurrenceStore } from "../../../src/store/RecurrenceStore.ts"
import { onEachServer } from "../../setup/database.ts"
import { RecurrenceControl } from "../contract/recurrenceWorld.ts"
import { recurrenceStoreContract } from "../RecurrenceStore.contract.ts"
import { pgWorld } from "./world.ts"

const control = Layer.effect(
  RecurrenceControl,
  Effect.map(PgClient.PgClient, (sql) => ({
    rewind: (name, ms) =>
      Effect.gen(function* () {
        yield* sql`UPDATE duetime.recurrence_revision v SET from_at = v.from_at - ${ms}::int4 * interval '1 ms'
          FROM duetime.recurrence r WHERE r.name = ${name} AND v.recurrence_id = r.recurrence_id AND v.revision = r.revision`
        yield* sql`UPDATE duetime.recurrence SET settled_until = settled_until - ${ms}::int4 * interval '1 ms',
          decide_at = CASE WHEN paused_at IS NULL THEN clock_timestamp() END WHERE name = ${name}`
      }).pipe(Effect.orDie)
  }))
)

onEachServer("PgRecurrenceStore", (server) =>
  recurrenceStoreContract("PgRecurrenceStore", Layer.provideMerge(control, pgWorld(server)))
)

const definition = {
  rule: { _tag: "Interval", everyMs: 1_000, anchorMs: 0 },
  policies: defaultPolicies,
  kind: "recurs",
  priority: null,
  payload: null,
  digest: "first"
} as const
const dayMs = 86_400_000

layer(pgWorld("embedded"), { excludeTestServices: true, timeout: 60_000 })("recurrences on PostgreSQL", (it) => {
  it.effect("that are made or changed in a transaction that is rolled back were never made or changed", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* RecurrenceStore
      const rolledBack = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.flip(sql.withTransaction(Effect.andThen(effect, Effect.fail("rolled back"))))
      yield* rolledBack(store.create("rolled", definition))
      assert.strictEqual((yield* Effect.flip(store.find("rolled")))._tag, "RecurrenceNotFound")
      const { recurrence } = yield* store.create("rolled", definition)
      yield* store.settle(1)
      const settled = yield* store.find("rolled")
      yield* rolledBack(store.revise("rolled", { _tag: "Delete" }))
      assert.deepStrictEqual(yield* store.find("rolled"), settled)
      assert.strictEqual(settled.recurrenceId, recurrence.recurrenceId)
    })
  )

  it.effect("that were being decided when the connection broke at the commit are decided once by the next look", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* RecurrenceStore
      const { recurrence } = yield* store.create("cut", definition)
      yield* sql`CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`
      yield* sql`CREATE CONSTRAINT TRIGGER cut AFTER UPDATE ON duetime.recurrence DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()`
      const error = yield* Effect.flip(store.settle(10))
      assert.deepInclude(error, { _tag: "StoreUnavailable", operation: "settle", commitUnknown: true })
      assert.deepStrictEqual(yield* store.ledger(recurrence.recurrenceId, 0, 100), [])
      yield* sql`DROP TRIGGER cut ON duetime.recurrence`
      yield* store.settle(10)
      const lines = yield* store.ledger(recurrence.recurrenceId, 0, 100)
      assert.isAtLeast(lines.length, 5)
      assert.strictEqual(new Set(lines.map(({ nominalAtMs }) => nominalAtMs)).size, lines.length)
      const [tasks] = yield* sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM duetime.due
        WHERE task_id IN (SELECT task_id FROM duetime.occurrence WHERE recurrence_id = ${recurrence.recurrenceId})`
      assert.strictEqual(tasks?.n, lines.length)
    })
  )

  it.effect("keep their ledger as long as history is kept, and a line that reaches further as long as it reaches", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* RecurrenceStore
      const { recurrence } = yield* store.create("retained", definition)
      yield* store.revise("retained", { _tag: "Pause" })
      yield* store.revise("retained", { _tag: "Resume" })
      yield* sql`INSERT INTO duetime.occurrence (recurrence_id, nominal_at, until_at, revision, fate)
        SELECT ${recurrence.recurrenceId}, now() - 13 * interval '1 day', until_at, 1, 2
        FROM (VALUES (now() - 13 * interval '1 day')) AS l (until_at)`
      yield* sql`INSERT INTO duetime.occurrence (recurrence_id, nominal_at, until_at, revision, fate)
        VALUES (${recurrence.recurrenceId}, now() - 12 * interval '1 day', now() + interval '1 day', 1, 5)`
      const lines = Effect.map(store.ledger(recurrence.recurrenceId, 0, 100), (all) =>
        all.filter(({ revision }) => revision === 1).map(({ fate }) => fate)
      )
      assert.includeMembers(yield* lines, ["skipped-misfire", "skipped-paused"])
      const partitions = makePartitions(sql, 14)
      const [clock] = yield* sql<{ readonly now_ms: number }>`SELECT date_part('epoch', now()) * 1000 AS now_ms`
      for (const days of [1, 2, 3, 4]) yield* partitions.maintainAt((clock?.now_ms ?? 0) + days * dayMs)
      assert.deepStrictEqual(yield* lines, ["skipped-paused"])
      assert.strictEqual((yield* store.revisions(recurrence.recurrenceId)).length, 3)
      for (const days of [14, 15, 16]) yield* partitions.maintainAt((clock?.now_ms ?? 0) + days * dayMs)
      assert.deepStrictEqual(yield* lines, [])
      assert.deepStrictEqual(
        (yield* store.revisions(recurrence.recurrenceId)).map(({ revision }) => revision),
        [3]
      )
    })
  )
})
