/**
 * Measures the two candidate layouts of the projection on one embedded PostgreSQL 18, interleaved, and prints a JSON report.
 *
 *   node bench/layout/main.ts --rows 10000
 *   node bench/layout/main.ts --rows 10000000 --json bench/results/layout-10000000.json
 *   node bench/layout/main.ts --rows 1000000 --only cycle,far
 */
import { writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import type { PgConnection } from "@effect/sql-pg"
import { Clock, Data, Effect } from "effect"
import { claimCost, loadForClaims, median } from "./claimCost.ts"
import { cycle, type CycleResult } from "./cycle.ts"
import { farTasks } from "./farTasks.ts"
import { inPlace, inPlaceDeleting } from "./inPlace.ts"
import { dayOf, type Layout, withBirthsApart } from "./layout.ts"
import { daysFrom, load, pastDays, seed, settle } from "./load.ts"
import { pinnedSnapshot } from "./pinnedSnapshot.ts"
import { planning } from "./planning.ts"
import { storedBytes } from "./probe.ts"
import { retirement } from "./retirement.ts"
import * as Server from "./server.ts"
import { staleCycles, staleLookUps, withPlainEquality } from "./staleStatistics.ts"
import { stages } from "./stages.ts"

class Usage extends Data.TaggedError("Usage")<{ readonly message: string }> {}

const sections = ["cycle", "far", "retire", "pin", "planning", "stale", "claim"] as const
const { values: flags } = parseArgs({
  options: {
    rows: { type: "string", default: "10000" },
    json: { type: "string" },
    only: { type: "string", default: sections.join(",") },
    rounds: { type: "string", default: "3" },
    "cycle-tasks": { type: "string", default: "20000" },
    "pin-seconds": { type: "string", default: "120" }
  }
})

const program = Effect.gen(function* () {
  const rows = Number(flags.rows)
  const chosen = flags.only.split(",")
  const unknown = chosen.find((name) => !sections.some((section) => section === name))
  if (!Number.isInteger(rows) || rows < 1000 || unknown !== undefined) {
    return yield* new Usage({
      message: `--rows ${flags.rows} must be at least 1000; --only takes ${sections.join(", ")}`
    })
  }
  const small = rows <= 100_000
  const cycleTasks = small ? Math.min(5000, Number(flags["cycle-tasks"])) : Number(flags["cycle-tasks"])
  const apart = [withBirthsApart(inPlaceDeleting), withBirthsApart(stages)]
  const layouts: ReadonlyArray<Layout> = small
    ? [inPlace, inPlaceDeleting, ...apart, stages]
    : [inPlaceDeleting, ...apart, stages]
  const server = yield* Server.make
  const admin = yield* server.connect({})
  const todayMs = dayOf(yield* Clock.currentTimeMillis)
  const days = daysFrom(todayMs)
  const report: Record<string, unknown> = {
    rows,
    at: new Date(yield* Clock.currentTimeMillis).toISOString(),
    server: { version: server.version, ...server.settings },
    machine: { cpus: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), node: process.version }
  }
  const section = Effect.fnUntraced(function* <A, E, R>(name: (typeof sections)[number], work: Effect.Effect<A, E, R>) {
    if (!chosen.includes(name)) return
    const [took, result] = yield* Effect.timed(Effect.scoped(work))
    report[name] = result
    yield* Effect.logInfo(`${name}: ${String(took)}\n${JSON.stringify(result, null, 1)}`)
    if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(report, null, 2)}\n`)
  })

  yield* Effect.logInfo(`${server.version}, ${rows} rows`)
  yield* seed(admin, rows, todayMs)
  yield* Effect.forEach(
    layouts,
    (layout) => Effect.flatMap(server.connect({}), (connection) => load(server, connection, layout, days, layout.load)),
    { concurrency: 2 }
  )
  yield* settle(admin)
  report["stored"] = yield* Effect.forEach(layouts, (layout) =>
    Effect.map(storedBytes(admin, layout.schema), (bytes) => ({ layout: layout.name, ...bytes }))
  )
  yield* section("cycle", cycles(server, admin, layouts, cycleTasks))
  yield* section(
    "far",
    Effect.map(
      Effect.forEach(layouts, (layout) => farTasks(server, admin, layout, todayMs, small ? 2000 : 50_000)),
      (phases) => phases.flat()
    )
  )
  yield* section("retire", retirement(server, admin, days, pastDays, small ? 5000 : 100_000))
  yield* section(
    "pin",
    Effect.forEach([inPlaceDeleting, stages], (layout) =>
      pinnedSnapshot(server, admin, layout, small ? 3 : Number(flags["pin-seconds"]))
    )
  )
  yield* section(
    "planning",
    Effect.map(
      Effect.forEach([1, 64, 366], (partitions) => planning(server, partitions, todayMs)),
      (times) => times.flat()
    )
  )
  yield* section("stale", staleness(server, admin, days, todayMs, small ? 4000 : 20_000))
  yield* section("claim", claims(server, admin, layouts, rows, todayMs))
  if (flags.json === undefined) yield* Effect.logInfo(JSON.stringify(report))
})

const configurations = [
  { batchSize: 500, connections: 1 },
  { batchSize: 1000, connections: 1 },
  { batchSize: 500, connections: 2 },
  { batchSize: 1000, connections: 2 }
] as const

const cycles = Effect.fnUntraced(function* (
  server: Server.Server,
  admin: PgConnection.PgConnection,
  layouts: ReadonlyArray<Layout>,
  tasks: number
) {
  const runs: Array<CycleResult> = []
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const configuration of configurations) {
      for (const layout of layouts)
        runs.push(yield* cycle(server, admin, layout, { ...configuration, until: { tasks } }))
    }
  }
  return configurations.flatMap((configuration) =>
    layouts.map((layout) => {
      const own = runs.filter(
        (run) =>
          run.layout === layout.name &&
          run.batchSize === configuration.batchSize &&
          run.connections === configuration.connections
      )
      const spread = (of: (run: CycleResult) => number) => ({
        median: median(own.map(of)),
        min: Math.min(...own.map(of)),
        max: Math.max(...own.map(of))
      })
      return {
        layout: layout.name,
        ...configuration,
        runs: own.length,
        cyclesPerSecond: spread((run) => run.cyclesPerSecond),
        serverCpuMicrosPerTask: spread((run) => run.serverCpuMicrosPerTask),
        clientCpuMicrosPerTask: spread((run) => run.clientCpuMicrosPerTask),
        walBytesPerTask: spread((run) => run.walBytesPerTask),
        storedBytesPerTask: spread((run) => run.storedBytesPerTask),
        hotShare: spread((run) => run.hotShare)
      }
    })
  )
})

const staleness = Effect.fnUntraced(function* (
  server: Server.Server,
  admin: PgConnection.PgConnection,
  days: ReturnType<typeof daysFrom>,
  todayMs: number,
  tasks: number
) {
  const ran = yield* Effect.forEach(
    [inPlaceDeleting, withPlainEquality(inPlaceDeleting), stages, withPlainEquality(stages)],
    (layout) => staleCycles(server, admin, layout, days, tasks)
  )
  const lookUps = yield* staleLookUps(server, admin, stages, days, todayMs, tasks)
  return { cycles: ran.flat(), lookUps }
})

const claims = Effect.fnUntraced(function* (
  server: Server.Server,
  admin: PgConnection.PgConnection,
  layouts: ReadonlyArray<Layout>,
  rows: number,
  todayMs: number
) {
  const days = daysFrom(todayMs)
  const costs = []
  for (const size of [10_000, 100_000, 1_000_000, 10_000_000].filter((each) => each <= rows)) {
    for (const layout of layouts) {
      const whole = size === rows
      const schema = whole ? layout.schema : "claiming"
      if (!whole) {
        const connection = yield* server.connect({ search_path: schema })
        yield* loadForClaims(admin, connection, layout, schema, layout.tables(days), size)
      }
      costs.push(...(yield* Effect.scoped(claimCost(server, layout, schema, size, todayMs))))
    }
  }
  return costs
})

NodeRuntime.runMain(Effect.scoped(program))
