import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { layerPostgres } from "../src/layers.ts"
import { atLeast, atMost } from "./report.ts"
import { serverWith } from "./server.ts"
import { pinSnapshot } from "./snapshot.ts"
import { countedStatements, counting, most, startCounting } from "./statements.ts"
import { makeSteady } from "./steady.ts"

/**
 * What an old snapshot costs: a REPEATABLE READ transaction that stays open, as a forgotten session or a long report would, so
 * that no dead row of the run can be removed. The same load before it and under it.
 */
export type PressureOptions = {
  readonly ratePerSecond: number
  /** Of the pinned part; the part before it is as long, but at most a minute. */
  readonly secondsPinned: number
  readonly random: () => number
}

const besideSecondsMax = 60
/** The pinned part is told piece by piece: what grows shows in the last one. */
const pieces = 3
const listedStatements = 6

export const pressure = (options: PressureOptions) => {
  const { random, ratePerSecond, secondsPinned } = options
  const besideSeconds = Math.min(besideSecondsMax, secondsPinned)
  const steady = makeSteady()
  const program = Effect.gen(function* () {
    yield* steady.warmUp
    const run = Effect.fnUntraced(function* (name: string, seconds: number) {
      yield* startCounting
      const figures = yield* steady.run({ name, ratePerSecond, seconds, random })
      return { ...figures, serverMsPerSecond: most(yield* countedStatements, "ms", seconds, listedStatements) }
    })
    const before = yield* run("before", besideSeconds)
    const { letGo } = yield* pinSnapshot
    const pinned: Array<typeof before> = []
    for (let piece = 1; piece <= pieces; piece++) {
      const seconds = Math.round(secondsPinned / pieces)
      pinned.push(yield* run(`pinned, ${piece} of ${pieces}`, seconds))
    }
    const deadRows = yield* dead
    yield* letGo
    const worst = pinned.reduce((one, other) => (other.start.p99 > one.start.p99 ? other : one), pinned[0] ?? before)
    const slowest = Math.min(...pinned.map((piece) => piece.tasksPerSecond))
    return {
      settings: { ratePerSecond, secondsPinned, besideSeconds, pieces },
      figures: {
        before,
        pinned: Object.fromEntries(pinned.map((piece, index) => [`piece ${index + 1}`, piece])),
        deadRows
      },
      floors: [
        atLeast("throughput under the snapshot, of that before", 0.95, slowest / before.tasksPerSecond),
        atMost("p99 of the start under the snapshot, in that before", 1.5, worst.start.p99 / before.start.p99),
        atMost(
          "early starts",
          0,
          pinned.reduce((sum, { start }) => sum + start.early, before.start.early)
        ),
        atMost(
          "tasks missing",
          0,
          pinned.reduce((sum, { missing }) => sum + missing, before.missing)
        )
      ]
    }
  })
  return Effect.provide(
    program,
    steady.layer.pipe(Layer.provideMerge(layerPostgres({ migrate: true })), Layer.provideMerge(serverWith(counting)))
  )
}

/** Rows that are dead and still there, by table, and how many transactions the oldest snapshot holds back. */
const dead = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{
    readonly table: string
    readonly rows: number
  }>`SELECT relname AS table, n_dead_tup::float8 AS rows FROM pg_stat_user_tables
    WHERE schemaname = 'duetime' AND n_dead_tup > 0 ORDER BY n_dead_tup DESC LIMIT 5`
  const [oldest] = yield* sql<{
    readonly transactions: number
  }>`SELECT max(age(backend_xmin))::float8 AS transactions FROM pg_stat_activity WHERE backend_xmin IS NOT NULL`
  return {
    ...Object.fromEntries(rows.map((row) => [row.table, row.rows])),
    transactionsHeldBack: oldest?.transactions ?? 0
  }
})
