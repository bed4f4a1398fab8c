import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { suspectDeathsMin } from "../../core/deaths.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import type { ClaimedTask, PullRequest } from "../TaskStore.ts"
import { type ClaimRow, claimedTask } from "./claim.ts"
import type { Kinds } from "./Kinds.ts"
import { float8, int4, int4s, msOf } from "./parameters.ts"
import { isNotPaused } from "./pause.ts"
import { orUnavailable } from "./sqlErrors.ts"
import { isInTime } from "./statements.ts"

/**
 * Reads the whole of `in_progress`, which is small, and locks nothing: an index on status or kind would cost every start
 * its HOT update. Places number the tasks from the most urgent on, without the suspects that are too many; those behind $4 come
 * from the other end. All is counted in one pass over one sort.
 * $1 kind ids, $2 ms overdue, $3 limit, $4 of it from the most urgent, $5 suspects.
 */
export const pullSql = `SELECT task_id, kind_id, priority, ${msOf("due_at")} AS due_at_ms, version, event_id, deaths
  FROM (
    SELECT *, place - greatest(suspects - $5::int4, 0) <= $4::int4 AS is_first
    FROM (
      SELECT task_id, kind_id, priority, due_at, fence_version AS version, fence_id AS event_id, deaths,
        row_number() OVER urgency AS place, count(*) FILTER (WHERE deaths >= ${suspectDeathsMin}) OVER urgency AS suspects
      FROM duetime.in_progress p
      WHERE status = 1 AND kind_id = ANY($1::int4[]) AND due_at <= (SELECT clock_timestamp()) - $2::float8 * interval '1 millisecond'
        AND ${isNotPaused("kind_id")} AND ${isInTime("p.task_id", "(SELECT clock_timestamp())")}
      WINDOW urgency AS (ORDER BY priority, due_at, task_id ROWS UNBOUNDED PRECEDING)
    ) placed
    WHERE deaths < ${suspectDeathsMin} OR suspects <= $5::int4
  ) overdue
  ORDER BY is_first DESC, CASE WHEN is_first THEN priority ELSE -priority END, due_at, task_id
  LIMIT $3::int4`

export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  const run = Effect.fnUntraced(function* ({ fromLowest, kinds: names, limit, overdueMs, suspectsMax }: PullRequest) {
    const ids = yield* kinds.knownIdsOf(names)
    if (ids.length === 0 || limit <= 0) return []
    const rows = yield* sql.unsafe<ClaimRow>(pullSql, [
      int4s(ids),
      float8(overdueMs),
      int4(limit),
      int4(Math.max(0, limit - fromLowest)),
      int4(suspectsMax)
    ])
    return rows.map((row) => claimedTask(row, kinds))
  })
  return (request: PullRequest): Effect.Effect<ReadonlyArray<ClaimedTask>, StoreUnavailable> =>
    orUnavailable("pull")(run(request))
}
