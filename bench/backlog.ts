import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { layerPostgres } from "../src/layers.ts"
import { dayMs, dayOf } from "../src/store/postgres/byDay.ts"
import { make as makePartitions } from "../src/store/postgres/Partitions.ts"
import { retentionDaysDefault } from "../src/store/postgres/partitionPlan.ts"
import { ownClient } from "../src/store/postgres/ownClient.ts"
import { type ClaimCost, explainClaim } from "./explain.ts"
import { nowMs } from "./openLoop.ts"
import { kindIdsOf, loadRows, loadTasks, settle } from "./pending.ts"
import { atMost } from "./report.ts"
import { server } from "./server.ts"
import { pinSnapshot } from "./snapshot.ts"
import { beside, makeSteady, Steady } from "./steady.ts"
import { violations } from "./violations.ts"

/**
 * Whether anything grows with what waits. For each size first what a claim of 100 costs, in four shapes, without an engine:
 *
 * - `allFuture`: N wait, uniform over 30 days, and 100 of the same kinds and priorities are due;
 * - `betterFuture`: the 100 are of the lowest priority, three quarters of the N of better ones;
 * - `allDue`: N more are due since yesterday;
 * - `claimedPrefix`: 190,000 were claimed just before, and an old snapshot keeps their dead rows where they were; read from the low
 *   mark, as claims do, and from the beginning, as the sweep does every five seconds.
 *
 * Then an engine and a worker run, and tasks come at a steady rate on top of the N.
 */
export type BacklogOptions = {
  readonly sizes: ReadonlyArray<number>
  readonly ratePerSecond: number
  readonly seconds: number
  readonly random: () => number
}

const others = [1, 2, 3, 4].map((n) => beside(`bench.backlog-${n}`))
const dueTasks = 100
const prefixTasks = 190_000
const hourMs = 3_600_000
const futureMs = 30 * dayMs
/** As the store's own: claims look a little behind the last, and ahead into the look-ahead. */
const lowMarkMs = 5_000
const lookAheadMs = 1_500
const beginningMs = -2_208_988_800_000
const lowest = 3

export const backlog = (options: BacklogOptions) => {
  const steady = makeSteady(others)
  const program = Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const own = yield* ownClient(sql, 1)
    const partitions = makePartitions(own, retentionDaysDefault)
    yield* partitions.maintain
    const kindIds = yield* kindIdsOf([Steady, ...others].map(({ kind }) => kind))

    const claimFrom = (fromMs: number, atMs: number) =>
      explainClaim({
        sql: own,
        kindIds,
        fromMs,
        horizonMs: Math.ceil(atMs + lookAheadMs),
        limit: dueTasks,
        dueTablesOf: partitions.dueTablesOf
      })

    /** A few that are due now beside what is there, and gone afterwards. */
    const withDue = <A, E, R>(priority: number | null, claim: (atMs: number) => Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const atMs = Math.floor(yield* nowMs)
        yield* loadRows({ kindIds, count: dueTasks, fromMs: atMs - 1_000, spreadMs: 1_000 })
        if (priority !== null)
          yield* sql`UPDATE duetime.due SET priority = ${priority}::int2 WHERE due_at < to_timestamp(${atMs}::float8 / 1000)`
        const claimed = yield* claim(atMs)
        yield* sql`DELETE FROM duetime.due WHERE due_at < to_timestamp(${atMs}::float8 / 1000)`
        return claimed
      })

    const allDue = Effect.fnUntraced(function* (size: number) {
      const atMs = Math.floor(yield* nowMs)
      const yesterdayMs = dayOf(atMs) - dayMs
      const [table = ""] = partitions.dueTablesOf(yesterdayMs, yesterdayMs)
      yield* loadRows({ kindIds, count: size, fromMs: yesterdayMs, spreadMs: dayMs })
      yield* sql`VACUUM (ANALYZE) ${sql.literal(table)}`.unprepared
      const claimed = yield* claimFrom(beginningMs, atMs)
      yield* sql`TRUNCATE ${sql.literal(table)}`.unprepared
      return claimed
    })

    const claimedPrefix = Effect.gen(function* () {
      const atMs = Math.floor(yield* nowMs) - 2 * lowMarkMs
      yield* loadRows({ kindIds, count: prefixTasks, fromMs: atMs - 600_000, spreadMs: 600_000 })
      const { letGo } = yield* pinSnapshot
      yield* sql`DELETE FROM duetime.due WHERE due_at < to_timestamp(${atMs}::float8 / 1000)`
      const fromLowMark = yield* withDue(null, (dueAtMs) => claimFrom(dueAtMs - lowMarkMs, dueAtMs))
      const fromBeginning = yield* withDue(null, (dueAtMs) => claimFrom(beginningMs, dueAtMs))
      yield* letGo
      return { fromLowMark, fromBeginning }
    })

    const bySize: Record<string, Figures> = {}
    let loaded = 0
    let violationsCount = 0
    for (const size of options.sizes) {
      yield* loadTasks({ kindIds, count: size - loaded, fromMs: Math.floor(yield* nowMs) + hourMs, spreadMs: futureMs })
      loaded = size
      yield* settle
      // Auditing reads every stream: the smallest load says whether loads are sound.
      if (size === options.sizes[0]) violationsCount = yield* violations
      const allFuture = yield* withDue(null, (atMs) => claimFrom(atMs - lowMarkMs, atMs))
      const betterFuture = yield* withDue(lowest, (atMs) => claimFrom(atMs - lowMarkMs, atMs))
      const claimedBehind = yield* claimedPrefix
      const claims = {
        allFuture,
        betterFuture,
        allDue: yield* allDue(size),
        claimedPrefixFromLowMark: claimedBehind.fromLowMark,
        claimedPrefixFromBeginning: claimedBehind.fromBeginning
      }
      yield* settle
      const drift = yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Layer.build(steady.layer)
          yield* steady.warmUp
          return yield* steady.run({ ...options, name: `drift on ${size}` })
        })
      )
      bySize[String(size)] = { claims, drift }
    }
    const all = Object.values(bySize)
    const growthOf = (shape: keyof Figures["claims"], field: "buffers" | "medianMs") => {
      const [first = 1, ...rest] = all.map(({ claims }) => claims[shape][field])
      return Math.max(...rest, first) / first
    }
    const shapes = [
      "allFuture",
      "betterFuture",
      "allDue",
      "claimedPrefixFromLowMark",
      "claimedPrefixFromBeginning"
    ] as const
    const largest = all.at(-1)
    return {
      settings: { ...options, random: undefined, kinds: kindIds.length, dueTasks, prefixTasks },
      figures: { bySize, violations: violationsCount },
      floors: [
        ...shapes.flatMap((shape) => [
          atMost(`growth of a claim's buffers, ${shape}`, 1.5, growthOf(shape, "buffers")),
          atMost(`growth of a claim's time, ${shape}`, 1.5, growthOf(shape, "medianMs"))
        ]),
        atMost("p99 ms of the start on the largest", 50, largest?.drift.start.p99 ?? Infinity),
        atMost(
          "early starts",
          0,
          all.reduce((sum, { drift }) => sum + drift.start.early, 0)
        ),
        atMost(
          "tasks missing",
          0,
          all.reduce((sum, { drift }) => sum + drift.missing, 0)
        ),
        atMost("violations found by the audit", 0, violationsCount)
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(layerPostgres({ migrate: true }).pipe(Layer.provideMerge(server))))
}

type Figures = {
  readonly claims: {
    readonly allFuture: ClaimCost
    readonly betterFuture: ClaimCost
    readonly allDue: ClaimCost
    readonly claimedPrefixFromLowMark: ClaimCost
    readonly claimedPrefixFromBeginning: ClaimCost
  }
  readonly drift: Effect.Success<ReturnType<ReturnType<typeof makeSteady>["run"]>>
}
