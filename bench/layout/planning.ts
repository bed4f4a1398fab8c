/**
 * Planning and execution time at 1, 64 and 366 day partitions, with custom and generic plans: what it costs to name the
 * partition, to prune to it by bounds, or to give neither. The tables hold a few thousand rows, so execution is overhead too.
 */
import { Effect } from "effect"
import { pinnedSettings } from "./cycle.ts"
import { median } from "./claimCost.ts"
import * as Driver from "./driver.ts"
import { dayMs, daySuffix, idFloor } from "./layout.ts"
import { explain, run } from "./probe.ts"
import { inPlace } from "./inPlace.ts"
import { stages } from "./stages.ts"
import type { Server } from "./server.ts"

export interface PlanningTime {
  readonly partitions: number
  readonly statement: string
  readonly plan: "custom" | "generic"
  readonly planningMs: number
  readonly executionMs: number
}

const repetitions = 15
const batch = 100

export const planning = Effect.fnUntraced(function* (server: Server, partitions: number, todayMs: number) {
  const admin = yield* server.connect({})
  const results: Array<PlanningTime> = []
  const days = { fromMs: todayMs, count: partitions }
  for (const layout of [stages, inPlace]) {
    yield* run(admin, "DROP SCHEMA IF EXISTS planning CASCADE", "CREATE SCHEMA planning")
    const connection = yield* server.connect({ search_path: "planning", ...pinnedSettings })
    yield* run(connection, ...layout.tables(days))
    const driver = Driver.make(connection, layout, 1)
    const tasks = Array.from({ length: 4000 }, () => Driver.makeTask(todayMs + Math.random() * partitions * dayMs))
    const today = Array.from({ length: batch }, () => Driver.makeTask(todayMs + Math.random() * dayMs))
    yield* driver.schedule(tasks)
    yield* driver.schedule(today)
    yield* run(
      connection,
      layout.name === stages.name ? "ANALYZE event, due, in_progress" : "ANALYZE event, task, elsewhere"
    )
    const ids = `'{${today
      .map((task) => task.id)
      .toSorted()
      .join(",")}}'::uuid[]`
    const id = `'${today[0]?.id ?? ""}'::uuid`
    const bounds = `'${idFloor(todayMs)}'::uuid, '${idFloor(todayMs + dayMs)}'::uuid`
    for (const [statement, types, text, values] of statementsOf(layout.name, layout.claims[0]?.sql ?? "", todayMs, {
      ids,
      id,
      bounds
    })) {
      for (const plan of ["custom", "generic"] as const) {
        yield* run(
          connection,
          "DEALLOCATE ALL",
          `SET plan_cache_mode = force_${plan}_plan`,
          `PREPARE p${types} AS ${text}`
        )
        const plans = []
        for (let repetition = 0; repetition <= repetitions; repetition++) {
          yield* run(connection, "BEGIN")
          plans.push(yield* explain(connection, `EXECUTE p(${values})`))
          yield* run(connection, "ROLLBACK")
        }
        const warm = plans.slice(1)
        results.push({
          partitions,
          statement,
          plan,
          planningMs: median(warm.map((each) => each.planningMs)),
          executionMs: median(warm.map((each) => each.executionMs))
        })
      }
    }
  }
  yield* run(admin, "DROP SCHEMA planning CASCADE")
  return results
})

type Case = readonly [name: string, types: string, text: string, values: string]

const statementsOf = (
  layout: string,
  claim: string,
  todayMs: number,
  literal: { readonly ids: string; readonly id: string; readonly bounds: string }
): ReadonlyArray<Case> => {
  const lanes = Driver.makeLanes(5, todayMs - 1)
  const claimValues = [
    `'{${lanes.kinds.join(",")}}'`,
    `'{${lanes.priorities.join(",")}}'`,
    `'{${lanes.lowMs.map((ms) => new Date(ms).toISOString()).join(",")}}'`,
    `'{${lanes.quotas.join(",")}}'`,
    `'${new Date(todayMs + dayMs - 1).toISOString()}'`,
    "1",
    "30000"
  ].join(", ")
  const table = layout === stages.name ? "event" : "task"
  const found = layout === stages.name ? "e.version = 1 AND" : ""
  const from = `'${new Date(todayMs).toISOString()}'`
  const pruned = (bounds: string) =>
    claim
      .replaceAll("{day}", "")
      .replace(
        "w.due_at <= $5::timestamptz",
        `w.due_at <= $5::timestamptz ${bounds === "" ? "" : `AND w.due_at >= ${bounds}`}`
      )
      .replace(
        "d.ctid = p.tid",
        `d.ctid = p.tid AND d.due_at = p.due_at ${bounds === "" ? "" : `AND d.due_at <= $5::timestamptz AND d.due_at >= ${bounds}`}`
      )
  const lookUp = (bounds: string) =>
    `SELECT (SELECT e.event_id FROM ${table} e WHERE ${found} e.task_id = w.id ${bounds}) FROM unnest($1::uuid[]) AS w(id)`
  const claims: ReadonlyArray<Case> = [
    ["claim, partition named", "", claim.replaceAll("{day}", daySuffix(todayMs)), claimValues],
    ...(layout === stages.name
      ? ([
          ["claim, pruned by bounds", "", pruned(from), claimValues],
          ["claim, no lower bound", "", pruned(""), claimValues]
        ] as const)
      : [])
  ]
  return [
    ...claims.map(([name, ...rest]): Case => [`${layout}: ${name}`, ...rest]),
    [
      `${layout}: one ${table} by id`,
      "(uuid)",
      `SELECT e.event_id FROM ${table} e WHERE ${found} e.task_id = $1`,
      literal.id
    ],
    [
      `${layout}: 100 ${table} rows by id, bounds`,
      "(uuid[], uuid, uuid)",
      lookUp("AND e.task_id >= $2 AND e.task_id < $3"),
      `${literal.ids}, ${literal.bounds}`
    ],
    [`${layout}: 100 ${table} rows by id, no bounds`, "(uuid[])", lookUp(""), literal.ids],
    ...(layout === stages.name
      ? []
      : ([
          [
            `${layout}: update 100 by id, partition named`,
            "(uuid[])",
            `UPDATE task${daySuffix(todayMs)} t SET status = 1 FROM unnest($1::uuid[]) AS w(id) WHERE t.task_id = w.id`,
            literal.ids
          ],
          [
            `${layout}: update 100 by id, no bounds`,
            "(uuid[])",
            "UPDATE task t SET status = 1 FROM unnest($1::uuid[]) AS w(id) WHERE t.task_id = w.id",
            literal.ids
          ]
        ] as const))
  ]
}
