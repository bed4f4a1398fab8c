import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { KindCaps } from "../../core/KindPolicy.ts"
import { allowanceOf, refilled, tokensMaxOf } from "../../core/pace.ts"
import { float8, int4 } from "./parameters.ts"

const lockSql = `SELECT kind_id FROM duetime.pace WHERE kind_id = $1::int4 FOR UPDATE`

/** Another claimer may come first; its row is then the one to lock. $1 kind id, $2 tokens. */
const createSql = `INSERT INTO duetime.pace (kind_id, tokens, refilled_at) VALUES ($1::int4, $2::float8, clock_timestamp())
  ON CONFLICT (kind_id) DO NOTHING`

/** $1 kind id, $2 how many in progress are worth counting. */
const figuresSql = `SELECT p.tokens, date_part('epoch', clock_timestamp() - p.refilled_at) * 1000 AS elapsed_ms,
    (SELECT count(*) FROM (SELECT 1 FROM duetime.in_progress WHERE kind_id = $1::int4 LIMIT $2::int4) i)::int4 AS in_progress
  FROM duetime.pace p WHERE p.kind_id = $1::int4`

/** $1 kind id, $2 tokens left, $3 ms since the last refill, as they were read. */
const takeSql = `UPDATE duetime.pace SET tokens = $2::float8, refilled_at = refilled_at + $3::float8 * interval '1 millisecond'
  WHERE kind_id = $1::int4`

/**
 * Claims of a kind within its caps, in one transaction per claim that locks the kind's row of `pace`. The figures are
 * read by a statement of their own after the lock was given, so that they hold what the claimer before has committed; that
 * needs READ COMMITTED. A claim that is given back gives no token back: slower, never faster.
 */
export const make =
  (sql: SqlClient) =>
  <Row, E, R>(
    kindId: number,
    caps: KindCaps,
    asked: number,
    claim: (limit: number) => Effect.Effect<ReadonlyArray<Row>, E, R>
  ) =>
    sql.withTransaction(
      Effect.gen(function* () {
        const { concurrencyMax, startsPerSecondMax } = caps
        yield* lock(sql, kindId, startsPerSecondMax === null ? 0 : tokensMaxOf(startsPerSecondMax))
        const [figures] = yield* sql.unsafe<{
          readonly tokens: number
          readonly elapsed_ms: number
          readonly in_progress: number
        }>(figuresSql, [int4(kindId), int4(concurrencyMax ?? 0)])
        const { elapsed_ms: elapsedMs, in_progress: inProgressCount, tokens } = figures ?? nothing
        const paced = startsPerSecondMax === null ? 0 : refilled(tokens, elapsedMs, startsPerSecondMax)
        const allowance = allowanceOf(caps, asked, inProgressCount, paced)
        const rows = yield* claim(allowance.limit)
        if (startsPerSecondMax !== null && rows.length > 0) {
          yield* sql.unsafe(takeSql, [int4(kindId), float8(paced - rows.length), float8(elapsedMs)])
        }
        return { rows, limit: allowance.limit, cappedForMs: allowance.cappedForMs(rows.length) }
      })
    )

/** A row that is locked does not vanish; without one, nothing may be claimed. */
const nothing = { tokens: 0, elapsed_ms: 0, in_progress: Infinity }

const lock = Effect.fnUntraced(function* (sql: SqlClient, kindId: number, tokens: number) {
  const locked = yield* sql.unsafe(lockSql, [int4(kindId)])
  if (locked.length > 0) return
  yield* sql.unsafe(createSql, [int4(kindId), float8(tokens)])
  yield* sql.unsafe(lockSql, [int4(kindId)])
})
