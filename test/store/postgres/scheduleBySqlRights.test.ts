import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Duetime } from "../../../src/Duetime.ts"
import * as Migrations from "../../../src/store/postgres/Migrations.ts"
import { database, onEachServer } from "../../setup/database.ts"
import { connect, refusalOf, scheduleBy } from "./sqlSchedule.ts"
import { pgStore } from "./world.ts"

const denied = "42501"

/** An account of the server for one test; accounts belong to all databases, so it has a name of its own. */
const account = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{
    readonly name: string
  }>`SELECT 'sql_' || replace(gen_random_uuid()::text, '-', '') AS name`
  const name = row?.name ?? ""
  yield* sql.unsafe(`CREATE ROLE ${name} LOGIN`)
  yield* Effect.addFinalizer(() =>
    Effect.orDie(Effect.andThen(sql.unsafe(`DROP OWNED BY ${name}`), sql.unsafe(`DROP ROLE ${name}`)))
  )
  return name
})

layer(database())("a database that is migrated, and on which nothing of duetime has ever run", (it) => {
  it.effect("has no place for tasks, and says what makes one", () =>
    Effect.gen(function* () {
      yield* Migrations.migrate
      const refusal = yield* refusalOf(scheduleBy(yield* PgClient.PgClient, { kind: "mail" }))
      assert.strictEqual(refusal.code, "55000")
      assert.match(refusal.hint, /^Start an engine/)
    })
  )
})

onEachServer("An account of the database", (server) => {
  layer(pgStore(server), { excludeTestServices: true, timeout: 60_000 })("that may execute duetime.schedule", (it) => {
    it.effect("schedules, by the grant of the documentation, and may do nothing else with the tables", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const name = yield* account
        yield* sql.unsafe(`GRANT USAGE ON SCHEMA duetime TO ${name}`)
        yield* sql.unsafe(`GRANT EXECUTE ON FUNCTION duetime.schedule TO ${name}`)
        const theirs = yield* connect(name)
        for (const given of [
          { kind: "mail" },
          { kind: "mail", key: "k", orderingKey: "customer 7" },
          { kind: "mail", expiresIn: "interval '1 hour'" },
          { kind: "mail", dueAt: "now() + interval '1 hour'", expiresAt: "now() + interval '2 hours'" }
        ]) {
          assert.isTrue((yield* scheduleBy(theirs, given)).created)
        }
        assert.isFalse((yield* scheduleBy(theirs, { kind: "mail", key: "k" })).created)
        assert.strictEqual((yield* refusalOf(scheduleBy(theirs, { kind: "no such Kind" }))).column, "kind")

        const allowed = yield* theirs<{ readonly what: string }>`
          SELECT c.relname::text || ': ' || r AS what
          FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) r
          WHERE c.relnamespace = 'duetime'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege(c.oid, r)
          UNION ALL
          SELECT p.proname::text FROM pg_proc p
          WHERE p.pronamespace = 'duetime'::regnamespace AND p.prorettype <> 'trigger'::regtype AND has_function_privilege(p.oid, 'EXECUTE')`
        assert.deepStrictEqual(allowed, [{ what: "schedule" }])
        const attempts = [
          "SELECT * FROM duetime.due",
          "SELECT payload FROM (SELECT data AS payload FROM duetime.event) e",
          "DELETE FROM duetime.due",
          "SELECT * FROM duetime.expiring",
          "INSERT INTO duetime.paused_queue (queue) VALUES ('default')",
          "UPDATE duetime.kind SET policy = NULL",
          "SELECT duetime.slot_of_key('a')",
          "CREATE TABLE duetime.mine (n int4)"
        ]
        for (const attempt of attempts) {
          assert.strictEqual((yield* refusalOf(theirs.unsafe(attempt))).code, denied, attempt)
        }
      }).pipe(Effect.scoped)
    )

    it.effect("is nobody by default, not even who may use the schema", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const name = yield* account
        const theirs = yield* connect(name)
        assert.strictEqual((yield* refusalOf(scheduleBy(theirs, { kind: "mail" }))).code, denied)
        yield* sql.unsafe(`GRANT USAGE ON SCHEMA duetime TO ${name}`)
        assert.strictEqual((yield* refusalOf(scheduleBy(theirs, { kind: "mail" }))).code, denied)
      }).pipe(Effect.scoped)
    )

    it.effect("cannot make it run what its own schemas put in the way", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const name = yield* account
        yield* sql.unsafe(`GRANT USAGE ON SCHEMA duetime TO ${name}`)
        yield* sql.unsafe(`GRANT EXECUTE ON FUNCTION duetime.schedule TO ${name}`)
        yield* sql.unsafe(`CREATE SCHEMA ${name} AUTHORIZATION ${name}`)
        const theirs = yield* connect(name)
        for (const [signature, body] of [
          ["gen_random_uuid() RETURNS uuid", "SELECT 1 / 0; SELECT NULL::uuid"],
          ["clock_timestamp() RETURNS timestamptz", "SELECT 1 / 0; SELECT NULL::timestamptz"]
        ]) {
          for (const schema of [name, "pg_temp"]) {
            yield* theirs.unsafe(`CREATE FUNCTION ${schema}.${signature} LANGUAGE sql AS '${body}'`)
          }
        }
        yield* theirs.unsafe(`SET search_path = ${name}, pg_temp, pg_catalog`)
        const { task_id } = yield* scheduleBy(theirs, { kind: "mail" })
        const duetime = yield* Effect.provide(Duetime, Duetime.layer)
        assert.strictEqual((yield* duetime.get(task_id)).kind, "mail")
      }).pipe(Effect.scoped)
    )
  })
})
