import { Effect } from "effect"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { nowMs } from "./openLoop.ts"
import { kindIdsOf, loadTasks, settle } from "./pending.ts"
import { atMost } from "./report.ts"
import { cpuMsOfFamily, serverWith } from "./server.ts"
import { counted, spawnEngine } from "./spawnEngine.ts"
import { countedStatements, counting, most, startCounting } from "./statements.ts"

/**
 * What waiting costs: many tasks pending over the next 30 days, none due, and an engine with a worker in a process of its own.
 * Processor time of that process and of the server with all of its own, statements as pg_stat_statements counts them. The server
 * alone, before there is an engine, is measured too: what it takes then, to clean up after the load, is not the engine's.
 */
export type IdleOptions = { readonly tasks: number; readonly seconds: number }

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Until the server has written down what the load left. */
const settleMs = 15_000
/**
 * Until the engine has looked at what there is, and most of what it does once a second has been compiled: a minute after the start
 * the compiler's threads took 4 ms of each second, as much as the engine itself.
 */
const engineSettleMs = 180_000
const listedStatements = 8

export const idle = ({ seconds, tasks }: IdleOptions) => {
  const program = Effect.gen(function* () {
    const { processId, url } = yield* EmbeddedPostgres
    yield* load(tasks).pipe(Effect.provide(layerStore({ migrate: true })))
    const emptyBeforeMs = cpuMsOfFamily(processId)
    yield* Effect.sleep(settleMs)
    const withoutEngineMs = cpuMsOfFamily(processId) - emptyBeforeMs
    const engine = yield* spawnEngine(url, () => {})
    yield* Effect.sleep(engineSettleMs)
    yield* startCounting
    const engineBeforeMs = cpuMsOfFamily(engine.processId)
    const serverBeforeMs = cpuMsOfFamily(processId)
    yield* Effect.sleep(seconds * 1_000)
    const engineCpuMs = cpuMsOfFamily(engine.processId) - engineBeforeMs
    const serverCpuMs = cpuMsOfFamily(processId) - serverBeforeMs
    const statements = yield* countedStatements
    const calls = [...statements.values()].reduce((sum, statement) => sum + statement.calls, 0)
    const shareOf = (cpuMs: number) => cpuMs / seconds / 10
    const withoutEngine = withoutEngineMs / (settleMs / 1_000) / 10
    const all = shareOf(engineCpuMs + serverCpuMs)
    const figures = {
      queriesPerSecond: calls / seconds,
      cpuPercent: {
        engine: shareOf(engineCpuMs),
        server: shareOf(serverCpuMs),
        serverWithoutEngine: withoutEngine,
        all,
        ofTheEngine: all - withoutEngine
      },
      perSecond: most(statements, "calls", seconds, listedStatements),
      serverMsPerSecond: most(statements, "ms", seconds, listedStatements)
    }
    return {
      settings: { tasks, seconds, settleMs, engineSettleMs },
      figures,
      floors: [
        atMost(
          "percent of a core, engine and server, above what the server takes without one",
          1,
          figures.cpuPercent.ofTheEngine
        ),
        atMost("queries/s of an engine", 5, figures.queriesPerSecond)
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(serverWith(counting)))
}

/** With a store of its own, which is closed when the tasks are there: it would go on asking for the time. */
const load = Effect.fnUntraced(function* (tasks: number) {
  // The kind that the process serves.
  const kindIds = yield* kindIdsOf([counted.kind])
  yield* loadTasks({ kindIds, count: tasks, fromMs: Math.ceil(yield* nowMs) + hourMs, spreadMs: 30 * dayMs })
  yield* settle
})
