import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Schema } from "effect"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { Task } from "../src/index.ts"
import { layerPostgres } from "../src/layers.ts"
import { Progress } from "./progress.ts"
import { atMost } from "./report.ts"
import { server } from "./server.ts"
import { spawnEngine } from "./spawnEngine.ts"
import { violations } from "./violations.ts"

/**
 * Several engines, each with a worker, each in a process of its own, on one database: every attempt must start exactly once,
 * by the history and by what the handlers saw, and the history must pass the audit.
 */
export type EnginesOptions = { readonly engines: ReadonlyArray<number>; readonly tasks: number }

const Count = Task.define("bench.engines", { payload: { workMs: Schema.Finite } })
const waitMsMax = 300_000

export const engines = (options: EnginesOptions) => {
  const program = Effect.gen(function* () {
    const figures: Record<string, Figures> = {}
    for (const count of options.engines) figures[`${count} engines`] = yield* round(count, options.tasks)
    const all = Object.values(figures)
    const sum = (field: "startedTwice" | "calledTwice" | "missing" | "violations") =>
      all.reduce((total, one) => total + one[field], 0)
    return {
      settings: { tasks: options.tasks, concurrencyPerWorker: 200 },
      figures,
      floors: [
        atMost("attempts started twice, by the history", 0, sum("startedTwice")),
        atMost("attempts whose handler was called twice", 0, sum("calledTwice")),
        atMost("tasks missing", 0, sum("missing")),
        atMost("violations found by the audit", 0, sum("violations"))
      ]
    }
  })
  return Effect.provide(program, layerPostgres({ migrate: true }).pipe(Layer.provideMerge(server)))
}

type Figures = {
  readonly tasksPerSecond: number
  readonly perEngine: ReadonlyArray<number>
  readonly startedTwice: number
  readonly calledTwice: number
  readonly missing: number
  readonly violations: number
}

const round = (count: number, tasks: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { url } = yield* EmbeddedPostgres
      const [clock] = yield* sql<{
        readonly id: string
      }>`SELECT coalesce(max(task_id::text), '00000000-0000-7000-8000-000000000000') AS id FROM duetime.event`
      const calls = new Map<string, number>()
      const progress = new Progress(`${count} engines`, tasks)
      const children = yield* Effect.forEach(
        Array.from({ length: count }),
        () =>
          spawnEngine(url, (call) => {
            calls.set(call, (calls.get(call) ?? 0) + 1)
            progress.at(calls.size)
          }),
        {
          concurrency: "unbounded"
        }
      )
      const fromMs = performance.now()
      yield* Count.scheduleMany(Array.from({ length: tasks }, () => ({ payload: { workMs: 0 } })))
      yield* Effect.gen(function* () {
        while (calls.size < tasks) yield* Effect.sleep(20)
      }).pipe(Effect.timeoutOption(waitMsMax))
      const elapsedMs = performance.now() - fromMs
      // What nobody may call again would be called now.
      yield* Effect.sleep(500)
      for (const child of children) yield* child.stop
      progress.end()
      const [history] = yield* sql<{ readonly twice: number; readonly ended: number }>`SELECT
        (SELECT count(*)::int4 FROM (SELECT FROM duetime.event WHERE type = 10 AND task_id > ${clock?.id ?? ""}::uuid GROUP BY task_id, attempt HAVING count(*) > 1) d) AS twice,
        (SELECT count(*)::int4 FROM duetime.event WHERE type = 30 AND task_id > ${clock?.id ?? ""}::uuid) AS ended`
      return {
        tasksPerSecond: (tasks / elapsedMs) * 1_000,
        perEngine: children.map((child) => child.calls()),
        startedTwice: history?.twice ?? 0,
        calledTwice: [...calls.values()].filter((times) => times > 1).length,
        missing: tasks - (history?.ended ?? 0),
        violations: yield* violations
      }
    })
  )
