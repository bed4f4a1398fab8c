import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { startsOf, summaryOf, tallyOf } from "./kafka/history.ts"
import { nowMs, sleepUntil, waitUntil } from "./openLoop.ts"
import { atMost, Lateness } from "./report.ts"
import { pool, serverWith } from "./server.ts"
import { countedKind, spawnEngine } from "./spawnEngine.ts"
import { violations } from "./violations.ts"

/**
 * Tasks that a program without duetime's client schedules in transactions of its own, which stay open far beyond the due time: how long
 * after the commit they start, by the server's commit timestamps. Engine and worker are in a process of their own. Meanwhile another
 * connection schedules tasks that are committed at once and due two seconds later, so that claims go on and leave their marks; and one
 * transaction is rolled back in the end, which must leave nothing.
 */
export type HeldOptions = {
  readonly tasks: number
  /** Open for so long after the due time. */
  readonly seconds: number
}

const Held = countedKind("bench.held")
const Prompt = countedKind("bench.prompt")
const rolledBack = "bench.rolled-back"

/** Each with a connection of its own. */
const transactions = 10
const dueInMs = 2_000
/** Between two commits: each meets an engine that is idle, but for the tasks that come by themselves. */
const commitsApartMs = 250
const promptPerSecond = 5
const lateMsMax = 30_000

export const held = ({ seconds, tasks }: HeldOptions) => {
  const program = Effect.gen(function* () {
    const { url } = yield* EmbeddedPostgres
    const sql = yield* PgClient.PgClient
    yield* Effect.provide(Effect.void, layerStore({ migrate: true }))
    const engine = yield* spawnEngine(url, () => {}, [[Held.kind, Prompt.kind]])
    // A kind that nobody has announced is made by the transaction that names it first, and whoever else needs it waits for that one.
    yield* untilAnnounced([Held.kind, Prompt.kind])
    const dueAtMs = Math.ceil(yield* nowMs) + dueInMs
    const heldUntilMs = dueAtMs + seconds * 1_000
    const call = (kind: string, atMs: number) =>
      sql`SELECT task_id FROM duetime.schedule(${kind}, '{"workMs": 0}', due_at => to_timestamp(${atMs / 1_000}))`
    const transaction = (count: number, kind: string, untilMs: number) =>
      sql.withTransaction(
        Effect.gen(function* () {
          for (let n = 0; n < count; n++) yield* call(kind, dueAtMs)
          yield* sleepUntil(untilMs)
        })
      )
    const countOf = (index: number) =>
      Math.floor(((index + 1) * tasks) / transactions) - Math.floor((index * tasks) / transactions)
    const open = Array.from({ length: transactions }, (_, index) =>
      transaction(countOf(index), Held.kind, heldUntilMs + index * commitsApartMs)
    )
    const undone = sql.withTransaction(
      Effect.gen(function* () {
        for (let n = 0; n < tasks; n++) yield* call(rolledBack, dueAtMs)
        yield* sleepUntil(heldUntilMs)
        return yield* Effect.fail("rolled back")
      })
    )
    const prompts = Effect.gen(function* () {
      let scheduled = 0
      for (let atMs = dueAtMs; atMs < heldUntilMs; atMs += 1_000 / promptPerSecond) {
        yield* sleepUntil(atMs)
        yield* call(Prompt.kind, (yield* nowMs) + dueInMs)
        scheduled++
      }
      return scheduled
    })
    const [scheduled] = yield* Effect.all(
      [prompts, Effect.all(open, { concurrency: transactions, discard: true }), Effect.flip(undone)],
      { concurrency: 3 }
    )
    yield* waitUntil(() => engine.calls() >= tasks + scheduled, lateMsMax)
    // What nobody may call again would be called by now.
    yield* Effect.sleep(500)
    yield* engine.stop
    const fromCommit = yield* sinceCommit
    const tally = yield* tallyOf([Held.kind, Prompt.kind])
    const starts = yield* startsOf([Held.kind])
    const promptStarts = summaryOf(yield* startsOf([Prompt.kind]))
    const [left] = yield* sql<{ readonly left: number }>`SELECT
      count(*)::int4 + (SELECT count(*)::int4 FROM duetime.kind WHERE name = ${rolledBack}) AS left
      FROM duetime.event e JOIN duetime.kind k USING (kind_id) WHERE k.name = ${rolledBack}`
    const found = yield* Effect.provide(violations, layerStore({ migrate: false }))
    return {
      settings: { tasks, seconds, transactions, dueInMs, commitsApartMs, promptPerSecond },
      figures: {
        fromCommitToStart: fromCommit.summary(),
        lateOfHeld: summaryOf(starts),
        committedAtOnce: promptStarts,
        rolledBack: left?.left ?? 0
      },
      floors: [
        atMost("held tasks that have not started", 0, tasks - fromCommit.count),
        atMost("starts before the commit", 0, fromCommit.early),
        atMost("early starts of tasks committed at once", 0, promptStarts.early),
        atMost("tasks lost", 0, tally.missing),
        atMost("tasks committed at once that are missing", 0, scheduled - promptStarts.count),
        atMost("attempts started twice", 0, tally.startedTwice),
        atMost("rows that a rollback has left", 0, left?.left ?? 1),
        atMost("violations found by the audit", 0, found)
      ]
    }
  })
  return Effect.scoped(program).pipe(
    Effect.provide(Layer.provideMerge(pool(transactions + 5), serverWith({ track_commit_timestamp: "on" })))
  )
}

const untilAnnounced = Effect.fnUntraced(function* (kinds: ReadonlyArray<string>) {
  const sql = yield* PgClient.PgClient
  const announced = sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM duetime.kind
    WHERE name IN ${sql.in(kinds)} AND policy IS NOT NULL`
  while ((yield* announced)[0]?.n !== kinds.length) yield* Effect.sleep(50)
})

/** By the server: when the transaction that holds a task's first event committed, and its first attempt's start. */
const sinceCommit = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ readonly lateMs: number }>`SELECT
      (date_part('epoch', min(s.at) - min(pg_xact_commit_timestamp(b.xmin))) * 1000)::float8 AS "lateMs"
    FROM duetime.kind k
    JOIN duetime.event b ON b.kind_id = k.kind_id AND b.type = ${eventCodes.TaskScheduled}::int2
    JOIN duetime.event s ON s.task_id = b.task_id AND s.type = ${eventCodes.AttemptStarted}::int2
    WHERE k.name = ${Held.kind} GROUP BY b.task_id`
  const lateness = new Lateness()
  for (const { lateMs } of rows) lateness.record(lateMs)
  return lateness
})
