import { Context } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"

/**
 * The store's own SQL client, which `attempt.commit` hands to handlers: what they run through it joins the transaction
 * of `TaskStore.finishWith`. Provided beside the PostgreSQL store; null on a store without SQL.
 */
export const CommitSql = Context.Reference<SqlClient | null>("duetime/worker/CommitSql", { defaultValue: () => null })
