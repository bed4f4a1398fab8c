/**
 * Life cycles before and under an old snapshot. The snapshot belongs to a REPEATABLE READ transaction that stays open, as a
 * forgotten session or a long report would, so that no dead row of the run can be removed. Then the same with hardly any
 * sweeps, which shows what the growing cost is.
 */
import { Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import { cycle } from "./cycle.ts"
import type { Layout } from "./layout.ts"
import { run } from "./probe.ts"
import type { Server } from "./server.ts"

const options = { batchSize: 200, connections: 2 } as const

export const pinnedSnapshot = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  seconds: number
) {
  const part = Math.max(1, seconds / 4)
  const before = yield* cycle(server, admin, layout, { ...options, until: { seconds: part } })
  const pin = yield* server.connect({})
  yield* run(pin, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class")
  const until = { seconds: part }
  const under = []
  for (let quarter = 0; quarter < 4; quarter++) under.push(yield* cycle(server, admin, layout, { ...options, until }))
  const seldomSwept = yield* cycle(server, admin, layout, { ...options, until, sweepEverySteps: 1_000 })
  yield* run(pin, "COMMIT")
  return { layout: layout.name, secondsPinned: part * 5, before, under, seldomSwept }
})
