import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, References } from "effect"
import { readdirSync } from "node:fs"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { AttemptObserver, Engine, Worker } from "../src/index.ts"
import { layerPostgres } from "../src/layers.ts"
import { isOver, tallyOf } from "./kafka/history.ts"
import { nowMs, sleepUntil } from "./openLoop.ts"
import { median } from "./peers/ratio.ts"
import { atMost, Lateness } from "./report.ts"
import { server, since, usage } from "./server.ts"
import { makeSoakLoad, shares, soakHandlers, soakKinds } from "./soakLoad.ts"
import { violations } from "./violations.ts"

/**
 * What grows, or slows down, with time alone: a steady mixed load on an engine and a worker in this process. Memory, file descriptors,
 * connections, tables, dead rows and drift, window by window; each window is told on stderr when it is over.
 *
 * Open loop: scheduled a few seconds ahead, at instants drawn beforehand. What happened is read from the history when all is over; meanwhile
 * nothing is kept for each task here, since it would look like a leak.
 *
 * SIGINT ends it as it ends any program made of layers: the worker drains, the server stops, and there is no report.
 */
export type SoakOptions = {
  readonly ratePerSecond: number
  /** At least 12: a second for each window. */
  readonly seconds: number
  readonly random: () => number
}

/** Four to each third. */
export const windowsCount = 12
/** Longer than the look-ahead, so that claims do their work. */
const aheadSeconds = 3
/** Before the first window: code is compiled, plans are made, connections are open. */
const warmUpSeconds = 5
const concurrency = 200
/** A retry comes a second later, and a busy machine is busy for a while. */
const drainMsMax = 60_000
const samplesOfAWindow = 10

export const soak = ({ random, ratePerSecond, seconds }: SoakOptions) => {
  const windowMs = Math.max(1, Math.floor(seconds / windowsCount)) * 1_000
  const totalSeconds = (windowMs * windowsCount) / 1_000
  const load = makeSoakLoad({ ratePerSecond, aheadSeconds, random })
  const thirds = [new Lateness(), new Lateness(), new Lateness()]
  const all = new Lateness()
  let current: ReadonlyArray<Lateness> = [all]
  const observer = AttemptObserver.of({
    started: ({ dueAtMs, startedAtMs }) => {
      for (const lateness of current) lateness.record(startedAtMs - dueAtMs)
    },
    ended: () => {}
  })

  const arrive = Effect.fnUntraced(function* (fromMs: number) {
    for (let second = 0; second < warmUpSeconds + totalSeconds; second++) {
      const secondMs = fromMs + second * 1_000
      yield* sleepUntil(secondMs - aheadSeconds * 1_000)
      yield* load.schedule(second, secondMs)
    }
  })

  /** Of what is due in it, and of retries. */
  const watch = Effect.fnUntraced(function* (fromMs: number) {
    const windows: Array<Window> = []
    yield* sleepUntil(fromMs)
    for (let index = 0; index < windowsCount; index++) {
      const start = new Lateness()
      const third = thirds[Math.floor((index * 3) / windowsCount)]
      current = third === undefined ? [all, start] : [all, start, third]
      const memoryMiB: Array<number> = []
      for (let sample = 1; sample <= samplesOfAWindow; sample++) {
        yield* sleepUntil(fromMs + (index + sample / samplesOfAWindow) * windowMs)
        memoryMiB.push(process.memoryUsage.rss() / 2 ** 20)
      }
      const { p50, p99, max, count } = start.summary()
      const window = { starts: count, p50, p99, max, residentMiB: median(memoryMiB), ...(yield* levels) }
      windows.push(window)
      process.stderr.write(
        `soak: ${index + 1} of ${windowsCount}, ${Math.round(window.residentMiB)} MiB, p99 ${p99} ms, ${window.deadTuples} dead\n`
      )
    }
    current = [all]
    return windows
  })

  const program = Effect.gen(function* () {
    const before = yield* usage
    const fromMs = Math.ceil(yield* nowMs) + aheadSeconds * 1_000
    const [windows] = yield* Effect.all([watch(fromMs + warmUpSeconds * 1_000), arrive(fromMs)], { concurrency: 2 })
    yield* Effect.gen(function* () {
      while (!(yield* isOver(soakKinds))) yield* Effect.sleep(200)
    }).pipe(Effect.timeoutOption(drainMsMax))
    const cost = since(before, yield* usage, load.counts.tasks)
    const { attempts, startedTwice, succeeded } = yield* tallyOf(soakKinds)
    const { cancelled, dead } = yield* otherEnds
    const memoryOf = (third: number) =>
      median(
        windows
          .filter((_, index) => Math.floor((index * 3) / windowsCount) === third)
          .map(({ residentMiB }) => residentMiB)
      )
    const p99Of = (third: number) => thirds[third]?.summary().p99 ?? Number.NaN
    const found = yield* violations
    return {
      settings: { ratePerSecond, seconds: totalSeconds, windowMs, warmUpSeconds, aheadSeconds, concurrency, shares },
      figures: {
        start: all.summary(),
        windows: Object.fromEntries(windows.map((window, index) => [String(index + 1), window])),
        ...cost,
        ends: { succeeded, cancelled, dead },
        attempts,
        ...load.counts,
        violations: found
      },
      floors: [
        atMost("memory of the last third, of the middle one", 1.1, memoryOf(2) / memoryOf(1)),
        atMost("p99 ms of the last third, of the middle one", 1.5, p99Of(2) / p99Of(1)),
        atMost("early starts", 0, all.early),
        atMost("tasks lost", 0, load.counts.tasks - succeeded - cancelled - dead),
        atMost("dead letters that were not meant to be", 0, dead - load.counts.doomed),
        atMost("attempts started twice", 0, startedTwice),
        atMost("violations found by the audit", 0, found)
      ]
    }
  })
  return Effect.scoped(program).pipe(
    Effect.provide(
      Layer.mergeAll(soakHandlers, Engine.layer).pipe(
        Layer.provideMerge(Worker.layer({ concurrency })),
        Layer.provideMerge(Layer.succeed(AttemptObserver, observer)),
        Layer.provideMerge(layerPostgres({ migrate: true })),
        Layer.provideMerge(server)
      )
    ),
    // A dead letter is a warning, and here there are some every second.
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
}

type Window = Effect.Success<typeof levels> & {
  readonly starts: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly residentMiB: number
}

/** What there is now. History is kept and grows by the task, as do dead letters among the other tables; nothing else may. */
const levels = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{
    readonly historyMiB: number
    readonly otherTablesMiB: number
    readonly deadTuples: number
    readonly connections: number
  }>`SELECT
      coalesce(sum(pg_total_relation_size(relid)) FILTER (WHERE relname LIKE 'event%'), 0)::float8 / 1048576 AS "historyMiB",
      coalesce(sum(pg_total_relation_size(relid)) FILTER (WHERE relname NOT LIKE 'event%'), 0)::float8 / 1048576 AS "otherTablesMiB",
      coalesce(sum(n_dead_tup), 0)::float8 AS "deadTuples",
      (SELECT count(*)::float8 FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections
    FROM pg_stat_user_tables WHERE schemaname = 'duetime'`
  return {
    historyMiB: row?.historyMiB ?? 0,
    otherTablesMiB: row?.otherTablesMiB ?? 0,
    deadTuples: row?.deadTuples ?? 0,
    connections: row?.connections ?? 0,
    fileDescriptors: readdirSync("/proc/self/fd").length
  }
})

/** Of tasks that have not succeeded. */
const otherEnds = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ readonly cancelled: number; readonly dead: number }>`SELECT
      count(*) FILTER (WHERE type = ${eventCodes.TaskCancelled}::int2)::int4 AS cancelled,
      count(*) FILTER (WHERE type = ${eventCodes.TaskDeadLettered}::int2)::int4 AS dead
    FROM duetime.event`
  return row ?? { cancelled: 0, dead: 0 }
})
