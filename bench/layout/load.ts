/** Creates a layout's schema and fills it server-side with pending tasks, due at random instants of the 30 days after tomorrow's midnight. */
import { Effect } from "effect"
import { kindCount, priorityCount } from "./driver.ts"
import { dayMs, type Days, instant, type Layout } from "./layout.ts"
import { nowSeconds, run } from "./probe.ts"
import type { Server } from "./server.ts"
import type { PgConnection } from "@effect/sql-pg"

export const horizonDays = 30

/** Past days to retire, before today: three by either mechanism. */
export const pastDays = 6

/** The past days, today, the 30 days of the mass, and one more for what is moved past them. */
export const daysFrom = (todayMs: number): Days => ({
  fromMs: todayMs - pastDays * dayMs,
  count: pastDays + 1 + horizonDays + 1
})

/** The same random rows, in the same random due order, for every layout. */
export const seed = (admin: PgConnection.PgConnection, rows: number, todayMs: number) =>
  run(
    admin,
    "DROP TABLE IF EXISTS public.seed",
    "CREATE UNLOGGED TABLE public.seed (task_id uuid, kind_id int2, priority int2, due_at timestamptz)",
    "SELECT setseed(0.42)",
    `INSERT INTO public.seed
     SELECT uuidv7(due_at - clock_timestamp()), floor(random() * ${kindCount}), floor(random() * ${priorityCount}), due_at
     FROM (SELECT ${instant(todayMs + dayMs)}::timestamptz + random() * interval '${horizonDays} days' AS due_at
           FROM generate_series(1, ${rows}) OFFSET 0) s`
  )

/** Full-page images and checkpoints are kept out of the load; `settle` restores them before anything is measured. */
export const load = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  days: Days,
  statements: ReadonlyArray<string>
) {
  yield* run(admin, `DROP SCHEMA IF EXISTS ${layout.schema} CASCADE`, `CREATE SCHEMA ${layout.schema}`)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const connection = yield* server.connect({ search_path: layout.schema, synchronous_commit: "off" })
      yield* run(connection, ...layout.tables(days))
      const started = yield* nowSeconds
      yield* run(connection, ...statements)
      yield* Effect.logInfo(`${layout.name}: loaded in ${((yield* nowSeconds) - started).toFixed(1)} s`)
    })
  )
})

export const settle = Effect.fnUntraced(function* (admin: PgConnection.PgConnection) {
  const started = yield* nowSeconds
  yield* run(admin, "VACUUM (ANALYZE)", "CHECKPOINT")
  yield* Effect.logInfo(`vacuum, analyze and checkpoint in ${((yield* nowSeconds) - started).toFixed(1)} s`)
})
