import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { make as makePartitions } from "../src/store/postgres/Partitions.ts"
import * as PgTaskStore from "../src/store/postgres/PgTaskStore.ts"
import { ownClient } from "../src/store/postgres/ownClient.ts"
import { type ClaimCost, explainClaim } from "./explain.ts"
import { atMost } from "./report.ts"
import { server } from "./server.ts"

/**
 * What a claim of 100 due tasks costs with 10^4, 10^5 and 10^6 future tasks beside them (uniform over 30 days, of the same
 * kinds and priorities): buffers touched and time, as EXPLAIN ANALYZE tells of the very statement the store sends.
 */
const kindsCount = 5
const dueTasks = 100

export const claim = ({ futureTasks }: { readonly futureTasks: ReadonlyArray<number> }) => {
  const program = Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const own = yield* ownClient(sql, 1)
    yield* sql`INSERT INTO duetime.kind (name) SELECT 'bench.claim-' || n FROM generate_series(1, ${kindsCount}::int4) n`
    const kindIds = (yield* sql<{ readonly id: number }>`SELECT kind_id AS id FROM duetime.kind ORDER BY 1`).map(
      (row) => row.id
    )
    const partitions = makePartitions(sql, 14)
    yield* partitions.maintain
    const figures: Record<string, ClaimCost> = {}
    let loaded = 0
    const bornAt = sql.literal(
      `(lpad(to_hex((extract(epoch FROM at) * 1000)::int8), 12, '0') || substr(replace(gen_random_uuid()::text, '-', ''), 13))::uuid`
    )
    for (const future of futureTasks) {
      yield* sql`INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged)
        SELECT ${kindIds[0] ?? 1}::int4 + n % ${kindsCount}::int4, n % 4, at, ${bornAt}, 1, 0, 0
        FROM generate_series(1, ${future - loaded}::int4) n, LATERAL (SELECT clock_timestamp() + interval '1 hour' + random() * interval '29 days' + n * interval '0') d (at)`
      loaded = future
      yield* sql`DELETE FROM duetime.due WHERE due_at < clock_timestamp() + interval '1 minute'`
      yield* sql`INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged)
        SELECT ${kindIds[0] ?? 1}::int4 + n % ${kindsCount}::int4, n % 4, at, ${bornAt}, 1, 0, 0
        FROM generate_series(1, ${dueTasks}::int4) n, LATERAL (SELECT clock_timestamp() - interval '1 second' * random() + n * interval '0') d (at)`
      yield* sql`VACUUM ANALYZE duetime.due`.unprepared
      const [clock] = yield* sql<{ readonly ms: number }>`SELECT date_part('epoch', clock_timestamp()) * 1000 AS ms`
      const nowMs = Math.ceil(clock?.ms ?? 0)
      figures[String(future)] = yield* explainClaim({
        sql: own,
        kindIds,
        fromMs: nowMs - 5_000,
        horizonMs: nowMs + 1_500,
        limit: dueTasks,
        dueTablesOf: partitions.dueTablesOf
      })
    }
    const [first, ...others] = Object.values(figures)
    const worst = (field: "buffers" | "medianMs") =>
      Math.max(...others.map((figure) => figure[field])) / (first?.[field] ?? 1)
    return {
      settings: { kindsCount, dueTasks },
      figures: { byFutureTasks: figures, buffersGrowth: worst("buffers"), timeGrowth: worst("medianMs") },
      floors: [
        atMost("growth of buffers, 10^4 to 10^6 future tasks", 1.5, worst("buffers")),
        atMost("growth of time", 1.5, worst("medianMs"))
      ]
    }
  })
  return Effect.provide(Effect.scoped(program), PgTaskStore.layer({ migrate: true }).pipe(Layer.provideMerge(server)))
}
