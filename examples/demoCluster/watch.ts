/** Follows the run from outside: no process tells this one what it does, so it reads the event table and asks /readyz. */
import { Effect, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { eventCodes } from "../../src/core/TaskEvent.ts"
import type { Progress } from "../demo/progress.ts"
import type { Member } from "./Member.ts"

const lookIntervalMs = 1_000

type Row = {
  readonly started: number
  readonly retries: number
  readonly dead: number
  readonly ended: number
  /** Drifts of first attempts since the last look. */
  readonly drifts: ReadonlyArray<number> | null
  readonly latest: string | null
}

const { AttemptFailed, AttemptStarted, AttemptSucceeded, TaskCancelled, TaskDeadLettered, TaskReconciled } = eventCodes

/** Looks once a second, until the scope closes. */
export const watch = Effect.fnUntraced(function* (progress: Progress, members: () => ReadonlyArray<Member>) {
  const sql = yield* SqlClient.SqlClient
  let latest = "-infinity"
  const look = Effect.gen(function* () {
    const [row] = yield* sql<Row>`
      SELECT count(*) FILTER (WHERE e.type = ${AttemptStarted}::int)::int AS started,
        count(*) FILTER (WHERE e.type = ${AttemptFailed}::int)::int AS retries,
        count(*) FILTER (WHERE e.type = ${TaskDeadLettered}::int)::int AS dead,
        count(*) FILTER (WHERE e.type IN (${AttemptSucceeded}::int, ${TaskReconciled}::int, ${TaskDeadLettered}::int, ${TaskCancelled}::int))::int AS ended,
        array_agg(extract(epoch FROM e.at - b.due_at)::float8 * 1000) FILTER (WHERE b.task_id IS NOT NULL) AS drifts,
        max(e.at)::text AS latest
      FROM duetime.event e
      LEFT JOIN duetime.event b ON e.type = ${AttemptStarted}::int AND e.attempt = 1 AND e.at > ${latest}::timestamptz
        AND b.task_id = e.task_id AND b.version = 1`
    if (row === undefined) return
    progress.attemptsCount = row.started
    progress.retriesCount = row.retries
    progress.deadLettersCount = row.dead
    progress.endedCount = row.ended
    for (const driftMs of row.drifts ?? []) progress.drifted(driftMs)
    latest = row.latest ?? latest
  })
  yield* Effect.forkScoped(
    Effect.repeat(
      Effect.andThen(
        Effect.ignore(look),
        Effect.forEach(members(), (member) => member.look, { concurrency: "unbounded", discard: true })
      ),
      Schedule.spaced(lookIntervalMs)
    )
  )
})
