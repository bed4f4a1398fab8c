import { layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { assert, expect } from "vitest"
import * as Migrations from "../../src/store/postgres/Migrations.ts"
import { differencesOf } from "../../src/store/postgres/schemaDifferences.ts"
import { dumpOf, objectsOf, parseDump } from "../../src/store/postgres/schemaObjects.ts"
import { database, onEachServer } from "../setup/database.ts"

onEachServer("schema/snapshot.sql", (server) => {
  layer(database({ server }))((it) => {
    it.effect("is what the migrations make, and reads back as it was written", () =>
      Effect.gen(function* () {
        yield* Migrations.migrate
        const found = yield* objectsOf(yield* SqlClient)
        const text = dumpOf(found)
        assert.deepStrictEqual(differencesOf(parseDump(text), found), [])
        assert.sameMembers(
          [...new Set(found.map(({ type }) => type))],
          ["table", "column", "constraint", "index", "function", "trigger", "view"]
        )
        if (server === "embedded")
          yield* Effect.promise(() => expect(text).toMatchFileSnapshot("../../schema/snapshot.sql"))
      })
    )
  })
})
