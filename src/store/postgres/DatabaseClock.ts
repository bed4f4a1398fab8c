import { Clock, Effect, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { msOf } from "./parameters.ts"

/**
 * An estimate of the database's clock: it sets timers and ids; every decision about time is made in SQL. It goes on by monotonic
 * time, so that a node whose own clock is set knows the database's as before.
 */
export type DatabaseClock = {
  readonly nowMs: () => number
  /** The database's clock minus this node's, as of now. */
  readonly offsetMs: () => number
}

const syncIntervalMs = 10_000
const lookIntervalMs = 1_000
/**
 * When the node's clock has moved so much against monotonic time, either it was set, or the machine stood still and monotonic time
 * with it: only the database can say which, and is asked at once.
 */
const stepMsMax = 500
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
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  /** The database's clock minus monotonic time. */
  let aheadMs = 0
  let syncedAtMs = -Infinity
  /** The node's clock minus monotonic time, at the last sync. */
  let nodeAheadMs = 0
  let isTold = false
  const nowMs = () => monotonicMs() + aheadMs
  const offset = () => nowMs() - preciseMs(clock)

  /** Once, until it has been right again. */
  const tell = Effect.suspend(() => {
    const offsetMs = offset()
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
      const askedMs = monotonicMs()
      const rows = yield* sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`)
      const answeredMs = monotonicMs()
      const readMs = rows[0]?.now_ms
      if (readMs === undefined || answeredMs - askedMs >= shortestMs) continue
      shortestMs = answeredMs - askedMs
      aheadMs = readMs - (askedMs + answeredMs) / 2
    }
    syncedAtMs = monotonicMs()
    nodeAheadMs = preciseMs(clock) - syncedAtMs
    yield* tell
  })

  const isDue = () => {
    const atMs = monotonicMs()
    return atMs - syncedAtMs >= syncIntervalMs || Math.abs(preciseMs(clock) - atMs - nodeAheadMs) > stepMsMax
  }
  yield* sync
  yield* Effect.suspend(() => (isDue() ? sync : Effect.void)).pipe(
    Effect.catch((error) => Effect.logDebug("the database's clock could not be read", error)),
    Effect.delay(lookIntervalMs),
    Effect.forever,
    Effect.forkScoped
  )
  return { nowMs, offsetMs: offset }
})

/** `currentTimeMillisUnsafe` has whole milliseconds, which alone would cost half a millisecond of drift. */
const preciseMs = (clock: Clock.Clock): number => Number(clock.currentTimeNanosUnsafe()) / 1e6
