import { Migrator } from "effect/sql"
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { readdirSync, readFileSync } from "node:fs"
import { SchemaNewer, SchemaOutdated } from "../StoreError.ts"
import { checkVersion } from "./serverChecks.ts"
import { orUnavailable } from "./sqlErrors.ts"

/**
 * `schema/NNNN_verb_object.sql`, forward only. All pending files run in one transaction under an exclusive lock on
 * `duetime.migration`, so any number of processes may migrate at once.
 */
export type Migration = { readonly id: number; readonly name: string; readonly statements: ReadonlyArray<string> }

const schemaDirectory = new URL("../../../schema/", import.meta.url)

export const all: Effect.Effect<ReadonlyArray<Migration>> = Effect.sync(() =>
  readdirSync(schemaDirectory)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .toSorted()
    .map((file) => ({
      id: Number.parseInt(file.slice(0, 4), 10),
      name: file.slice(5, -4),
      statements: splitStatements(readFileSync(new URL(file, schemaDirectory), "utf8"))
    }))
)

/** Applies what is pending and returns it. */
export const migrate = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* checkVersion(sql)
  const migrations = yield* all
  yield* checkNotNewer(migrations)
  // Two first migrations at once can both find the schema missing; the loser sees a unique violation and looks again.
  yield* sql`CREATE SCHEMA IF NOT EXISTS duetime`.pipe(Effect.retry({ times: 1 }))
  const loader = Effect.succeed(
    migrations.map(({ id, name, statements }): Migrator.ResolvedMigration => [
      id,
      name,
      Effect.succeed(Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true }))
    ])
  )
  return yield* Migrator.make({})({ loader, table: "duetime.migration" })
}).pipe(
  Effect.catchTag("MigrationError", (error) => Effect.die(error)),
  orUnavailable("migrate")
)

/** What `migrate` would apply. */
export const pending = Effect.gen(function* () {
  const found = yield* latestApplied
  return (yield* all).filter((migration) => migration.id > found)
}).pipe(orUnavailable("migrate"))

/** Numbers of the last migration that is applied, 0 for none, and of the last one that this code knows. */
export const standing = Effect.gen(function* () {
  const applied = yield* latestApplied
  return { applied, known: (yield* all).at(-1)?.id ?? 0 }
})

/** Fails unless the server is new enough and the database exactly as this code knows it. */
export const check = Effect.gen(function* () {
  yield* checkVersion(yield* SqlClient)
  const migrations = yield* all
  const needed = migrations.at(-1)?.id ?? 0
  const found = yield* checkNotNewer(migrations)
  if (found < needed) return yield* new SchemaOutdated({ found, needed })
}).pipe(orUnavailable("checkSchema"))

const checkNotNewer = Effect.fnUntraced(function* (migrations: ReadonlyArray<Migration>) {
  const known = migrations.at(-1)?.id ?? 0
  const found = yield* latestApplied
  if (found > known) return yield* new SchemaNewer({ found, known })
  return found
})

const latestApplied = Effect.gen(function* () {
  const sql = yield* SqlClient
  const [table] = yield* sql<{
    readonly exists: boolean
  }>`SELECT to_regclass('duetime.migration') IS NOT NULL AS exists`
  if (table?.exists !== true) return 0
  const [latest] = yield* sql<{
    readonly id: number | null
  }>`SELECT max(migration_id)::int4 AS id FROM duetime.migration`
  return latest?.id ?? 0
})

/**
 * Statements of a file: split at semicolons that end a line, outside of $$ bodies, since the extended protocol takes
 * one statement at a time.
 */
export const splitStatements = (text: string): ReadonlyArray<string> => {
  const statements: Array<string> = []
  let statement = ""
  let inBody = false
  for (const line of text.split("\n")) {
    if (!inBody && statement.trim() === "" && line.trimStart().startsWith("--")) continue
    statement += `${line}\n`
    if ((line.match(/\$\$/g)?.length ?? 0) % 2 === 1) inBody = !inBody
    if (!inBody && line.trimEnd().endsWith(";")) {
      statements.push(statement.trim().slice(0, -1))
      statement = ""
    }
  }
  if (statement.trim() !== "") statements.push(statement.trim())
  return statements
}
