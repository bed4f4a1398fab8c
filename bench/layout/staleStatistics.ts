/**
 * Plans under the worst statistics, with autovacuum off so that they stay: every table analyzed while it was empty, or vacuumed
 * when nearly all of its rows had gone while its pages were still there, which is what autovacuum meets when it comes to
 * `in_progress` between two batches. The life cycle of the layout's own statements, with joins free and pinned, and of the
 * same statements with a plain equality; then one look-up written in two ways, of which one collapses.
 */
import { Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import { median } from "./claimCost.ts"
import { cycle, pinnedSettings } from "./cycle.ts"
import * as Driver from "./driver.ts"
import { type Days, dayMs, eachDay, idFloor, type Layout, partitionName, type Statement } from "./layout.ts"
import { explain, run } from "./probe.ts"
import type { Server } from "./server.ts"

const free = { enable_hashjoin: "on", enable_mergejoin: "on", enable_seqscan: "on" }
const modes = {
  "joins free": free,
  "joins pinned": {},
  "joins pinned, generic plans": { plan_cache_mode: "force_generic_plan" }
} as const
const states = ["analyzed empty", "vacuumed nearly empty"] as const

/** The same statements with `=` where they say `= ANY (ARRAY[...])`. */
export const withPlainEquality = (layout: Layout): Layout => {
  const plain = (statement: Statement): Statement => ({
    ...statement,
    sql: statement.sql.replaceAll("ANY (ARRAY[w.task_id])", "w.task_id")
  })
  return {
    ...layout,
    name: `${layout.name}, plain equality`,
    start: plain(layout.start),
    succeed: plain(layout.succeed),
    retry: plain(layout.retry),
    reschedule: plain(layout.reschedule)
  }
}

export const staleCycles = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  days: Days,
  tasks: number
) {
  const results = []
  for (const state of states) {
    for (const [mode, parameters] of Object.entries(modes)) {
      const staled = { ...layout, schema: "stale" }
      yield* makeStale(server, admin, staled, days)
      if (state === "vacuumed nearly empty") {
        // 4,000 tasks at once leave their pages behind; VACUUM then counts hardly a row on them.
        yield* cycle(server, admin, staled, { batchSize: 2000, connections: 1, until: { tasks: 4000 } })
        const connection = yield* server.connect({ search_path: "stale" })
        yield* run(connection, `VACUUM (ANALYZE, TRUNCATE false) ${layout.projections.join(", ")}`)
      }
      const result = yield* cycle(server, admin, staled, {
        batchSize: 500,
        connections: 2,
        until: { tasks },
        parameters
      })
      results.push({ ...result, state, mode })
    }
  }
  yield* run(admin, "DROP SCHEMA stale CASCADE")
  return results
})

const lookUps = {
  "scalar subquery with bounds": `SELECT (SELECT f.data FROM event f WHERE f.task_id = w.id AND f.version = 1
    AND f.task_id >= $2 AND f.task_id < $3) FROM unnest($1::uuid[]) AS w(id)`,
  "join with bounds": `SELECT f.data FROM unnest($1::uuid[]) AS w(id) JOIN event f ON f.task_id = w.id AND f.version = 1
    AND f.task_id >= $2 AND f.task_id < $3`
}

/** 500 payloads by id out of `tasks` streams of today. */
export const staleLookUps = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  days: Days,
  todayMs: number,
  tasks: number
) {
  const staled = { ...layout, schema: "stale" }
  yield* makeStale(server, admin, staled, days)
  const connection = yield* server.connect({ search_path: "stale", ...pinnedSettings })
  const driver = Driver.make(connection, staled, 1)
  const ids: Array<string> = []
  for (let done = 0; done < tasks; done += 1000) {
    const batch = Array.from({ length: 1000 }, () => Driver.makeTask(todayMs + Math.random() * dayMs))
    yield* driver.schedule(batch)
    if (ids.length < 500) ids.push(...batch.slice(0, 500).map((task) => task.id))
  }
  const values = `'{${ids.toSorted().join(",")}}', '${idFloor(todayMs)}', '${idFloor(todayMs + dayMs)}'`
  const results = []
  for (const [form, text] of Object.entries(lookUps)) {
    for (const mode of ["custom", "generic"] as const) {
      yield* run(
        connection,
        "DEALLOCATE ALL",
        `SET plan_cache_mode = force_${mode}_plan`,
        `PREPARE p(uuid[], uuid, uuid) AS ${text}`
      )
      const plans = yield* Effect.forEach([1, 2, 3], () => explain(connection, `EXECUTE p(${values})`))
      results.push({
        form,
        mode,
        streams: tasks,
        executionMs: median(plans.map((plan) => plan.executionMs))
      })
    }
  }
  yield* run(admin, "DROP SCHEMA stale CASCADE")
  return results
})

const makeStale = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  days: Days
) {
  yield* run(admin, "DROP SCHEMA IF EXISTS stale CASCADE", "CREATE SCHEMA stale")
  yield* Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* server.connect({ search_path: layout.schema })
      yield* run(connection, ...layout.tables(days))
      const [table = ""] = layout.projections
      const leaves = [
        ...eachDay(days).flatMap((day) => [partitionName("event", day), partitionName(table, day)]),
        layout.projections[1] ?? ""
      ]
      yield* run(
        connection,
        ...leaves.map((leaf) => `ALTER TABLE ${leaf} SET (autovacuum_enabled = off)`),
        `ANALYZE event, ${layout.projections.join(", ")}`
      )
    })
  )
})
