import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"

/** What the server was asked, as pg_stat_statements counts it; for servers made with `counting`, which count planning as well. */
export const counting = { "pg_stat_statements.track_planning": "on" }

/** Characters by which a statement is known in a report: a claim has another text for each set of partitions. */
const beginningLength = 100

export const startCounting = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* sql`SELECT pg_stat_statements_reset()`
})

/** Since `startCounting`, planning and execution together. */
export const countedStatements = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{
    readonly query: string
    readonly calls: number
    readonly ms: number
  }>`SELECT query, calls::float8 AS calls, total_exec_time + total_plan_time AS ms FROM pg_stat_statements
    WHERE query NOT LIKE '%pg_stat_statements%'`
  const statements = new Map<string, { readonly calls: number; readonly ms: number }>()
  for (const { calls, ms, query } of rows) {
    const beginning = query.replaceAll(/\s+/g, " ").slice(0, beginningLength)
    const before = statements.get(beginning)
    statements.set(beginning, { calls: calls + (before?.calls ?? 0), ms: ms + (before?.ms ?? 0) })
  }
  return statements
})

/** Those with the most of something, so many per second. */
export const most = (
  statements: ReadonlyMap<string, { readonly calls: number; readonly ms: number }>,
  field: "calls" | "ms",
  seconds: number,
  count: number
): Readonly<Record<string, number>> =>
  Object.fromEntries(
    [...statements]
      .map(([beginning, statement]) => [beginning, statement[field] / seconds] as const)
      .toSorted(([, left], [, right]) => right - left)
      .slice(0, count)
  )
