/** When nothing fails any more: whether each process of the fleet has come back to itself. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import type { Fleet } from "./fleet.ts"

/** Above a start on a busy machine, and what a process may take to notice that its connections are dead. */
const wholeMsMax = 60_000
const lookIntervalMs = 500

/** Waits until every process has a live lease; those that have none by then. */
export const untilWhole = Effect.fnUntraced(function* (fleet: Fleet) {
  const sql = yield* PgClient.PgClient
  const leaseless = Effect.gen(function* () {
    const rows = yield* sql<{ readonly processId: number }>`SELECT split_part(process, ':', 2)::int4 AS "processId"
      FROM duetime.session WHERE ended_at IS NULL AND lease_until > clock_timestamp()`
    const alive = new Set(rows.map(({ processId }) => processId))
    return fleet.members.filter(({ processId }) => processId === undefined || !alive.has(processId))
  })
  let left = yield* leaseless
  yield* Effect.gen(function* () {
    while (left.length > 0) {
      yield* Effect.sleep(lookIntervalMs)
      left = yield* leaseless
    }
  }).pipe(Effect.timeoutOption(wholeMsMax))
  return left.map(({ name }) => name)
})
