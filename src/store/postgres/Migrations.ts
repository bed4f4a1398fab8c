import { Migrator } from "effect/sql"
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { SchemaNewer, SchemaOutdated } from "../StoreError.ts"
import { applyAgain as applyRolesAgain } from "./Roles.ts"
import { fileNames, statementsIn } from "./schemaFiles.ts"
import { checkVersion } from "./serverChecks.ts"
import { isSqlError, lockTimeoutMs, orUnavailable } from "./sqlErrors.ts"
import { actAs, readTablesOwner } from "./tablesOwner.ts"

/**
 * `schema/NNNN_verb_object.sql`, forward only. All pending files run in one transaction under an exclusive lock on
 * `duetime.migration`, so any number of processes may migrate at once.
 */
export type Migration = { readonly id: number; readonly name: string; readonly statements: ReadonlyArray<string> }

export const all: Effect.Effect<ReadonlyArray<Migration>> = Effect.sync(() =>
  fileNames()
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .toSorted()
    .map((file) => ({
      id: Number.parseInt(file.slice(0, 4), 10),
      name: file.slice(5, -4),
      statements: statementsIn(file)
    }))
)

/**
 * Applies what is pending and returns it. Where nothing is, any account may ask; else only one that may act for the tables' owner. A lock
 * that cannot be had soon is given up with nothing changed: whoever waits for it stands in front of every task.
 */
export const migrate = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* checkVersion(sql)
  const migrations = yield* all
  const needed = migrations.at(-1)?.id ?? 0
  const found = yield* checkNotNewer(migrations)
  if (found >= needed) return []
  const owner = yield* readTablesOwner(sql)
  if (owner?.isOurs === false) return yield* new SchemaOutdated({ found, needed })
  // Two first migrations at once can both find the schema missing; the loser sees a unique violation and looks again.
  if (found === 0) yield* sql`CREATE SCHEMA IF NOT EXISTS duetime`.pipe(Effect.retry({ times: 1 }))
  const loader = Effect.succeed(
    migrations.map(({ id, name, statements }): Migrator.ResolvedMigration => [
      id,
      name,
      Effect.succeed(
        Effect.andThen(
          Effect.andThen(actAs(sql, owner), sql.unsafe(`SET LOCAL lock_timeout = ${lockTimeoutMs}`)),
          Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true })
        )
      )
    ])
  )
  const applied = yield* Migrator.make({})({ loader, table: "duetime.migration" })
  yield* applyRolesAgain
  return applied
}).pipe(
  Effect.catchTag("MigrationError", (error) =>
    isSqlError(error.cause) ? Effect.fail(error.cause) : Effect.die(error)
  ),
  orUnavailable("migrate")
)

/** What `migrate` would apply. */
export const pending = Effect.gen(function* () {
  const found = yield* latestApplied
  return (yield* all).filter((migration) => migration.id > found)
}).pipe(orUnavailable("migrate"))

/** Numbers of the last migration that is applied, 0 for none, and of the last one that this code knows; and whether it fits them. */
export const standing = Effect.gen(function* () {
  const applied = yield* latestApplied
  const known = (yield* all).at(-1)?.id ?? 0
  const fits = applied === known || (applied > known && (yield* contractionAfter(known)) === undefined)
  return { applied, known, fits }
})

/** Fails unless the server is new enough and the tables have all that this code knows. */
export const check = Effect.gen(function* () {
  yield* checkVersion(yield* SqlClient)
  const migrations = yield* all
  const needed = migrations.at(-1)?.id ?? 0
  const found = yield* checkNotNewer(migrations)
  if (found < needed) return yield* new SchemaOutdated({ found, needed })
}).pipe(orUnavailable("checkSchema"))

/**
 * Older code goes on working on newer tables, and may be started on them, as long as they were only added to: so a release can be
 * rolled out, and rolled back, node by node. A file whose verb is `contract` takes away what the releases before needed.
 */
const checkNotNewer = Effect.fnUntraced(function* (migrations: ReadonlyArray<Migration>) {
  const known = migrations.at(-1)?.id ?? 0
  const found = yield* latestApplied
  if (found <= known) return found
  const contraction = yield* contractionAfter(known)
  if (contraction !== undefined) {
    return yield* new SchemaNewer({ found, known, contraction: fileNameOf(contraction) })
  }
  return found
})

const contractionAfter = Effect.fnUntraced(function* (known: number) {
  const sql = yield* SqlClient
  const [contraction] = yield* sql<{ readonly id: number; readonly name: string }>`
    SELECT migration_id AS id, name FROM duetime.migration
    WHERE migration_id > ${known} AND name LIKE 'contract\\_%' ORDER BY migration_id LIMIT 1`
  return contraction
})

export const fileNameOf = ({ id, name }: { readonly id: number; readonly name: string }): string =>
  `${String(id).padStart(4, "0")}_${name}`

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
