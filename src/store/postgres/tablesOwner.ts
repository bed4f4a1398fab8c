import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/**
 * Whoever changes tables does so as their owner, or a table would belong to whoever happened to make it, and the next one could not
 * attach, split or drop it. An account that is not the owner steps into its role for one transaction if it is a member; any other
 * account leaves tables as they are.
 */
export type TablesOwner = {
  /** As SQL writes it. */
  readonly name: string
  /** Whether this account may act for it. */
  readonly isOurs: boolean
  readonly isUs: boolean
}

/** Null: there are no tables yet, or they and their schema belong to several. Then everybody acts for himself. */
export const readTablesOwner = Effect.fnUntraced(function* (sql: SqlClient) {
  const [owner] = yield* sql<TablesOwner>`
    SELECT quote_ident(o.rolname) AS name, pg_has_role(o.oid, 'MEMBER') AS "isOurs", o.rolname = current_user AS "isUs"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspowner = c.relowner JOIN pg_roles o ON o.oid = c.relowner
    WHERE n.nspname = 'duetime' AND c.relname = 'event'`
  return owner ?? null
})

/** For the rest of the transaction. */
export const actAs = (sql: SqlClient, owner: TablesOwner | null): Effect.Effect<void, SqlError> =>
  owner === null || owner.isUs || !owner.isOurs
    ? Effect.void
    : Effect.asVoid(sql.unsafe(`SET LOCAL ROLE ${owner.name}`))
