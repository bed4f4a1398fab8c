import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Migrator } from "effect/sql"
import * as Migrations from "../../../src/store/postgres/Migrations.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import { database, onEachServer } from "../../setup/database.ts"
import { connect, refusalOf, scheduleBy } from "./sqlSchedule.ts"

/** The database as a version before left it. */
const migrateUpTo = Effect.fnUntraced(function* (id: number) {
  const sql = yield* PgClient.PgClient
  yield* sql`CREATE SCHEMA duetime`
  const before = (yield* Migrations.all).filter((migration) => migration.id <= id)
  const loader = Effect.succeed(
    before.map(({ id, name, statements }): Migrator.ResolvedMigration => [
      id,
      name,
      Effect.succeed(Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true }))
    ])
  )
  yield* Migrator.make({})({ loader, table: "duetime.migration" })
})

const rolesOf = (who: string) => [`owner_${who}`, `app_${who}`, `lead_${who}`, `stranger_${who}`] as const

onEachServer("The migration that gives duetime.schedule an expiry", (server) => {
  layer(database({ server }), { excludeTestServices: true, timeout: 60_000 })("on a database in use", (it) => {
    it.effect("keeps the owner, the grants, triggers and prepared statements of the function before", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* migrateUpTo(9)
        const [row] = yield* sql<{ readonly who: string }>`SELECT replace(gen_random_uuid()::text, '-', '') AS who`
        const [owner, app, lead, stranger] = rolesOf(row?.who ?? "")
        for (const role of [owner, app, lead, stranger]) {
          yield* sql.unsafe(`CREATE ROLE ${role} LOGIN`)
          yield* Effect.addFinalizer(() =>
            Effect.orDie(Effect.andThen(sql.unsafe(`DROP OWNED BY ${role} CASCADE`), sql.unsafe(`DROP ROLE ${role}`)))
          )
          yield* sql.unsafe(`GRANT USAGE ON SCHEMA duetime TO ${role}`)
        }
        yield* sql.unsafe(`ALTER FUNCTION duetime.schedule OWNER TO ${owner}`)
        yield* sql.unsafe(`GRANT EXECUTE ON FUNCTION duetime.schedule TO ${app}`)
        yield* sql.unsafe(`GRANT EXECUTE ON FUNCTION duetime.schedule TO ${lead} WITH GRANT OPTION`)
        // A default that would give every new function to somebody who may not have this one.
        yield* sql.unsafe(`ALTER DEFAULT PRIVILEGES IN SCHEMA duetime GRANT EXECUTE ON FUNCTIONS TO ${stranger}`)
        const grants = sql<{
          readonly acl: ReadonlyArray<string>
          readonly owner: string
          readonly hardening: unknown
        }>`
          SELECT pg_get_userbyid(p.proowner)::text AS owner, p.proacl::text[] AS acl,
            ARRAY[p.prosecdef::text, p.proconfig::text, p.provolatile::text] AS hardening
          FROM pg_proc p WHERE p.pronamespace = 'duetime'::regnamespace AND p.proname = 'schedule'`
        const [before] = yield* grants
        // The function's owner needs what it touches, as whoever ran the migrations has it.
        yield* sql.unsafe(`GRANT ALL ON ALL TABLES IN SCHEMA duetime TO ${owner}`)
        yield* sql.unsafe(`GRANT ALL ON ALL SEQUENCES IN SCHEMA duetime TO ${owner}`)
        yield* sql.unsafe(`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA duetime TO ${owner}`)
        const theirs = yield* connect(app)
        const prepared = { kind: "mail", key: "k", dueAt: "now() + interval '1 hour'" }
        // Planned, and refused: no program has made partitions yet.
        assert.strictEqual((yield* refusalOf(scheduleBy(theirs, prepared))).code, "55000")
        yield* sql`CREATE TABLE invoice (id int4)`
        yield* sql.unsafe(`GRANT INSERT ON invoice TO ${app}`)
        yield* sql.unsafe(`CREATE FUNCTION remind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM duetime.schedule('mail', to_jsonb(NEW), now() + interval '1 hour', 'invoice ' || NEW.id, 'low', 'customer', interval '1 hour');
          RETURN NEW; END $$`)
        yield* sql`CREATE TRIGGER remind AFTER INSERT ON invoice FOR EACH ROW EXECUTE FUNCTION remind()`
        assert.strictEqual((yield* refusalOf(theirs`INSERT INTO invoice VALUES (7)`)).code, "55000")

        yield* Layer.build(PgTaskStore.layer({ migrate: true, unsafeDurability: true }))

        const [after] = yield* grants
        assert.deepStrictEqual(after?.hardening, before?.hardening)
        assert.strictEqual(after?.owner, owner)
        assert.sameMembers([...(after?.acl ?? [])], [...(before?.acl ?? [])])
        assert.isTrue((yield* scheduleBy(theirs, prepared)).created)
        assert.isTrue((yield* scheduleBy(theirs, { kind: "mail", expiresIn: "interval '1 hour'" })).created)
        yield* theirs`INSERT INTO invoice VALUES (7)`
        const [stored] = yield* sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM duetime.due`
        assert.strictEqual(stored?.n, 3)
        const nobody = yield* connect(stranger)
        assert.strictEqual((yield* refusalOf(scheduleBy(nobody, { kind: "mail" }))).code, "42501")
      }).pipe(Effect.scoped)
    )
  })
})
