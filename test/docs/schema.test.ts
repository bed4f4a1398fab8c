import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Migrations from "../../src/store/postgres/Migrations.ts"
import { database } from "../setup/database.ts"

/** `## \`table\`` followed by rows `| \`column\` | meaning |`. */
const documented = (): Record<string, ReadonlyArray<string>> => {
  const tables: Record<string, Array<string>> = {}
  let columns: Array<string> = []
  for (const line of fs.readFileSync("schema/README.md", "utf8").split("\n")) {
    const [, table] = /^## `(\w+)`/.exec(line) ?? []
    if (table !== undefined) tables[table] = columns = []
    const [, column] = /^\| `(\w+)` \| \S/.exec(line) ?? []
    if (column !== undefined) columns.push(column)
  }
  return tables
}

layer(database())("schema/README.md", (it) => {
  it.effect("tells the meaning of every column of a migrated database, in order, and of nothing else", () =>
    Effect.gen(function* () {
      yield* Migrations.migrate
      const sql = yield* PgClient.PgClient
      const rows = yield* sql<{ readonly name: string; readonly columns: ReadonlyArray<string> }>`
        SELECT c.relname::text AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'duetime'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
        GROUP BY c.relname`
      assert.isAbove(rows.length, 0)
      assert.deepStrictEqual(documented(), Object.fromEntries(rows.map(({ columns, name }) => [name, columns])))
    })
  )
})

describe("the files of migrations", () => {
  it("say which of them took something away that older code needs: those whose verb is contract, and no others", () => {
    const files = fs.readdirSync("schema").filter((file) => /^\d{4}_/.test(file))
    assert.isAbove(files.length, 10)
    for (const file of files) {
      const [, isBreaking] = /^-- breaking: (yes|no)$/m.exec(fs.readFileSync(`schema/${file}`, "utf8")) ?? []
      assert.strictEqual(isBreaking, /^\d{4}_contract_/.test(file) ? "yes" : "no", file)
    }
  })
})
