/** After the last fault: until nobody waits for an answer and no task is on its way. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { Duetime } from "../../src/index.ts"
import type { Ledger } from "./load.ts"

/** Above all leases, retries and restarts, and a backlog of minutes on a busy machine. What is not over by then will not be. */
const drainMsMax = 600_000
const lookIntervalMs = 500
/** Parked tasks that one look lets go on. */
const resumedMax = 500

/** True when all is over. The person of `onInterrupted: "park"` is here: every parked task is looked at, and may go on. */
export const drain = Effect.fnUntraced(function* (ledger: Ledger) {
  const sql = yield* PgClient.PgClient
  const duetime = yield* Duetime
  const look = Effect.gen(function* () {
    const parked = yield* sql<{
      readonly id: string
    }>`SELECT task_id::text AS id FROM duetime.parked LIMIT ${resumedMax}::int4`
    yield* Effect.forEach(parked, ({ id }) => Effect.ignore(duetime.runNow(id)), { discard: true })
    const [left] = yield* sql<{ readonly isOver: boolean }>`SELECT NOT EXISTS (SELECT FROM duetime.due)
      AND NOT EXISTS (SELECT FROM duetime.in_progress) AND NOT EXISTS (SELECT FROM duetime.parked) AS "isOver"`
    return left?.isOver === true
  })
  const isOver = Effect.gen(function* () {
    while (!(ledger.isAnswered && (yield* Effect.orElseSucceed(look, () => false)))) yield* Effect.sleep(lookIntervalMs)
  })
  return (yield* Effect.timeoutOption(isOver, drainMsMax))._tag === "Some"
})
