import { Clock, Effect, Schedule, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { msOf } from "./parameters.ts"

/** An estimate of the database's clock: it sets timers and ids; every decision about time is made in SQL. */
export type DatabaseClock = { readonly nowMs: () => number; readonly offsetMs: () => number }

const syncIntervalMs = 10_000
/** Samples per sync; the one with the shortest round trip wins (Cristian's algorithm, 1989). */
const samplesCount = 5

export const make = Effect.fnUntraced(function* (
  sql: SqlClient
): Effect.fn.Return<DatabaseClock, SqlError, Scope.Scope> {
  const clock = yield* Clock.Clock
  let offsetMs = 0

  const sync = Effect.gen(function* () {
    let shortestMs = Infinity
    for (let sample = 0; sample < samplesCount; sample++) {
      const askedMs = preciseMs(clock)
      const rows = yield* sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`)
      const answeredMs = preciseMs(clock)
      const nowMs = rows[0]?.now_ms
      if (nowMs === undefined || answeredMs - askedMs >= shortestMs) continue
      shortestMs = answeredMs - askedMs
      offsetMs = nowMs - (askedMs + answeredMs) / 2
    }
  })

  yield* sync
  yield* sync.pipe(
    Effect.catch((error) => Effect.logDebug("the database's clock could not be read", error)),
    Effect.repeat(Schedule.spaced(syncIntervalMs)),
    Effect.delay(syncIntervalMs),
    Effect.forkScoped
  )
  return { nowMs: () => preciseMs(clock) + offsetMs, offsetMs: () => offsetMs }
})

/** `currentTimeMillisUnsafe` has whole milliseconds, which alone would cost half a millisecond of drift. */
const preciseMs = (clock: Clock.Clock): number => Number(clock.currentTimeNanosUnsafe()) / 1e6
