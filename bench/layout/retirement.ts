/**
 * Retires past days of layout B while two sessions run life cycles, and measures how long their statements stall. The day is
 * dropped; its unfinished and dead-lettered streams are carried over in the same transaction. Two mechanisms:
 *
 * "kept": `event_kept` covers everything before the retention edge. Detach it and the day, copy the streams into it, attach it
 * with the wider bound (a validated CHECK spares the scan), drop the day. The copy runs under the lock on `event`.
 *
 * "swap": lock the day alone against writers, copy its streams into a table that has the day's bounds as a CHECK, then detach the
 * day and attach that table in its place. The lock on `event` is held for the swap only, whatever the number of streams.
 *
 * Which streams are unfinished is read before, under no lock: no stream is born into a past day, and one that ends meanwhile
 * is merely carried too. `lock_timeout` bounds how long others queue behind us; it is shorter than deadlock_timeout (1 s), so
 * that a writer of the locked day that already holds `event` makes us try again and is never the one who is cancelled.
 * An empty past day of `due` is detached concurrently.
 */
import { Clock, Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import { cycle, pinnedSettings, TasksLost } from "./cycle.ts"
import * as Driver from "./driver.ts"
import { dayMs, type Days, eventType, idFloor, partitionName } from "./layout.ts"
import { number, nowSeconds, run } from "./probe.ts"
import { stages } from "./stages.ts"
import type { Server } from "./server.ts"

export interface Retirement {
  readonly mechanism: "kept" | "swap"
  readonly day: string
  readonly streams: number
  readonly kept: number
  readonly tries: number
  /** Finding the unfinished streams, under no lock. */
  readonly searchMs: number
  /** The transaction, its repetitions after a lock timeout included. */
  readonly transactionMs: number
  /** The last try from the request for the lock on `event` to the commit. */
  readonly lockedMs: number
  readonly detachDueMs: number
}

const lockTimeoutMs = 200
const triesMax = 50
const stragglerShare = 0.02
const ended = `(${eventType.AttemptSucceeded})`

export const retirement = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  days: Days,
  pastDays: number,
  tasksPerDay: number
) {
  const connection = yield* server.connect({ search_path: stages.schema, ...pinnedSettings })
  const driver = Driver.make(connection, stages, 7)
  const stragglers = yield* fillPastDays(driver, days, pastDays, tasksPerDay)
  const latencies: Array<{ readonly name: string; readonly atSeconds: number; readonly milliseconds: number }> = []
  const clock = yield* Clock.Clock
  const onStep = (name: string, milliseconds: number) => {
    latencies.push({ name, milliseconds, atSeconds: Number(clock.currentTimeNanosUnsafe()) / 1e9 })
  }
  const retirements: Array<Retirement & { readonly from: number; readonly to: number }> = []
  const retireAll = Effect.gen(function* () {
    yield* Effect.sleep("3 seconds")
    for (let index = 0; index < pastDays; index++) {
      const from = yield* nowSeconds
      const retired = yield* retireDay(connection, days.fromMs + index * dayMs, index < pastDays / 2 ? "kept" : "swap")
      retirements.push({ ...retired, from, to: yield* nowSeconds })
      yield* Effect.sleep("2 seconds")
    }
  })
  const [load] = yield* Effect.all(
    [
      cycle(server, admin, stages, { batchSize: 100, connections: 2, until: { seconds: 6 + pastDays * 4 }, onStep }),
      retireAll
    ],
    { concurrency: "unbounded" }
  )
  const recovered = yield* finishStragglers(driver, days, pastDays)
  if (recovered.ended !== stragglers.unfinished || recovered.dead !== stragglers.dead) {
    return yield* new TasksLost({ message: `kept ${JSON.stringify(recovered)} of ${JSON.stringify(stragglers)}` })
  }
  const near = (each: { readonly from: number; readonly to: number }) =>
    latencies.filter((step) => step.atSeconds >= each.from && step.atSeconds - step.milliseconds / 1000 <= each.to)
  const during = new Set(retirements.flatMap(near))
  return {
    tasksPerDay,
    stragglers,
    recovered,
    loadCyclesPerSecond: load.cyclesPerSecond,
    loadLost: 0,
    quiet: spread(latencies.filter((step) => !during.has(step)).map((step) => step.milliseconds)),
    retirements: retirements.map(({ from, to, ...rest }) => ({
      ...rest,
      load: spread(near({ from, to }).map((step) => step.milliseconds))
    }))
  }
})

/** Past days whose tasks have ended but for a few that wait for another day, run, or are dead letters. */
const fillPastDays = Effect.fnUntraced(function* (
  driver: Driver.Driver,
  days: Days,
  pastDays: number,
  tasksPerDay: number
) {
  let unfinished = 0
  let dead = 0
  for (let index = 0; index < pastDays; index++) {
    const day = days.fromMs + index * dayMs
    for (let done = 0; done < tasksPerDay; done += 1000) {
      yield* driver.schedule(Array.from({ length: 1000 }, () => Driver.makeTask(day + Math.random() * (dayMs - 1000))))
    }
    yield* driver.sweep(
      day - 1,
      day + dayMs - 1,
      50,
      Effect.fnUntraced(function* (held) {
        const started = yield* driver.start(held)
        const cut = Math.floor(started.length * stragglerShare)
        yield* driver.retry(
          started.slice(0, cut).map((task) => ({
            ...task,
            retryMs: days.fromMs + (pastDays + 20) * dayMs + Math.floor(Math.random() * 1000)
          }))
        )
        yield* deadLetter(driver.connection, started.slice(cut, 2 * cut))
        yield* driver.succeed(started.slice(3 * cut))
        unfinished += 2 * cut
        dead += cut
      })
    )
  }
  return { unfinished, dead }
})

const deadLetter = (connection: PgConnection.PgConnection, held: ReadonlyArray<Driver.Held>) =>
  connection.queryValues(
    `WITH ended AS (
       DELETE FROM in_progress p USING unnest($1::uuid[]) AS w(task_id) WHERE p.task_id = w.task_id
       RETURNING p.task_id, p.version + 1 AS version, uuidv7() AS event_id, p.kind_id, p.priority, p.attempt
     ), kept AS (
       INSERT INTO dead_letter (task_id, event_id, at, version, kind_id, priority, attempt)
       SELECT task_id, event_id, (SELECT clock_timestamp()), version, kind_id, priority, attempt FROM ended
     )
     INSERT INTO event (task_id, version, type, event_id, at, attempt)
     SELECT task_id, version, ${eventType.TaskDeadLettered}, event_id, (SELECT clock_timestamp()), attempt FROM ended`,
    [Driver.uuids(held.map((task) => task.id))]
  )

const carry = (event: string, into: string) =>
  `INSERT INTO ${into} SELECT e.* FROM unfinished u CROSS JOIN LATERAL (SELECT * FROM ${event} e WHERE e.task_id = u.task_id OFFSET 0) e`

const mechanisms = {
  kept: (event: string, _from: string, to: string) => ({
    prepare: [
      `ALTER TABLE event_kept ADD CONSTRAINT event_kept_edge CHECK (task_id < '${to}') NOT VALID`,
      "ALTER TABLE event_kept VALIDATE CONSTRAINT event_kept_edge"
    ],
    beforeLock: [],
    underLock: [
      "ALTER TABLE event DETACH PARTITION event_kept",
      `ALTER TABLE event DETACH PARTITION ${event}`,
      carry(event, "event_kept"),
      `ALTER TABLE event ATTACH PARTITION event_kept FOR VALUES FROM (MINVALUE) TO ('${to}')`,
      "ALTER TABLE event_kept DROP CONSTRAINT event_kept_edge",
      `DROP TABLE ${event}`
    ]
  }),
  swap: (event: string, from: string, to: string) => ({
    prepare: [
      `CREATE TABLE ${event}_carried (LIKE event INCLUDING ALL, CONSTRAINT day CHECK (task_id >= '${from}' AND task_id < '${to}'))`
    ],
    beforeLock: [`LOCK TABLE ${event} IN SHARE ROW EXCLUSIVE MODE`, carry(event, `${event}_carried`)],
    underLock: [
      `ALTER TABLE event DETACH PARTITION ${event}`,
      `ALTER TABLE event ATTACH PARTITION ${event}_carried FOR VALUES FROM ('${from}') TO ('${to}')`,
      `DROP TABLE ${event}`
    ]
  })
} as const

const retireDay = Effect.fnUntraced(function* (
  connection: PgConnection.PgConnection,
  day: number,
  mechanism: keyof typeof mechanisms
) {
  const event = partitionName("event", day)
  const due = partitionName("due", day)
  const plan = mechanisms[mechanism](event, idFloor(day), idFloor(day + dayMs))
  const began = yield* nowSeconds
  const streams = yield* number(connection, `SELECT count(*)::text FROM ${event} WHERE version = 1`)
  yield* run(
    connection,
    "DROP TABLE IF EXISTS unfinished",
    `CREATE TEMPORARY TABLE unfinished AS
     SELECT task_id FROM (SELECT DISTINCT ON (task_id) task_id, type FROM ${event} ORDER BY task_id, version DESC) last
     WHERE type NOT IN ${ended}`,
    "ANALYZE unfinished",
    ...plan.prepare
  )
  const searched = yield* nowSeconds
  let locking = searched
  const once = Effect.gen(function* () {
    yield* run(connection, "BEGIN", `SET LOCAL lock_timeout = ${lockTimeoutMs}`, ...plan.beforeLock)
    locking = yield* nowSeconds
    yield* run(connection, ...plan.underLock, "COMMIT")
  })
  let tries = 0
  for (let done = false; !done;) {
    tries++
    done = yield* once.pipe(
      Effect.as(true),
      Effect.catchIf(
        (error) => error.reason._tag === "LockTimeoutError" && tries < triesMax,
        () => Effect.as(run(connection, "ROLLBACK"), false)
      )
    )
    if (!done) yield* Effect.sleep("50 millis")
  }
  const retired = yield* nowSeconds
  const kept = yield* number(connection, "SELECT count(*)::text FROM unfinished")
  const detachFrom = yield* nowSeconds
  yield* run(connection, `ALTER TABLE due DETACH PARTITION ${due} CONCURRENTLY`, `DROP TABLE ${due}`)
  const answer: Retirement = {
    mechanism,
    day: event,
    streams,
    kept,
    tries,
    searchMs: (searched - began) * 1000,
    transactionMs: (retired - searched) * 1000,
    lockedMs: (retired - locking) * 1000,
    detachDueMs: ((yield* nowSeconds) - detachFrom) * 1000
  }
  return answer
})

/** Ends what was kept: claims the retried at their new day, and succeeds the running by the fence they hold. */
const finishStragglers = Effect.fnUntraced(function* (driver: Driver.Driver, days: Days, pastDays: number) {
  let endedCount = 0
  const target = days.fromMs + (pastDays + 20) * dayMs
  const edge = days.fromMs + pastDays * dayMs
  const idle = (held: ReadonlyArray<Driver.Held>) => held.filter((task) => Driver.bornBefore(task, edge))
  yield* driver.sweep(
    target - 1,
    target + 1001,
    50,
    Effect.fnUntraced(function* (held) {
      const ended = yield* driver.succeed(yield* driver.start(idle(held)))
      endedCount += ended.length
    })
  )
  const rows = yield* driver.connection.queryValues(
    "SELECT task_id, version, event_id, due_at, kind_id, priority FROM in_progress WHERE status = 2 AND task_id < $1::uuid",
    [Driver.uuid(idFloor(edge))]
  )
  const running = yield* driver.succeed(rows.map((row) => Driver.heldOf(row, 0)))
  endedCount += running.length
  const dead = yield* number(
    driver.connection,
    `SELECT count(*)::text FROM dead_letter d WHERE EXISTS (SELECT FROM event e WHERE e.task_id = d.task_id AND e.version = 1)
       AND EXISTS (SELECT FROM event e WHERE e.task_id = d.task_id AND e.version = d.version)`
  )
  return { ended: endedCount, dead }
})

const spread = (milliseconds: ReadonlyArray<number>) => {
  const sorted = milliseconds.toSorted((left, right) => left - right)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { statements: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}
