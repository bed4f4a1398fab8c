import { PgClient } from "@effect/sql-pg"
import { Effect, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlError } from "effect/sql/SqlError"
import { keepAliveMs } from "./keepAlive.ts"
import { idleInTransactionTimeoutMs, lockTimeoutMs } from "./sqlErrors.ts"

/** No statement of the hot path takes a second; one that does is stuck. */
const statementTimeoutMs = 30_000

/** What the store's own connections ask of the server when they begin; by `pg_settings`, times in ms. */
export const connectionSettings: Readonly<Record<string, string>> = {
  lock_timeout: String(lockTimeoutMs),
  // Whoever waited for a row reads the figures anew (pace.ts); a stricter level would show it those from before.
  default_transaction_isolation: "read committed",
  statement_timeout: String(statementTimeoutMs),
  idle_in_transaction_session_timeout: String(idleInTransactionTimeoutMs),
  // A batch of one looks cheaper when it is planned for itself, so the server would plan every statement anew: at 200 tasks/s a
  // fifth of its processor time, and 2 ms of each claim (bench/drift.ts). With the settings below either plan is safe (docs/adr/0001).
  plan_cache_mode: "force_generic_plan",
  // A batch reaches its rows by key. Hashing or merging would read whole tables, which statistics taken while they
  // were empty make look cheap (docs/adr/0001).
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  enable_seqscan: "off"
}

/** Same server, same account, own pool. */
export const ownClient = (
  ambient: PgClient.PgClient,
  maxConnections: number
): Effect.Effect<PgClient.PgClient, SqlError, Scope.Scope> =>
  PgClient.make({
    ...ambient.config,
    keepAlive: ambient.config.keepAlive ?? keepAliveMs,
    applicationName: "duetime",
    multiplex: false,
    maxConnections,
    startupParameters: { ...ambient.config.startupParameters, ...connectionSettings }
  }).pipe(Effect.provide(Reactivity.layer))
