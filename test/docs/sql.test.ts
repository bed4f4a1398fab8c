import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Migrations from "../../src/store/postgres/Migrations.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { database } from "../setup/database.ts"
import { connect } from "../store/postgres/sqlSchedule.ts"
import { blocksOf } from "./pageCode.ts"

/** Statements end at a semicolon before the next one's first word; those within a function do not begin with one of these. */
const statementsOf = (block: string): ReadonlyArray<string> =>
  block.trim().split(/;\n(?=BEGIN|COMMIT|CREATE|GRANT|INSERT|SELECT)/)

layer(database(), { excludeTestServices: true, timeout: 60_000 })("docs/guide/sql.md", (it) => {
  it.effect("shows statements that do what it says: an invoice and its reminder, rights, and a trigger", () =>
    Effect.gen(function* () {
      yield* Migrations.migrate
      const sql = yield* connect()
      // A store that was started once has made the partitions.
      yield* Effect.provide(Effect.void, PgTaskStore.layerStore({ unsafeDurability: true }))
      yield* sql`CREATE TABLE invoice (id int PRIMARY KEY, customer text, remind_at timestamptz)`
      const role = yield* sql`SELECT FROM pg_roles WHERE rolname = 'app'`
      if (role.length === 0) yield* sql`CREATE ROLE app`
      const blocks = blocksOf("docs/guide/sql.md", "sql")
      assert.lengthOf(blocks, 3)
      for (const statement of blocks.flatMap(statementsOf)) yield* sql.unsafe(statement)
      yield* sql`INSERT INTO invoice (id, customer, remind_at) VALUES (8, 'Bob', '2031-01-01T09:00Z')`
      assert.deepStrictEqual(yield* sql`SELECT key FROM duetime.key ORDER BY key`, [
        { key: "invoice 7" },
        { key: "invoice 8" }
      ])
      yield* sql`DROP OWNED BY app`
    }).pipe(Effect.scoped)
  )
})
