import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { instant, int2s, int4, int4s } from "../src/store/postgres/parameters.ts"
import { make as makePartitions } from "../src/store/postgres/Partitions.ts"
import * as PgTaskStore from "../src/store/postgres/PgTaskStore.ts"
import { claimSql } from "../src/store/postgres/statements.ts"
import { Session } from "../src/store/Session.ts"
import { atMost } from "./report.ts"
import { server } from "./server.ts"

/**
 * What a claim of 100 due tasks costs with 10^4, 10^5 and 10^6 future tasks beside them (uniform over 30 days, of the same
 * kinds and priorities): buffers touched and time, as EXPLAIN ANALYZE tells of the very statement the store sends.
 */
const kindsCount = 5
const dueTasks = 100
const runs = 30

export const claim = ({ futureTasks }: { readonly futureTasks: ReadonlyArray<number> }) => {
  const program = Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const session = yield* Session
    yield* sql`INSERT INTO duetime.kind (name) SELECT 'bench.claim-' || n FROM generate_series(1, ${kindsCount}::int4) n`
    const kindIds = (yield* sql<{ readonly id: number }>`SELECT kind_id AS id FROM duetime.kind ORDER BY 1`).map(
      (row) => row.id
    )
    const lanes = kindIds.flatMap((kindId) => [0, 1, 2, 3].map((rank) => ({ kindId, rank })))
    const partitions = makePartitions(sql, 14)
    yield* partitions.maintain
    const figures: Record<
      string,
      { readonly buffers: number; readonly medianMs: number; readonly planningMs: number }
    > = {}
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
      const parameters = [
        int4s(lanes.map((lane) => lane.kindId)),
        int2s(lanes.map((lane) => lane.rank)),
        instant(nowMs - 5_000),
        instant(nowMs + 1_500),
        int4(dueTasks),
        int4(session.id()),
        instant(nowMs + 86_400_000)
      ]
      const statement = claimSql(partitions.dueTablesOf(nowMs - 5_000, nowMs + 1_500))
      const samples: Array<Plan> = []
      for (let run = 0; run < runs; run++) {
        const plan = yield* sql
          .withTransaction(
            sql.unsafe<Explained>(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`, parameters).pipe(
              Effect.map(planOf),
              Effect.flatMap((found) => Effect.fail(new RolledBack(found)))
            )
          )
          .pipe(
            Effect.catchIf(
              (error) => error instanceof RolledBack,
              (error) => Effect.succeed(error.plan)
            )
          )
        samples.push(plan)
      }
      const last = samples.slice(5)
      figures[String(future)] = {
        buffers: median(last.map((plan) => plan.buffers)),
        medianMs: median(last.map((plan) => plan.executionMs)),
        planningMs: median(last.map((plan) => plan.planningMs))
      }
    }
    const [first, ...others] = Object.values(figures)
    const worst = (field: "buffers" | "medianMs") =>
      Math.max(...others.map((figure) => figure[field])) / (first?.[field] ?? 1)
    return {
      settings: { kindsCount, dueTasks, runs },
      figures: { byFutureTasks: figures, buffersGrowth: worst("buffers"), timeGrowth: worst("medianMs") },
      floors: [
        atMost("growth of buffers, 10^4 to 10^6 future tasks", 1.5, worst("buffers")),
        atMost("growth of time", 1.5, worst("medianMs"))
      ]
    }
  })
  return Effect.provide(program, PgTaskStore.layer({ migrate: true }).pipe(Layer.provideMerge(server)))
}

type Plan = { readonly buffers: number; readonly executionMs: number; readonly planningMs: number }
type Explained = { readonly "QUERY PLAN": ReadonlyArray<Readonly<Record<string, unknown>>> }

class RolledBack {
  readonly plan: Plan
  constructor(plan: Plan) {
    this.plan = plan
  }
}

const planOf = (rows: ReadonlyArray<Explained>): Plan => {
  const explained = rows[0]?.["QUERY PLAN"][0] ?? {}
  const plan = explained["Plan"]
  const number = (value: unknown) => (typeof value === "number" ? value : 0)
  const root = typeof plan === "object" && plan !== null ? new Map(Object.entries(plan)) : new Map<string, unknown>()
  return {
    buffers: number(root.get("Shared Hit Blocks")) + number(root.get("Shared Read Blocks")),
    executionMs: number(explained["Execution Time"]),
    planningMs: number(explained["Planning Time"])
  }
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0
