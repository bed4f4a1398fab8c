import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { type Priority, priorityOf } from "../../src/core/Priority.ts"
import { eventCodes } from "../../src/core/TaskEvent.ts"
import { Lateness } from "../report.ts"

/** What the events say, once all is over: they alone are the truth, and reading them disturbs nobody then. */
export type Start = {
  readonly atMs: number
  /** As the last event before the start had it. */
  readonly dueAtMs: number
  /** To the microsecond; the two above are floats of 1970 and are not. */
  readonly lateMs: number
  /** Of the claim's dispatch; null: pulled. */
  readonly dispatchedAtMs: number | null
  /** As scheduled. */
  readonly priority: Priority
}

/** Every start of these kinds, in the order in which they were recorded. */
export const startsOf = (kinds: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const rows = yield* sql<Omit<Start, "priority"> & { readonly rank: number }>`SELECT b.priority AS rank,
        (date_part('epoch', s.at) * 1000)::float8 AS "atMs",
        (date_part('epoch', d.due_at) * 1000)::float8 AS "dueAtMs",
        (date_part('epoch', s.at - d.due_at) * 1000)::float8 AS "lateMs",
        (date_part('epoch', s.dispatched_at) * 1000)::float8 AS "dispatchedAtMs"
      FROM duetime.kind k
      JOIN duetime.event b ON b.kind_id = k.kind_id AND b.type = ${eventCodes.TaskScheduled}::int2
      JOIN duetime.event s ON s.task_id = b.task_id AND s.type = ${eventCodes.AttemptStarted}::int2
      CROSS JOIN LATERAL (SELECT e.due_at FROM duetime.event e
        WHERE e.task_id = s.task_id AND e.version < s.version AND e.due_at IS NOT NULL ORDER BY e.version DESC LIMIT 1) d
      WHERE k.name IN ${sql.in(kinds)} ORDER BY s.at`
    return rows.map(({ rank, ...row }): Start => ({ ...row, priority: priorityOf(rank) }))
  })

/** Start, and the two parts of the way to it: until the engine published, and from there to the recorded start. */
export const driftOf = (starts: ReadonlyArray<Start>) => {
  const start = new Lateness()
  const pulled = new Lateness()
  const dispatched = new Lateness()
  const publish = new Lateness()
  const delivery = new Lateness()
  for (const { atMs, dispatchedAtMs, dueAtMs, lateMs } of starts) {
    start.record(lateMs)
    if (dispatchedAtMs === null) {
      pulled.record(lateMs)
      continue
    }
    dispatched.record(lateMs)
    publish.record(dispatchedAtMs - dueAtMs)
    delivery.record(atMs - dispatchedAtMs)
  }
  return {
    start: start.summary(),
    dispatched: dispatched.summary(),
    untilPublished: publish.summary(),
    fromPublishToStart: delivery.summary(),
    pulled: pulled.summary()
  }
}

export const summaryOf = (starts: ReadonlyArray<Start>) => {
  const lateness = new Lateness()
  for (const { lateMs } of starts) lateness.record(lateMs)
  return lateness.summary()
}

/** How the tasks of these kinds have fared. */
export const tallyOf = (kinds: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const [row] = yield* sql<{
      readonly scheduled: number
      readonly succeeded: number
      readonly attempts: number
      readonly startedTwice: number
      readonly firstDueAtMs: number
      readonly lastOutcomeAtMs: number
    }>`WITH own AS MATERIALIZED (
        SELECT b.task_id, b.due_at FROM duetime.kind k
        JOIN duetime.event b ON b.kind_id = k.kind_id AND b.type = ${eventCodes.TaskScheduled}::int2
        WHERE k.name IN ${sql.in(kinds)}),
      later AS MATERIALIZED (
        SELECT e.task_id, e.type, e.attempt, e.at FROM own JOIN duetime.event e USING (task_id)
        WHERE e.type IN (${eventCodes.AttemptStarted}::int2, ${eventCodes.AttemptSucceeded}::int2))
      SELECT (SELECT count(*)::int4 FROM own) AS scheduled,
        count(*) FILTER (WHERE type = ${eventCodes.AttemptSucceeded}::int2)::int4 AS succeeded,
        count(*) FILTER (WHERE type = ${eventCodes.AttemptStarted}::int2)::int4 AS attempts,
        (SELECT count(*)::int4 FROM (SELECT FROM later WHERE type = ${eventCodes.AttemptStarted}::int2
          GROUP BY task_id, attempt HAVING count(*) > 1) d) AS "startedTwice",
        (SELECT (date_part('epoch', min(due_at)) * 1000)::float8 FROM own) AS "firstDueAtMs",
        (date_part('epoch', max(at) FILTER (WHERE type = ${eventCodes.AttemptSucceeded}::int2)) * 1000)::float8 AS "lastOutcomeAtMs"
      FROM later`
    if (row === undefined) return yield* Effect.die(new Error("an aggregate gives a row"))
    return { ...row, missing: row.scheduled - row.succeeded }
  })

/** Whether no task of these kinds waits or runs any more. A look at two small ends of indexes, cheap enough for twice a second. */
export const isOver = (kinds: ReadonlyArray<string>) =>
  Effect.flatMap(PgClient.PgClient, (sql) =>
    Effect.map(
      sql<{
        readonly over: boolean
      }>`SELECT NOT EXISTS (SELECT FROM duetime.due d JOIN duetime.kind k USING (kind_id) WHERE k.name IN ${sql.in(kinds)})
        AND NOT EXISTS (SELECT FROM duetime.in_progress p JOIN duetime.kind k USING (kind_id) WHERE k.name IN ${sql.in(kinds)}) AS over`,
      ([row]) => row?.over ?? false
    )
  )
