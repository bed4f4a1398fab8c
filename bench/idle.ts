import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { nowMs } from "./openLoop.ts"
import { kindIdsOf, loadTasks, settle } from "./pending.ts"
import { atMost } from "./report.ts"
import { cpuMsOfFamily, serverWith } from "./server.ts"
import { spawnEngine } from "./spawnEngine.ts"

/**
 * What waiting costs: many tasks pending over the next 30 days, none due, and an engine with a worker in a process of its own.
 * Processor time of that process and of the server with all of its own, statements as pg_stat_statements counts them.
 */
export type IdleOptions = { readonly tasks: number; readonly seconds: number }

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Until the engine has looked at what there is, and the server has written down what the load left. */
const settleMs = 15_000
const listedStatements = 12

export const idle = ({ seconds, tasks }: IdleOptions) => {
  const program = Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const { processId, url } = yield* EmbeddedPostgres
    yield* sql`CREATE EXTENSION pg_stat_statements`.unprepared
    yield* load(tasks).pipe(Effect.provide(layerStore({ migrate: true })))
    const engine = yield* spawnEngine(url, () => {})
    yield* Effect.sleep(settleMs)
    yield* sql`SELECT pg_stat_statements_reset()`
    const engineBeforeMs = cpuMsOfFamily(engine.processId)
    const serverBeforeMs = cpuMsOfFamily(processId)
    yield* Effect.sleep(seconds * 1_000)
    const engineCpuMs = cpuMsOfFamily(engine.processId) - engineBeforeMs
    const serverCpuMs = cpuMsOfFamily(processId) - serverBeforeMs
    const statements = yield* sql<{
      readonly query: string
      readonly calls: number
      readonly ms: number
    }>`SELECT query, calls::float8 AS calls, total_exec_time + total_plan_time AS ms FROM pg_stat_statements
      WHERE query NOT LIKE '%pg_stat_statements%' ORDER BY calls DESC`
    const calls = statements.reduce((sum, statement) => sum + statement.calls, 0)
    const shareOf = (cpuMs: number) => cpuMs / seconds / 10
    const figures = {
      queriesPerSecond: calls / seconds,
      cpuPercent: {
        engine: shareOf(engineCpuMs),
        server: shareOf(serverCpuMs),
        all: shareOf(engineCpuMs + serverCpuMs)
      },
      perSecond: Object.fromEntries(
        statements
          .slice(0, listedStatements)
          .map((statement) => [statement.query.replaceAll(/\s+/g, " ").slice(0, 100), statement.calls / seconds])
      )
    }
    return {
      settings: { tasks, seconds, settleMs },
      figures,
      floors: [
        atMost("percent of a core, engine and server", 1, figures.cpuPercent.all),
        atMost("queries/s of an engine", 5, figures.queriesPerSecond)
      ]
    }
  })
  const preloaded = serverWith({ shared_preload_libraries: "pg_stat_statements" })
  return Effect.scoped(program).pipe(Effect.provide(preloaded))
}

/** With a store of its own, which is closed when the tasks are there: it would go on asking for the time. */
const load = Effect.fnUntraced(function* (tasks: number) {
  // The kind that the process serves.
  const kindIds = yield* kindIdsOf(["bench.engines"])
  yield* loadTasks({ kindIds, count: tasks, fromMs: Math.ceil(yield* nowMs) + hourMs, spreadMs: 30 * dayMs })
  yield* settle
})
