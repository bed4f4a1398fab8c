import { Effect, Schedule } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { eventCodes } from "../../core/TaskEvent.ts"
import { lowerBoundAt } from "../../core/TaskId.ts"
import type { Partition } from "./partitionPlan.ts"
import { isSqlError } from "./sqlErrors.ts"

/**
 * Takes a day out of a table: a new kept partition, of what goes on in the old one and in the day, takes the place of both.
 *
 * Of history, a day may hold gigabytes, and nobody may wait while they are read. So the day is closed to new streams first, which
 * a trigger sees to; what goes on in it is copied without a lock; and only then are the day and the kept partition closed to
 * writers, for as long as it takes to copy the kept one and what was appended to the carried streams meanwhile. The swap closes
 * the whole table for milliseconds. It is waited for so briefly that a claim behind it loses nothing that one could measure,
 * a few times, and not at all while a transaction that is older than a second holds the table: then the day stays for this round.
 */
export type Retiring = "event" | "due" | "occurrence"

/** Of one wait for the whole table: whoever comes meanwhile waits as long. */
const swapLockTimeoutMs = 25
const swapTriesMax = 4
const swapPauseMs = 50
/** A lock that is held for longer will be held for a while. */
const holderMsMin = 1_000
/** What a day of 10^7 tasks takes on a slow disk, several times over. */
const copyTimeoutMs = 3_600_000
const closeLockTimeoutMs = 1_000

const { AttemptSucceeded, TaskCancelled, TaskExpired, TaskReconciled } = eventCodes

/** Streams that go on: everything but what succeeded, was cancelled or expired. Every row that still waits. Lines that reach further. */
const survivors: Record<Retiring, (name: string, edgeMs: number) => string> = {
  event: (name) =>
    `WHERE NOT EXISTS (SELECT 1 FROM duetime.${name} l
       WHERE l.task_id = p.task_id AND l.type IN (${AttemptSucceeded}, ${TaskReconciled}, ${TaskCancelled}, ${TaskExpired}))`,
  due: () => "",
  occurrence: (_, edgeMs) => `WHERE p.until_at >= '${new Date(edgeMs).toISOString()}'`
}

/** A retired day of history that waits for its export is a table of its own. */
export const retiredName = (name: string): string => `event_${name}_retired`

export const make = (parts: {
  readonly sql: SqlClient
  readonly create: (table: Retiring, part: Partition) => Effect.Effect<unknown, SqlError>
  readonly attach: (table: Retiring, part: Partition, name?: string) => Effect.Effect<void, SqlError>
  readonly actAsOwner: Effect.Effect<unknown, SqlError>
}) => {
  const { actAsOwner, attach, create, sql } = parts

  /** Whether somebody who will not be done soon is in the way of the swap. */
  const isHeld = (names: ReadonlyArray<string>) =>
    Effect.map(
      sql.unsafe<{ readonly held: boolean }>(
        `SELECT EXISTS (
           SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
           WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND l.relation IN (${names.map((name) => `'duetime.${name}'::regclass`).join(", ")})
             AND a.backend_type = 'client backend'
             AND a.xact_start < clock_timestamp() - ${holderMsMin} * interval '1 millisecond'
         ) AS held`
      ),
      ([row]) => row?.held === true
    )

  const copy = (table: Retiring, from: string, edgeMs: number) =>
    sql.unsafe(
      `INSERT INTO duetime.${table}_kept_next SELECT * FROM duetime.${from} p ${survivors[table](from, edgeMs)}`
    )

  /** What was appended to streams of the day since they were copied; there are no others, for the day is closed. */
  const copyRest = (from: string, dayMs: number) =>
    sql.unsafe(
      `INSERT INTO duetime.event_kept_next
       SELECT e.* FROM (SELECT task_id, max(version) AS version FROM duetime.event_kept_next WHERE task_id >= '${lowerBoundAt(dayMs)}' GROUP BY task_id) k
       CROSS JOIN LATERAL (SELECT * FROM duetime.${from} p WHERE p.task_id = k.task_id AND p.version > k.version) e`
    )

  /** Not by this transaction, so that the trigger stands when the copy begins. Births that are under way are waited for. */
  const close = (day: string) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql.unsafe(`SET LOCAL lock_timeout = ${closeLockTimeoutMs}`)
        yield* actAsOwner
        yield* sql.unsafe(
          `CREATE OR REPLACE TRIGGER event_day_is_closed BEFORE INSERT ON duetime.${day}
           FOR EACH ROW WHEN (NEW.version = 1) EXECUTE FUNCTION duetime.refuse_birth()`
        )
        return true
      })
    )

  const lockForSwap = (table: Retiring, names: ReadonlyArray<string>) =>
    sql
      .withTransaction(
        Effect.gen(function* () {
          yield* sql.unsafe(`SET LOCAL lock_timeout = ${swapLockTimeoutMs}`)
          yield* sql.unsafe(
            `LOCK TABLE ${[table, ...names].map((name) => `ONLY duetime.${name}`).join(", ")} IN ACCESS EXCLUSIVE MODE`
          )
        })
      )
      .pipe(
        Effect.retry({
          while: (error) => isSqlError(error) && error.reason._tag === "LockTimeoutError",
          times: swapTriesMax - 1,
          schedule: swapPause
        })
      )

  /**
   * False: somebody is in the way, and nothing was changed. In a transaction of the caller's, which ends when this fails.
   * @param isKept the day's history stays, as a table of its own that nobody writes any more
   */
  const retire = Effect.fnUntraced(function* (table: Retiring, drop: Partition, isKept: boolean) {
    const day = `${table}_${drop.name}`
    const sources = [`${table}_kept`, day]
    if (yield* isHeld([table, ...sources])) return false
    // The statements are over everything: planned and timed otherwise than those by key that this pool is set up for.
    for (const setting of overAll) yield* sql.unsafe(`SET LOCAL ${setting}`)
    const kept: Partition = { name: "kept_next", fromMs: -Infinity, toMs: drop.toMs }
    yield* create(table, kept)
    if (table === "event") yield* copy(table, day, drop.toMs)
    yield* sql.unsafe(`LOCK TABLE ${sources.map((name) => `duetime.${name}`).join(", ")} IN SHARE ROW EXCLUSIVE MODE`)
    yield* table === "event" ? copyRest(day, drop.fromMs) : copy(table, day, drop.toMs)
    yield* copy(table, `${table}_kept`, drop.toMs)
    yield* lockForSwap(table, sources)
    for (const name of sources) yield* sql.unsafe(`ALTER TABLE duetime.${table} DETACH PARTITION duetime.${name}`)
    yield* sql.unsafe(`DROP TABLE duetime.${table}_kept`)
    yield* table === "event" && isKept
      ? sql.unsafe(`ALTER TABLE duetime.${day} RENAME TO ${retiredName(drop.name)}`)
      : sql.unsafe(`DROP TABLE duetime.${day}`)
    yield* sql.unsafe(`ALTER TABLE duetime.${table}_kept_next RENAME TO ${table}_kept`)
    yield* attach(table, kept, `${table}_kept`)
    return true
  })

  return { close, retire }
}

const swapPause = Schedule.spaced(swapPauseMs)

const overAll = [
  `statement_timeout = ${copyTimeoutMs}`,
  "enable_seqscan = on",
  "enable_hashjoin = on",
  "enable_mergejoin = on",
  "plan_cache_mode = force_custom_plan"
]
