import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber, Layer } from "effect"
import { defaultKindPolicy } from "../src/core/KindPolicy.ts"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { lowerBoundAt } from "../src/core/TaskId.ts"
import { Duetime } from "../src/Duetime.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layer as layerRetention } from "../src/store/postgres/PgRetention.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { Retention } from "../src/store/Retention.ts"
import { startsOf, summaryOf, tallyOf } from "./kafka/history.ts"
import { callAtRate, nowMs, waitUntil } from "./openLoop.ts"
import { atMost } from "./report.ts"
import { pool, server } from "./server.ts"
import { countedKind, spawnEngine } from "./spawnEngine.ts"

/**
 * A day of history is taken out and dropped while tasks run and a reader holds a long transaction: what that does to drift, beside the
 * same load without it. The day is written beforehand: tasks that have succeeded, four events each, and stragglers that wait
 * for a kind that nobody serves. The tasks that run are scheduled at a steady rate, due two seconds later; engine and worker are in a
 * process of their own. The reader holds a snapshot, and locks of all tables but the history: while one holds that, nothing is dropped.
 */
export type RetentionOptions = {
  /** In the day. */
  readonly tasks: number
  readonly ratePerSecond: number
  /** Of each of both loads. */
  readonly seconds: number
  readonly random: () => number
}

const Quiet = countedKind("bench.quiet")
const Beside = countedKind("bench.beside")
const stragglerEvery = 100
const dayMs = 86_400_000
const daysAgo = 4
const dueInMs = 2_000
const lateMsMax = 30_000
/** Ids per statement that writes the day. */
const batchTasks = 50_000
const ratioMax = 1.5
/** A p99 of less is the noise of two processes on one machine. */
const p99MsNoise = 1

export const retention = ({ random, ratePerSecond, seconds, tasks }: RetentionOptions) => {
  const program = Effect.gen(function* () {
    const { url } = yield* EmbeddedPostgres
    const sql = yield* PgClient.PgClient
    yield* Effect.provide(Effect.void, layerStore({ migrate: true }))
    const atMs = Math.floor((yield* nowMs) / dayMs - daysAgo) * dayMs
    const day = new Date(atMs).toISOString().slice(0, 10)
    yield* writeDay(atMs, tasks)
    const engine = yield* spawnEngine(url, () => {}, [[Quiet.kind, Beside.kind]])
    const stragglers = Math.ceil(tasks / stragglerEvery)

    const load = (kind: typeof Quiet) =>
      Effect.gen(function* () {
        const duetime = yield* Duetime
        const before = engine.calls()
        yield* callAtRate({
          ratePerSecond,
          seconds,
          random,
          call: () => duetime.schedule(kind, { workMs: 0 }, { in: dueInMs }),
          answered: () => {}
        })
        yield* waitUntil(() => engine.calls() - before >= ratePerSecond * seconds, lateMsMax)
      }).pipe(Effect.provide(Duetime.layer.pipe(Layer.provide(layerStore({ migrate: false })))))

    yield* Effect.log("a load without it")
    yield* load(Quiet)
    yield* Effect.log("the same load while the day is dropped")
    const reading = yield* Effect.forkChild(heldReader)
    const retiring = yield* Effect.forkChild(dropping(day, seconds * 100))
    yield* load(Beside)
    const drop = yield* Fiber.join(retiring)
    yield* Fiber.interrupt(reading)
    yield* engine.stop

    const quiet = summaryOf(yield* startsOf([Quiet.kind]))
    const beside = summaryOf(yield* startsOf([Beside.kind]))
    const tally = yield* tallyOf([Quiet.kind, Beside.kind])
    const [left] = yield* sql<{ readonly kept: number; readonly waiting: number }>`SELECT
      (SELECT count(*)::int4 FROM duetime.event WHERE task_id < ${lowerBoundAt(atMs + dayMs)}::uuid) AS kept,
      (SELECT count(*)::int4 FROM duetime.due d JOIN duetime.kind k USING (kind_id) WHERE k.name = 'bench.stragglers') AS waiting`
    return {
      settings: { tasks, stragglerEvery, ratePerSecond, seconds, dueInMs, day },
      figures: {
        driftWithout: quiet,
        driftBeside: beside,
        ratioOfP99: beside.p99 / quiet.p99,
        drop,
        eventsKept: left?.kept ?? 0
      },
      floors: [
        atMost("days not dropped", 0, drop.isDropped ? 0 : 1),
        atMost(
          "drift p99 beside the drop, in times of that without",
          ratioMax,
          beside.p99 / Math.max(p99MsNoise, quiet.p99)
        ),
        atMost("stragglers lost", 0, stragglers - (left?.kept ?? 0)),
        atMost("stragglers that wait no more", 0, stragglers - (left?.waiting ?? 0)),
        atMost("events kept of tasks that had ended", 0, (left?.kept ?? 0) - stragglers),
        atMost("early starts", 0, quiet.early + beside.early),
        atMost("tasks lost", 0, tally.missing),
        atMost("attempts started twice", 0, tally.startedTwice)
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(Layer.provideMerge(pool(10), server)))
}

/** Holds a snapshot, and a lock of everything that is read but the history, until it is interrupted. */
const heldReader = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`
      yield* sql`SELECT count(*) FROM duetime.task`
      return yield* Effect.never
    })
  )
})

/** As `duetime partitions drop` does, some way into the load. */
const dropping = (day: string, afterMs: number) =>
  Effect.gen(function* () {
    yield* Effect.sleep(afterMs)
    const retention = yield* Retention
    const fromMs = yield* nowMs
    const taken = yield* retention.retire(day)
    const retiredMs = (yield* nowMs) - fromMs
    for (const name of taken) yield* retention.drop(name)
    const left = (yield* retention.days).some((found) => found.day === day)
    return { isDropped: taken.includes(day) && !left, retireMs: retiredMs, dropMs: (yield* nowMs) - fromMs - retiredMs }
  }).pipe(Effect.provide(layerRetention(14)))

/** Tasks of that day as an engine and a worker leave them: a claim, a start and a success, or nothing behind the schedule. */
const writeDay = Effect.fnUntraced(function* (atMs: number, tasks: number) {
  const sql = yield* PgClient.PgClient
  for (const name of ["bench.done", "bench.stragglers"]) {
    yield* sql`INSERT INTO duetime.kind (name, policy) VALUES (${name}, ${JSON.stringify(defaultKindPolicy(name))}::text::jsonb)`
  }
  for (let from = 0; from < tasks; from += batchTasks) {
    const to = Math.min(tasks, from + batchTasks) - 1
    yield* sql.unsafe(
      `WITH task AS MATERIALIZED (
         SELECT n, n % ${stragglerEvery} = 0 AS waits, to_timestamp(${atMs} / 1000.0) + n * (interval '86399 seconds' / ${tasks}) AS at
         FROM generate_series(${from}, ${to}) AS n
       ), born AS MATERIALIZED (
         SELECT n, waits, at, (SELECT kind_id FROM duetime.kind k WHERE k.name = CASE WHEN waits THEN 'bench.stragglers' ELSE 'bench.done' END) AS kind_id,
           encode(overlay(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM at) * 1000)::int8) FROM 3) FROM 1 FOR 6)
             PLACING '\\x70'::bytea FROM 7 FOR 1), 'hex')::uuid AS task_id
         FROM task
       ), event AS (
         SELECT b.at + (e.version - 1) * interval '1 millisecond' AS at, b.task_id, e.version, e.type, b.kind_id, b.at AS due_at
         FROM born b CROSS JOIN (VALUES (1, ${eventCodes.TaskScheduled}), (2, ${eventCodes.TaskClaimed}), (3, ${eventCodes.AttemptStarted}), (4, ${eventCodes.AttemptSucceeded})) AS e (version, type)
         WHERE e.version = 1 OR NOT b.waits
       ), appended AS (
         INSERT INTO duetime.event (at, task_id, event_id, version, type, kind_id, due_at, priority, session_id, attempt, deadline_at, data)
         SELECT at, task_id, gen_random_uuid(), version, type,
           CASE version WHEN 1 THEN kind_id END, CASE version WHEN 1 THEN due_at END, CASE version WHEN 1 THEN 2 END,
           CASE WHEN version IN (2, 3) THEN 1 END, CASE WHEN version > 2 THEN 1 END, CASE version WHEN 3 THEN at + interval '1 minute' END,
           CASE version WHEN 1 THEN '{"workMs": 0}'::jsonb END
         FROM event
       )
       INSERT INTO duetime.due (due_at, task_id, kind_id, version, attempt, charged, priority)
       SELECT at, task_id, kind_id, 1, 0, 0, 2 FROM born WHERE waits`
    ).unprepared
  }
  yield* sql`VACUUM ANALYZE duetime.event`.unprepared
})
