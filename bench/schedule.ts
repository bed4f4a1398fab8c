import { Effect, Layer, Schema } from "effect"
import { Duetime } from "../src/Duetime.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { defaults as engineDefaults } from "../src/engine/EngineConfig.ts"
import { AttemptObserver, Engine, Task, Worker } from "../src/index.ts"
import { layerPostgres } from "../src/layers.ts"
import * as PgTaskStore from "../src/store/postgres/PgTaskStore.ts"
import { TaskStore } from "../src/store/TaskStore.ts"
import { dueNowPerSecond, otherProcess, type Way } from "./drift.ts"
import { callAtRate, nowMs, waitUntil } from "./openLoop.ts"
import { settle } from "./pending.ts"
import { Progress } from "./progress.ts"
import { atLeast, atMost, Lateness } from "./report.ts"
import { pool, server, since, usage } from "./server.ts"

/**
 * What scheduling costs, in a process with no engine and no worker, as an application would have it: many at once
 * (`scheduleMany`, over one connection and over the default pool), then one by one in an open loop. Last, with engine and
 * worker in this process, how late tasks start that another process schedules to run at once.
 */
export type ScheduleOptions = {
  /** Of each bulk. */
  readonly tasks: number
  readonly rounds: number
  readonly ratePerSecond: number
  /** Of each open loop. */
  readonly seconds: number
  readonly dueNowSeconds: number
  readonly random: () => number
}

const Bulk = Task.define("bench.bulk", { payload: { n: Schema.Finite, text: Schema.String } })
const Single = Task.define("bench.single", { payload: { n: Schema.Finite, text: Schema.String } })
const DueNow = Task.define("bench.due-now", { payload: { n: Schema.Finite } })
const WarmUp = Task.define("bench.warm-up", { payload: { n: Schema.Finite } })

const text = "x".repeat(80)
const hourMs = 3_600_000
const defaultConnections = 10
const warmUpTasks = 4_000
const warmUpSeconds = 2

/** How a bulk is scheduled: `callers` share the tasks and call at the same time. Due times are drawn at random. */
type Bulk = {
  readonly connections: number
  readonly callers: number
  readonly spreadMs: number
  readonly isKeyed: boolean
}

const usual: Bulk = { connections: defaultConnections, callers: 1, spreadMs: hourMs, isKeyed: false }
const bulks: Readonly<Record<string, Bulk>> = {
  oneConnection: { ...usual, connections: 1 },
  defaultPool: usual,
  fourCallers: { ...usual, callers: 4 },
  over30Days: { ...usual, spreadMs: 30 * 24 * hourMs },
  withKeys: { ...usual, isKeyed: true }
}

export const schedule = (options: ScheduleOptions) => {
  const { dueNowSeconds, random, ratePerSecond, rounds, seconds, tasks } = options

  const entries = (bulk: Bulk, round: number, count: number, atMs: number) =>
    Array.from({ length: count }, (_, n) => ({
      payload: { n, text },
      at: atMs + Math.floor(random() * bulk.spreadMs),
      ...(bulk.isKeyed ? { key: `${round}-${n}` } : {})
    }))

  const scheduleBulk = Effect.fnUntraced(function* (bulk: Bulk, round: number) {
    const dueFromMs = Math.ceil(yield* nowMs) + hourMs
    const warm = entries({ ...bulk, isKeyed: false }, round, warmUpTasks, dueFromMs)
    const all = entries(bulk, round, tasks, dueFromMs)
    const each = Math.ceil(tasks / bulk.callers)
    const parts = Array.from({ length: bulk.callers }, (_, caller) => all.slice(caller * each, (caller + 1) * each))
    const costed = Effect.gen(function* () {
      yield* Bulk.scheduleMany(warm)
      const before = yield* usage
      const fromMs = performance.now()
      yield* Effect.forEach(parts, (part) => Bulk.scheduleMany(part), { concurrency: "unbounded" })
      const elapsedMs = performance.now() - fromMs
      return { tasksPerSecond: (tasks / elapsedMs) * 1_000, ...since(before, yield* usage, tasks) }
    })
    return yield* Effect.provide(costed, client(bulk.connections), { local: true })
  })

  const inBulk = Effect.gen(function* () {
    const progress = new Progress("schedule, bulk", rounds * tasks * Object.keys(bulks).length)
    const runs: Record<string, Array<Effect.Success<ReturnType<typeof scheduleBulk>>>> = {}
    let done = 0
    for (let round = 0; round < rounds; round++) {
      for (const [name, bulk] of Object.entries(bulks)) {
        const run = yield* scheduleBulk(bulk, round)
        runs[name] = [...(runs[name] ?? []), run]
        progress.at((done += tasks))
      }
    }
    progress.end()
    return Object.fromEntries(Object.entries(runs).map(([name, all]) => [name, medianOf(all)]))
  })

  /** `dueInMs` below a minute also wakes engines, if there are some: one more statement, shared by what comes meanwhile. */
  const oneByOne = (dueInMs: number) =>
    Effect.gen(function* () {
      const progress = new Progress("schedule, one by one", ratePerSecond * seconds)
      const call = (n: number) => Single.schedule({ n, text }, { in: dueInMs + Math.floor(random() * 1_000) })
      const answered = (count: number) => progress.at(count)
      yield* callAtRate({ ratePerSecond, seconds: warmUpSeconds, random, call, answered: () => {} })
      const before = yield* usage
      const { answer, sent } = yield* callAtRate({ ratePerSecond, seconds, random, call, answered })
      progress.end()
      const cost = since(before, yield* usage, ratePerSecond * seconds)
      return { answer: answer.summary(), sent: sent.summary(), ...cost }
    }).pipe(Effect.provide(client(defaultConnections), { local: true }))

  const program = Effect.gen(function* () {
    const bulk = yield* inBulk
    // What the bulk left to the server to write and to analyze is not what one task costs.
    yield* settle
    const dueInAnHour = yield* oneByOne(hourMs)
    const dueInTenSeconds = yield* oneByOne(10_000)
    const dueNowTasks = dueNowSeconds * dueNowPerSecond
    const dueNow = yield* dueNowFromAnotherProcess(dueNowTasks, "client")
    const dueNowBySql = yield* dueNowFromAnotherProcess(dueNowTasks, "sql")
    const rateOf = (name: string) => bulk[name]?.tasksPerSecond ?? 0
    return {
      settings: { ...options, random: undefined, bulks, warmUpTasks, warmUpSeconds, dueNowPerSecond },
      figures: { bulk, oneByOne: { dueInAnHour, dueInTenSeconds }, dueNowFromAnotherProcess: dueNow, dueNowBySql },
      floors: [
        atLeast("tasks/s in bulk, one connection", 25_000, rateOf("oneConnection")),
        atLeast("tasks/s in bulk, default pool", 25_000, rateOf("defaultPool")),
        atMost(`p99 ms of one at ${ratePerSecond}/s, due in an hour`, 10, dueInAnHour.answer.p99),
        atMost(`p99 ms of one at ${ratePerSecond}/s, due in ten seconds`, 10, dueInTenSeconds.answer.p99),
        atMost("p50 ms of due now from another process", 5, dueNow.p50),
        atMost("p99 ms of due now from another process", 50, dueNow.p99),
        atMost("p99 ms of due now in SQL", engineDefaults.idlePollMs, dueNowBySql.p99),
        atMost("early calls", 0, dueNow.early + dueNowBySql.early),
        atMost("due-now tasks missing", 0, 2 * dueNowTasks - dueNow.count - dueNowBySql.count)
      ]
    }
  })
  return Effect.provide(program, server)
}

/** As `layerClient`, with a pool of this size: no session, no engine, no worker. */
const client = (connections: number) =>
  Duetime.layer.pipe(Layer.provide(PgTaskStore.layerStore({ migrate: true })), Layer.provide(pool(connections)))

type BulkRun = { readonly tasksPerSecond: number }

const medianOf = <Run extends BulkRun>(runs: ReadonlyArray<Run>) => {
  const byRate = runs.toSorted((left, right) => left.tasksPerSecond - right.tasksPerSecond)
  const median = byRate[Math.floor(byRate.length / 2)]
  if (median === undefined) throw new Error("no round was run")
  return { ...median, tasksPerSecondOfRounds: runs.map((run) => Math.round(run.tasksPerSecond)).join(" ") }
}

/** Engine and worker run here; what is measured is the instant at which the handler is called, by the database's clock. */
const dueNowFromAnotherProcess = (count: number, way: Way) => {
  const late = new Lateness()
  let offsetMs = () => 0
  const observer = AttemptObserver.of({
    started: ({ dueAtMs, kind }, beganAtMs) => {
      if (kind === DueNow.kind) late.record(beganAtMs + offsetMs() - dueAtMs)
    },
    ended: () => {}
  })
  const running = Layer.mergeAll(
    DueNow.handle(() => Effect.void),
    WarmUp.handle(() => Effect.void),
    Engine.layer
  ).pipe(
    Layer.provideMerge(Worker.layer({ concurrency: 200 })),
    Layer.provideMerge(Layer.succeed(AttemptObserver, observer)),
    Layer.provideMerge(layerPostgres({ migrate: true }))
  )
  return Effect.gen(function* () {
    offsetMs = (yield* TaskStore).clockOffsetMs
    const { url } = yield* EmbeddedPostgres
    yield* WarmUp.scheduleMany(Array.from({ length: warmUpTasks }, (_, n) => ({ payload: { n }, in: n })))
    yield* Effect.sleep(warmUpTasks + 1_500)
    yield* otherProcess(url, count, way)
    yield* waitUntil(() => late.count >= count, 30_000)
    return late.summary()
  }).pipe(Effect.provide(running))
}
