import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { statementsIn } from "./schemaFiles.ts"
import { readTablesOwner } from "./tablesOwner.ts"

/** `schema/roles.sql`: who owns the tables, and what each role may do with them. */
export const roleNames = ["owner", "engine", "worker", "producer", "reader"] as const

export const prefixDefault = "duetime"

/** Makes the roles that are missing and brings the grants of all tables that are there to what the file says. Idempotent. */
export const apply = Effect.fnUntraced(function* (prefix: string) {
  const sql = yield* SqlClient
  yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`SELECT set_config('duetime.role_prefix', ${prefix}, true)`
      for (const statement of statementsIn("roles.sql")) yield* sql.unsafe(statement).unprepared
    })
  )
})

/** After a migration: what it has made is to have its grants too, if there are roles. */
export const applyAgain = Effect.gen(function* () {
  const owner = yield* readTablesOwner(yield* SqlClient)
  const [, prefix] = /^([a-z][a-z0-9_]*)_owner$/.exec(owner?.name ?? "") ?? []
  if (prefix !== undefined && (yield* haveRoles(prefix))) yield* apply(prefix)
})

const haveRoles = Effect.fnUntraced(function* (prefix: string) {
  const sql = yield* SqlClient
  const [found] = yield* sql<{ readonly count: number }>`
    SELECT count(*)::int4 AS count FROM pg_roles WHERE rolname = ANY (${roleNames.map((name) => `${prefix}_${name}`)}::text[])`
  return found?.count === roleNames.length
})
