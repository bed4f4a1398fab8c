import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { TestDatabase, database, onEachServer } from "./database.ts"

onEachServer("a test file's database", (server) => {
  layer(database({ server }))("of one layer", (it) => {
    it.effect("is empty and of the server that was asked for", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { serverVersion } = yield* TestDatabase
        const rows = yield* sql<{ version: string; tables: string }>`
          SELECT current_setting('server_version') AS version,
                 (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')::text AS tables`
        assert.deepStrictEqual(
          rows.map(({ tables }) => tables),
          ["0"]
        )
        assert.include(serverVersion, rows[0]?.version.split(" ")[0] ?? "no version")
        if (server === "embedded") assert.match(serverVersion, /18\./)
      })
    )
  })

  layer(database({ server }))("of another layer", (it) => {
    it.effect("is another database", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { database: mine } = yield* TestDatabase
        const rows = yield* sql<{ mine: string; others: string }>`
          SELECT current_database() AS mine, (SELECT count(*) FROM pg_database WHERE datname = ${mine})::text AS others`
        assert.deepStrictEqual(rows, [{ mine, others: "1" }])
      })
    )
  })
})
