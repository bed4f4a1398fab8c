/**
 * Buffers and time of one claim of 100 tasks, from EXPLAIN (ANALYZE, BUFFERS) of the prepared statement inside a transaction
 * that is rolled back. Four shapes over N pending rows of 30 days:
 * (a) all are in the future but the due ones; (b) the due ones have a worse priority than all future ones; (c) all N are
 * due; (d) 190,000 (or nine tenths of the day) were claimed before it while an old snapshot keeps every dead row visible.
 */
import { Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import { pinnedSettings } from "./cycle.ts"
import * as Driver from "./driver.ts"
import { dayMs, daySuffix, type Layout } from "./layout.ts"
import { horizonDays } from "./load.ts"
import { explain, number, run } from "./probe.ts"
import type { Server } from "./server.ts"

export interface ClaimCost {
  readonly layout: string
  readonly rows: number
  readonly shape: string
  readonly claimed: number
  readonly buffers: number
  readonly pickBuffers: number
  readonly executionMs: number
  readonly planningMs: number
}

const claimSize = 100
const prefixRows = 190_000
const repetitions = 7

export const claimCost = Effect.fnUntraced(function* (
  server: Server,
  layout: Layout,
  schema: string,
  rows: number,
  todayMs: number
) {
  const connection = yield* server.connect({ search_path: schema, ...pinnedSettings })
  const results: Array<ClaimCost> = []
  const [statement] = layout.claims
  const measure = Effect.fnUntraced(function* (
    shape: string,
    dayStartMs: number,
    lanes: Driver.Lanes,
    horizonMs: number
  ) {
    const text = (statement?.sql ?? "").replaceAll("{day}", daySuffix(dayStartMs))
    yield* run(connection, "DEALLOCATE ALL", `PREPARE claim AS ${text}`)
    const execute = `EXECUTE claim(${literals(lanes, horizonMs)})`
    const plans = []
    for (let repetition = 0; repetition <= repetitions; repetition++) {
      yield* run(connection, "BEGIN")
      plans.push(yield* explain(connection, execute))
      yield* run(connection, "ROLLBACK")
    }
    const warm = plans.slice(1)
    results.push({
      layout: layout.name,
      rows,
      shape,
      claimed: warm[0]?.rows ?? 0,
      buffers: median(warm.map((plan) => plan.buffers)),
      pickBuffers: median(warm.map((plan) => plan.pickBuffers)),
      executionMs: median(warm.map((plan) => plan.executionMs)),
      planningMs: median(warm.map((plan) => plan.planningMs))
    })
  })

  const first = todayMs + dayMs
  const quota = claimSize / (Driver.kindCount * Driver.priorityCount)
  const enoughMs = Math.ceil((horizonDays * dayMs * claimSize * 3) / rows)
  yield* measure("a", first, Driver.makeLanes(quota, first - 1), first + enoughMs)
  yield* measure("c", first, Driver.makeLanes(quota, first - 1), first + horizonDays * dayMs)

  // (b): 40 due tasks of each kind at a priority that comes after all others.
  const driver = Driver.make(connection, layout, 1)
  const worst = 9
  yield* driver.schedule(
    Array.from({ length: Driver.kindCount * 40 }, (_, index) => ({
      ...Driver.makeTask(first + dayMs + 1),
      kind: index % Driver.kindCount,
      priority: worst
    }))
  )
  yield* measure(
    "b",
    first + dayMs,
    Driver.makeLanes(claimSize / Driver.kindCount, first + dayMs - 1, [0, 1, 2, 3, worst]),
    first + dayMs + 2
  )

  // (d): the old snapshot is a REPEATABLE READ transaction of another session that has read something.
  const pin = yield* server.connect({})
  yield* run(pin, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class")
  const start = first + 2 * dayMs
  const inDay = yield* number(connection, `SELECT count(*)::text FROM ${layout.projections[0]}${daySuffix(start)}`)
  const prefix = Math.min(prefixRows, inDay * 0.9)
  const sweepQuota = Math.max(1, Math.min(250, Math.floor(prefix / 100)))
  const { lowMs } = yield* driver.sweep(start - 1, start + dayMs - 1, sweepQuota, () => Effect.void, prefix)
  yield* measure("d, low marks", start, { ...Driver.makeLanes(quota, start), lowMs }, start + dayMs - 1)
  yield* measure("d, from the day's start", start, Driver.makeLanes(quota, start - 1), start + dayMs - 1)
  yield* run(pin, "COMMIT")
  return results
})

const literals = (lanes: Driver.Lanes, horizonMs: number): string => {
  const instant = (ms: number) => new Date(ms).toISOString()
  return [
    `'{${lanes.kinds.join(",")}}'`,
    `'{${lanes.priorities.join(",")}}'`,
    `'{${lanes.lowMs.map(instant).join(",")}}'`,
    `'{${lanes.quotas.join(",")}}'`,
    `'${instant(horizonMs)}'`,
    "1",
    "30000"
  ].join(", ")
}

export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0

/** Fills a schema of its own with the first `rows` of the seed, without events: enough for a claim. */
export const loadForClaims = Effect.fnUntraced(function* (
  admin: PgConnection.PgConnection,
  connection: PgConnection.PgConnection,
  layout: Layout,
  schema: string,
  tables: ReadonlyArray<string>,
  rows: number
) {
  yield* run(admin, `DROP SCHEMA IF EXISTS ${schema} CASCADE`, `CREATE SCHEMA ${schema}`)
  yield* run(
    connection,
    ...tables,
    layout.loadProjection.replace("public.seed", `(SELECT * FROM public.seed LIMIT ${rows}) s`),
    `VACUUM (ANALYZE) ${layout.projections.join(", ")}`
  )
})
