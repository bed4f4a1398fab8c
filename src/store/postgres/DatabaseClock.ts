import { Clock, Effect, Schedule, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { msOf } from "./parameters.ts"

/** An estimate of the database's clock: it sets timers and ids; every decision about time is made in SQL. */
export type DatabaseClock = { readonly nowMs: () => number; readonly offsetMs: () => number }

const syncIntervalMs = 10_000
/**
 * Above it a node's clock is told of. It is never refused: due times, leases and deadlines are the database's. But its logs
 * do not agree with the history, and what an application computes by it (`dueAt`) is off by as much.
 */
export const offsetMsMax = 1_000
/** Samples per sync; the one with the shortest round trip wins (Cristian's algorithm, 1989). */
const samplesCount = 5

export const make = Effect.fnUntraced(function* (
  sql: SqlClient
): Effect.fn.Return<DatabaseClock, SqlError, Scope.Scope> {
  const clock = yield* Clock.Clock
  let offsetMs = 0
  let isTold = false

  /** Once, until it has been right again. */
  const tell = Effect.suspend(() => {
    const isFar = Math.abs(offsetMs) > offsetMsMax
    const isNews = isFar && !isTold
    isTold = isFar
    return isNews
      ? Effect.logWarning(
          `this node's clock is ${(Math.abs(offsetMs) / 1_000).toFixed(1)} s ${offsetMs > 0 ? "behind" : "ahead of"} the database's, which decides what is due. Synchronise both (NTP); until then logs and due times computed here are off by as much`
        )
      : Effect.void
  })

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
    yield* tell
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
