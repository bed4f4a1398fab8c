import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { lowerBoundAt } from "../../core/TaskId.ts"
import type { Maintained } from "../TaskStore.ts"
import { msOf } from "./parameters.ts"
import {
  attached,
  missingOf,
  nextStep,
  type PartitionedTable as Table,
  partitionedTables as tables,
  type Step,
  wantedAt
} from "./partitionSteps.ts"
import { daysBetween, type Partition } from "./partitionPlan.ts"
import { make as makeRetire } from "./retire.ts"
import { isSqlError, orUnavailable } from "./sqlErrors.ts"
import { type DueTables, wholeDue } from "./statements.ts"
import { actAs, readTablesOwner, type TablesOwner } from "./tablesOwner.ts"

/**
 * Makes partitions ahead, splits coarse ones that have come near, and retires days behind the retention edge. Each step
 * is a short transaction of its own under one advisory lock and a lock timeout: a step that cannot have its locks
 * at once is left for the next round, so nothing queues up behind it.
 *
 * Retiring: streams that have not ended well (pending, in progress, parked, dead) are carried into the `kept` partition,
 * which covers everything before the retention edge, and those that have ended there since are left behind (`retire.ts`). It is an
 * ordinary partition, so look-ups and appends of those streams need no second path.
 */
const lockTimeoutMs = 1_000
/** Any number that no other program of the database uses for its advisory locks. */
const advisoryLock = 0x64756574
/** A sweep at midnight: kept, the day before, today and the next; two more if nobody has retired yet. */
const dueTablesMax = 6
/** Steps per round, so that one call is bounded; the next round goes on. */
const stepsMax = 200

/** A start waits at most 30 s for another process that makes the first partitions. */
const readyTriesMax = 300
const readyPauseMs = 100

export const make = (sql: SqlClient, retentionDays: number) => {
  let horizonMs = 0
  let ledgerFromMs = 0
  let eventDays: ReadonlySet<number> = new Set()
  let dueParts: ReadonlyArray<Partition> = []
  let owner: TablesOwner | null = null

  const databaseNowMs = Effect.map(
    sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`),
    (rows) => rows[0]?.now_ms ?? 0
  )

  /** What there is, for the statements that name partitions. */
  const look = Effect.fnUntraced(function* (nowMs: number) {
    const events = wantedAt("event", nowMs, retentionDays)
    eventDays = new Set(
      (yield* attached(sql, "event")).flatMap(({ fromMs, name }) => (name.startsWith("d") ? [fromMs] : []))
    )
    dueParts = yield* attached(sql, "due")
    horizonMs = events.at(-1)?.toMs ?? 0
    ledgerFromMs = events[0]?.fromMs ?? 0
  })

  /** What `maintain` does at an instant. */
  const maintainAt = Effect.fnUntraced(function* (nowMs: number) {
    const made: Array<string> = []
    const dropped: Array<string> = []
    owner = yield* readTablesOwner(sql)
    const leftTo = owner === null || owner.isOurs ? null : owner.name
    for (const table of leftTo === null ? tables : []) {
      for (let count = 0; count < stepsMax; count++) {
        const next = nextStep(yield* attached(sql, table), wantedAt(table, nowMs, retentionDays))
        if (next === null || !(yield* step(table, next, false))) break
        if (next.kind !== "retire") for (const partition of next.make) made.push(`${table}_${partition.name}`)
        if (next.kind !== "make") dropped.push(`${table}_${next.drop.name}`)
      }
    }
    yield* forget(wantedAt("event", nowMs, retentionDays))
    yield* look(nowMs)
    return { made, dropped, leftTo } satisfies Maintained
  })

  const maintain = Effect.flatMap(databaseNowMs, maintainAt).pipe(orUnavailable("maintain"))

  const isMissing = Effect.fnUntraced(function* (nowMs: number) {
    for (const table of tables) {
      const found = yield* attached(sql, table)
      // Without the kept one nothing has been made yet.
      const isNew = found.every(({ name }) => name !== "kept")
      if (isNew || missingOf(found, wantedAt(table, nowMs, retentionDays)).length > 0) return true
    }
    return false
  })

  /**
   * Maintains until there is a place for every task, by this process or by another one that is at it. Where there is one already, nothing
   * is done: splitting and retiring, which may take seconds, are an engine's, and a look at a task must not wait for them. Whoever may
   * not make any goes on without: most tasks have their place, and the others are refused with the reason.
   */
  const ready = Effect.gen(function* () {
    for (let tries = 0; tries < readyTriesMax; tries++) {
      const nowMs = yield* databaseNowMs
      if (!(yield* isMissing(nowMs))) return yield* look(nowMs)
      owner = yield* readTablesOwner(sql)
      if (owner?.isOurs === false) return yield* Effect.andThen(warnOf(owner.name), look(nowMs))
      yield* maintainAt(nowMs)
      if (yield* isMissing(nowMs)) yield* Effect.sleep(readyPauseMs)
    }
  }).pipe(orUnavailable("maintain"))

  /** False: not in this round. */
  const step = Effect.fnUntraced(function* (table: Table, next: Step, isKept: boolean) {
    if (next.kind !== "retire") return yield* exclusively(Effect.as(perform(table, next), true))
    if (table === "event" && !(yield* unlessLocked(close(`${table}_${next.drop.name}`)))) return false
    return yield* exclusively(retire(table, next.drop, isKept))
  })

  const perform = (table: Table, next: Exclude<Step, { readonly kind: "retire" }>) =>
    next.kind === "split"
      ? split(table, next)
      : Effect.forEach(next.make, (part) => Effect.andThen(create(table, part), attach(table, part)), { discard: true })

  /**
   * Retires history before an instant, the beginning of a day that has come, whatever the retention is. Answers the names of the
   * days that were retired; fewer than there are if somebody was in the way.
   * @param isKept each stays as a table of its own, to be exported
   */
  const retireBefore = Effect.fnUntraced(function* (toMs: number, isKept: boolean) {
    const retired: Array<string> = []
    owner = yield* readTablesOwner(sql)
    const wanted = wantedAt("event", yield* databaseNowMs, retentionDays).filter((part) => part.fromMs >= toMs)
    for (let count = 0; count < stepsMax; count++) {
      // A month that no engine has split in time is theirs, not a day to be exported.
      const next = nextStep(yield* attached(sql, "event"), wanted)
      if (next?.kind !== "retire" || !next.drop.name.startsWith("d") || !(yield* step("event", next, isKept))) break
      retired.push(next.drop.name)
    }
    return retired
  })

  /**
   * The check is what the partition's bound will demand, so attaching it need not read the rows that are in it by then;
   * the lock on the whole table lasts milliseconds.
   */
  const create = Effect.fnUntraced(function* (table: Table, part: Partition) {
    const name = `${table}_${part.name}`
    yield* sql.unsafe(
      `CREATE TABLE duetime.${table}_${part.name} (
         LIKE duetime.${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES,
         CONSTRAINT ${table}_${part.name}_bound CHECK (${within(table, part)})
       ) ${table === "due" ? "WITH (autovacuum_vacuum_scale_factor = 0.05)" : ""}`
    )
    // Statements name partitions by themselves: who may use the table may use each of them in the same way.
    const grants = yield* sql.unsafe<{ readonly statement: string }>(
      `SELECT format('GRANT %s ON duetime.${name} TO %s', string_agg(a.privilege_type, ', '),
         CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) AS statement
       FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
       WHERE c.oid = 'duetime.${table}'::regclass AND a.grantee <> c.relowner GROUP BY a.grantee`
    )
    for (const { statement } of grants) yield* sql.unsafe(statement)
  })

  const attach = Effect.fnUntraced(function* (table: Table, part: Partition, name = `${table}_${part.name}`) {
    const from = part.fromMs === -Infinity ? "MINVALUE" : boundAt(table, part.fromMs)
    yield* sql.unsafe(
      `ALTER TABLE duetime.${table} ATTACH PARTITION duetime.${name} FOR VALUES FROM (${from}) TO (${boundAt(table, part.toMs)})`
    )
    yield* sql.unsafe(`ALTER TABLE duetime.${name} DROP CONSTRAINT ${table}_${part.name}_bound`)
  })

  const detachAndDrop = Effect.fnUntraced(function* (name: string, table: Table) {
    yield* sql.unsafe(`ALTER TABLE duetime.${table} DETACH PARTITION duetime.${name}`)
    yield* sql.unsafe(`DROP TABLE duetime.${name}`)
  })

  /** Writers of the one partition wait while it is copied; everything else goes on until the short swap. */
  const split = Effect.fnUntraced(function* (table: Table, { drop, make }: Extract<Step, { kind: "split" }>) {
    const from = `${table}_${drop.name}`
    for (const part of make) yield* create(table, part)
    yield* sql.unsafe(`LOCK TABLE duetime.${from} IN SHARE ROW EXCLUSIVE MODE`)
    for (const part of make) {
      yield* sql.unsafe(
        `INSERT INTO duetime.${table}_${part.name} SELECT * FROM duetime.${from} p WHERE ${within(table, part)}`
      )
    }
    yield* assertAllMoved(table, from, make)
    yield* detachAndDrop(from, table)
    for (const part of make) yield* attach(table, part)
  })

  /** A split that would lose a row must never commit. */
  const assertAllMoved = Effect.fnUntraced(function* (table: Table, from: string, parts: ReadonlyArray<Partition>) {
    const moved = parts.map((part) => `(SELECT count(*) FROM duetime.${table}_${part.name})`).join(" + ")
    const [rows] = yield* sql.unsafe<{ readonly complete: boolean }>(
      `SELECT (SELECT count(*) FROM duetime.${from}) = ${moved} AS complete`
    )
    if (rows?.complete !== true) return yield* Effect.die(new Error(`splitting duetime.${from} would lose rows`))
  })

  /** False if another engine is at it, or the locks could not be had in time. */
  const exclusively = (step: Effect.Effect<boolean, SqlError>): Effect.Effect<boolean, SqlError> =>
    unlessLocked(
      sql.withTransaction(
        Effect.gen(function* () {
          yield* sql.unsafe(`SET LOCAL lock_timeout = ${lockTimeoutMs}`)
          yield* actAs(sql, owner)
          const [lock] = yield* sql<{
            readonly mine: boolean
          }>`SELECT pg_try_advisory_xact_lock(${advisoryLock}) AS mine`
          return lock?.mine === true && (yield* step)
        })
      )
    )

  /** Keys and sessions of tasks whose day is gone. A key lives as long as its task's history. */
  const forget = Effect.fnUntraced(function* (wanted: ReadonlyArray<Partition>) {
    const edge = lowerBoundAt(wanted[0]?.fromMs ?? 0)
    yield* sql`DELETE FROM duetime.key WHERE (kind_id, key) IN (
      SELECT k.kind_id, k.key FROM duetime.key k WHERE k.task_id < ${edge}::uuid
        AND NOT EXISTS (SELECT 1 FROM duetime.event e WHERE e.task_id = k.task_id AND e.task_id < ${edge}::uuid AND e.version = 1)
      LIMIT 10000)`
    yield* sql`DELETE FROM duetime.edited WHERE task_id IN (
      SELECT x.task_id FROM duetime.edited x WHERE x.task_id < ${edge}::uuid
        AND NOT EXISTS (SELECT 1 FROM duetime.event e WHERE e.task_id = x.task_id AND e.task_id < ${edge}::uuid AND e.version = 1)
      LIMIT 10000)`
    // A revision is spoken of by the lines of its time, and the next one begins before they are all gone.
    yield* sql`DELETE FROM duetime.recurrence_revision WHERE (recurrence_id, revision) IN (
      SELECT r.recurrence_id, r.revision FROM duetime.recurrence_revision r
      JOIN duetime.recurrence_revision n ON n.recurrence_id = r.recurrence_id AND n.revision = r.revision + 1
      WHERE n.from_at < to_timestamp(${wanted[0]?.fromMs ?? 0}::float8 / 1000.0)
      LIMIT 10000)`
    yield* sql`DELETE FROM duetime.session WHERE ended_at < to_timestamp(${wanted[0]?.fromMs ?? 0}::float8 / 1000.0)`
  })

  /**
   * The table that surely holds the events of tasks born on a day: the day's own partition if it had one at the last
   * maintenance. It may have been retired since; whoever names it must be ready to fall back on `duetime.event`.
   */
  const eventTableOf = (dayStartMs: number): string => {
    const [day] = daysBetween(dayStartMs, dayStartMs + 1)
    return day !== undefined && eventDays.has(dayStartMs) ? `duetime.event_${day.name}` : "duetime.event"
  }

  /**
   * The tables of what is due between two instants, both included, as of the last maintenance: all of it, unless another
   * process has retired or split one since. Many (a node that was away for days) are not worth a statement of their own.
   */
  const dueTablesOf = (fromMs: number, toMs: number): DueTables => {
    const parts = dueParts.filter((part) => part.fromMs <= toMs && part.toMs > fromMs)
    return parts.length === 0 || parts.length > dueTablesMax
      ? wholeDue
      : parts.map((part) => `duetime.due_${part.name}`)
  }

  const { close, retire } = makeRetire({ sql, create, attach, actAsOwner: Effect.suspend(() => actAs(sql, owner)) })

  return {
    maintain,
    maintainAt,
    retireBefore,
    ready,
    eventTableOf,
    dueTablesOf,
    horizonMs: () => horizonMs,
    ledgerFromMs: () => ledgerFromMs
  }
}

const warnOf = (owner: string) =>
  Effect.logWarning(
    `Partitions are missing, and only the account ${owner} may make them: run "duetime partitions ensure" with it.`
  )

/** False: the locks could not be had in time. */
const unlessLocked = (effect: Effect.Effect<boolean, SqlError>): Effect.Effect<boolean, SqlError> =>
  Effect.catchIf(
    effect,
    (error) => isSqlError(error) && (error.reason._tag === "LockTimeoutError" || error.reason._tag === "DeadlockError"),
    () => Effect.succeed(false)
  )

const within = (table: Table, partition: Partition): string => {
  const column = { event: "task_id", due: "due_at", occurrence: "nominal_at" }[table]
  const from = partition.fromMs === -Infinity ? "" : `${column} >= ${boundAt(table, partition.fromMs)} AND `
  return `${from}${column} < ${boundAt(table, partition.toMs)}`
}

const boundAt = (table: Table, atMs: number): string =>
  table === "event" ? `'${lowerBoundAt(atMs)}'` : `'${new Date(atMs).toISOString()}'`
