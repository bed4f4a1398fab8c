/**
 * Plans under the worst statistics: every table was analyzed while it was empty and autovacuum is off. First the life cycle
 * of the layout's own statements, with joins free and pinned; then one look-up written in two ways, of which one collapses.
 */
import { Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import { median } from "./claimCost.ts"
import { cycle, pinnedSettings } from "./cycle.ts"
import * as Driver from "./driver.ts"
import { type Days, dayMs, eachDay, idFloor, type Layout, partitionName } from "./layout.ts"
import { explain, run } from "./probe.ts"
import type { Server } from "./server.ts"

const free = { enable_hashjoin: "on", enable_mergejoin: "on", enable_seqscan: "on" }
const modes = {
  "joins free": free,
  "joins pinned": {},
  "joins free, generic plans": { ...free, plan_cache_mode: "force_generic_plan" },
  "joins pinned, generic plans": { plan_cache_mode: "force_generic_plan" },
  "joins pinned, custom plans": { plan_cache_mode: "force_custom_plan" }
} as const

export const staleCycles = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  days: Days,
  tasks: number
) {
  const results = []
  for (const [mode, parameters] of Object.entries(modes)) {
    const staled = { ...layout, schema: "stale" }
    yield* makeStale(server, admin, staled, days)
    const result = yield* cycle(server, admin, staled, { batchSize: 500, connections: 2, until: { tasks }, parameters })
    results.push({ ...result, mode })
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
        executionMs: median(plans.map((plan) => plan.executionMs)),
        plan: plans[0]?.text
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
