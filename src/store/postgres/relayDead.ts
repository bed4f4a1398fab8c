import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { DeadLetter } from "../../core/DeadLetter.ts"
import { priorityOf } from "../../core/Priority.ts"
import type { Json } from "../../core/TaskEvent.ts"
import { deathOf } from "./events.ts"
import type { Kinds } from "./Kinds.ts"
import { int4, msOf, uuids } from "./parameters.ts"
import { orUnavailable } from "./sqlErrors.ts"

type DeadRow = {
  readonly task_id: string
  readonly version: number
  readonly kind_id: number
  readonly priority: number
  readonly attempt: number
  readonly dead_at_ms: number
  readonly data: Json
}

/** The index `dead_letter_unannounced`, oldest first; what another process is announcing is passed over. $1 limit. */
export const unannouncedSql = `SELECT task_id, version, kind_id, priority, attempt, ${msOf("dead_at")} AS dead_at_ms, data
  FROM duetime.dead_letter WHERE announced_at IS NULL
  ORDER BY dead_at, task_id LIMIT $1::int4
  FOR UPDATE SKIP LOCKED`

const announcedSql = `UPDATE duetime.dead_letter SET announced_at = clock_timestamp() WHERE task_id = ANY($1::uuid[])`

/**
 * An outbox without a table of its own: the dead letters are it. One transaction holds the rows while they are announced, so
 * that nobody redrives a letter before the world was told of it, or tells of it twice at once.
 */
export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  const run = Effect.fnUntraced(function* <E, R>(
    limit: number,
    announce: (letters: ReadonlyArray<DeadLetter>) => Effect.Effect<void, E, R>
  ) {
    const rows = yield* sql.unsafe<DeadRow>(unannouncedSql, [int4(limit)])
    if (rows.length === 0) return 0
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    yield* announce(rows.map((row) => letterOf(row, kinds)))
    yield* sql.unsafe(announcedSql, [uuids(rows.map((row) => row.task_id))])
    return rows.length
  })

  return <E, R>(limit: number, announce: (letters: ReadonlyArray<DeadLetter>) => Effect.Effect<void, E, R>) =>
    orUnavailable("relayDead")(sql.withTransaction(run(limit, announce)))
}

const letterOf = (row: DeadRow, kinds: Kinds): DeadLetter => {
  const { error, reason } = deathOf(row.data)
  return {
    taskId: row.task_id,
    version: row.version,
    kind: kinds.nameOf(row.kind_id),
    priority: priorityOf(row.priority),
    attempt: row.attempt,
    deadAtMs: row.dead_at_ms,
    reason,
    errorName: error.name
  }
}
