import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { Duetime } from "../src/Duetime.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { isOver, startsOf, summaryOf, tallyOf } from "./kafka/history.ts"
import { nowMs, sleepUntil } from "./openLoop.ts"
import { Progress } from "./progress.ts"
import { atMost } from "./report.ts"
import { serverWith, since, usageOf } from "./server.ts"
import { concurrencyPerWorker, countedKind, spawnEngine } from "./spawnEngine.ts"
import { countedStatements, counting, most, startCounting } from "./statements.ts"
import { violations } from "./violations.ts"

/**
 * Many workers that have little to do each: what batches have no chance to save. Every worker stands on the database by itself, as that of
 * one of many small services: a kind, an engine, a session and connections of its own. Several of them share a process, which the database
 * does not see: by itself an engine with its worker takes 280 to 350 MiB in bench/scale.ts, ten in one process 73 MiB each.
 *
 * Open loop: tasks are scheduled a few seconds ahead at instants drawn beforehand, by one statement for each kind and second. Drift, losses
 * and what started twice are read from the history when all is over; the handlers' calls are counted as well.
 */
export type WideOptions = {
  readonly workers: number
  readonly processes: number
  /** Of each worker. */
  readonly ratePerSecond: number
  readonly seconds: number
  readonly random: () => number
}

/** Longer than the look-ahead, so that claims do their work, and than it takes to schedule for everybody. */
const aheadSeconds = 3
/** Code is compiled, plans are made, connections are open. */
const warmUpSeconds = 10
/** What is more than the machine can do is worked off afterwards, as late as that is. */
const drainMsMax = 300_000
/** What nobody may call again would be called within this time. */
const afterMs = 500
/** Statements of the scheduler on their way at the same time; it has ten connections, and others wait for one as well. */
const schedulingConcurrency = 4
/** Between two looks at who is connected. */
const connectionsMs = 2_000
const listedStatements = 8

/** Each worker may open 18 (docs/reference/config.md); the rest is ours and the server's. */
const connectionsMax = (workers: number) => 20 * workers + 50

export const wide = (options: WideOptions) => {
  const { processes, random, ratePerSecond, seconds, workers } = options
  const kinds = Array.from({ length: workers }, (_, worker) => countedKind(`bench.wide-${worker}`))
  const names = kinds.map(({ kind }) => kind)
  const tasks = workers * ratePerSecond * seconds
  const warmUpTasks = workers * ratePerSecond * warmUpSeconds

  const program = Effect.gen(function* () {
    const { url } = yield* EmbeddedPostgres
    const calls = new Map<string, number>()
    const progress = new Progress("wide", tasks)
    const onCall = (call: string) => {
      calls.set(call, (calls.get(call) ?? 0) + 1)
      progress.at(Math.max(0, calls.size - warmUpTasks))
    }
    const children = yield* Effect.forEach(
      Array.from({ length: processes }, (_, process) => names.filter((_, worker) => worker % processes === process)),
      (served) =>
        spawnEngine(
          url,
          onCall,
          served.map((kind) => [kind])
        ),
      { concurrency: startingAtOnce }
    )

    /** @returns when the first of them was due at the earliest */
    const arrive = Effect.fnUntraced(function* (arrivingSeconds: number) {
      const fromMs = Math.ceil(yield* nowMs) + aheadSeconds * 1_000
      for (let second = 0; second < arrivingSeconds; second++) {
        const secondMs = fromMs + second * 1_000
        yield* sleepUntil(secondMs - aheadSeconds * 1_000)
        yield* Effect.forEach(
          kinds,
          (kind) =>
            kind.scheduleMany(
              Array.from({ length: ratePerSecond }, () => ({
                payload: { workMs: 0 },
                at: Math.floor(secondMs + random() * 1_000)
              }))
            ),
          { concurrency: schedulingConcurrency, discard: true }
        )
      }
      yield* sleepUntil(fromMs + arrivingSeconds * 1_000)
      yield* Effect.gen(function* () {
        while (!(yield* isOver(names))) yield* Effect.sleep(100)
      }).pipe(Effect.timeoutOption(drainMsMax))
      yield* Effect.sleep(afterMs)
      return fromMs
    })

    yield* arrive(warmUpSeconds)
    const cost = usageOf(children.map(({ processId }) => processId))
    yield* startCounting
    const ownBefore = process.cpuUsage()
    const before = yield* cost
    const beganAtMs = yield* nowMs
    const { connections, fromMs } = yield* Effect.gen(function* () {
      const watching = yield* watchConnections
      return { fromMs: yield* arrive(seconds), connections: watching.most }
    }).pipe(Effect.scoped)
    const lastedSeconds = ((yield* nowMs) - beganAtMs) / 1_000
    const after = yield* cost
    const own = process.cpuUsage(ownBefore)
    const statements = yield* countedStatements
    for (const child of children) yield* child.stop
    progress.end()

    const starts = (yield* startsOf(names)).filter(({ dueAtMs }) => dueAtMs >= fromMs)
    const tally = yield* tallyOf(names)
    const start = summaryOf(starts)
    const figures = {
      scheduledPerSecond: workers * ratePerSecond,
      // From the first due time to the last outcome: below the rate if it was too much.
      tasksPerSecond: (tasks / (tally.lastOutcomeAtMs - fromMs)) * 1_000,
      start,
      ...since(before, after, tasks),
      schedulerCpuSecondsPer1000Tasks: (own.user + own.system) / 1_000 / tasks,
      residentMiBOfAWorker: after.residentMiB / workers,
      connections,
      statementsPerSecond: most(statements, "calls", lastedSeconds, listedStatements),
      serverMsPerSecond: most(statements, "ms", lastedSeconds, listedStatements),
      violations: yield* violations
    }
    return {
      settings: { workers, processes, ratePerSecond, seconds, warmUpSeconds, aheadSeconds, concurrencyPerWorker },
      figures,
      floors: [
        atMost("early starts", 0, start.early),
        atMost("tasks lost", 0, tasks + warmUpTasks - tally.succeeded),
        atMost("attempts started twice, by the history", 0, tally.startedTwice),
        atMost("attempts whose handler was called twice", 0, [...calls.values()].filter((times) => times > 1).length),
        atMost("violations found by the audit", 0, figures.violations)
      ]
    }
  })
  return Effect.scoped(program).pipe(
    Effect.provide(
      Duetime.layer.pipe(
        Layer.provideMerge(layerStore({ migrate: true })),
        Layer.provideMerge(serverWith({ ...counting, max_connections: String(connectionsMax(workers)) }))
      )
    )
  )
}

/** Processes that compile at the same time, on two cores. */
const startingAtOnce = 2

/** The most that were open at once, by what they call themselves; up to six of `duetime` and what has no such name are the scheduler's. */
const watchConnections = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const most: Record<string, number> = {}
  const look = Effect.gen(function* () {
    const rows = yield* sql<{
      readonly name: string
      readonly count: number
    }>`SELECT coalesce(application_name, 'all') AS name, count(*)::int4 AS count FROM pg_stat_activity
      WHERE backend_type = 'client backend' GROUP BY GROUPING SETS ((application_name), ())`
    for (const { count, name } of rows) most[name] = Math.max(most[name] ?? 0, count)
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(look, Effect.sleep(connectionsMs))))
  return { most }
})
