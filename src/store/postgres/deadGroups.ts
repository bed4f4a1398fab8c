import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { fingerprintOf } from "../../core/fingerprint.ts"
import type { Json } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { batchSizeMax, type DeadGroup, type DeadGroupsFilter } from "../TaskStore.ts"
import { deathOf } from "./events.ts"
import type { Kinds } from "./Kinds.ts"
import { int4, int4s, msOf, text, texts, uuids } from "./parameters.ts"
import { orUnavailable } from "./sqlErrors.ts"

/** The index `dead_letter_ungrouped`; what another process is at is passed over. $1 limit. */
export const ungroupedSql = `SELECT task_id, kind_id, version, data FROM duetime.dead_letter WHERE fingerprint IS NULL
  ORDER BY task_id LIMIT $1::int4
  FOR UPDATE SKIP LOCKED`

/** Deaths that were redriven meanwhile are not there any more, and those that came after are of another version. */
const groupSql = `UPDATE duetime.dead_letter l SET fingerprint = f.fingerprint
  FROM unnest($1::uuid[], $2::int4[], $3::text[]) AS f (task_id, version, fingerprint)
  WHERE l.task_id = f.task_id AND l.version = f.version`

/**
 * The index `dead_letter_group` alone counts; of each group that is answered one letter is read. $1 kinds or null, $2 group or
 * null, $3 limit.
 */
export const deadGroupsSql = `WITH groups AS MATERIALIZED (
    SELECT fingerprint, min(kind_id) AS kind_id, count(*) AS count, min(dead_at) AS first_at, max(dead_at) AS last_at
    FROM duetime.dead_letter
    WHERE fingerprint IS NOT NULL AND ($1::int4[] IS NULL OR kind_id = ANY($1::int4[])) AND ($2::text IS NULL OR fingerprint = $2::text)
    GROUP BY fingerprint
    ORDER BY count(*) DESC, fingerprint
    LIMIT $3::int4
  )
  SELECT g.fingerprint, g.kind_id, g.count::float8 AS count, ${msOf("g.first_at")} AS first_ms, ${msOf("g.last_at")} AS last_ms, s.task_id, s.data
  FROM groups g CROSS JOIN LATERAL (
    SELECT l.task_id, l.data FROM duetime.dead_letter l WHERE l.fingerprint = g.fingerprint ORDER BY l.task_id DESC LIMIT 1
  ) s
  ORDER BY g.count DESC, g.fingerprint`

/** Batches of letters per maintenance; the next one goes on. */
const batchesMax = 100

type UngroupedRow = {
  readonly task_id: TaskId
  readonly kind_id: number
  readonly version: number
  readonly data: Json
}

type GroupRow = {
  readonly fingerprint: string
  readonly kind_id: number
  readonly count: number
  readonly first_ms: number
  readonly last_ms: number
  readonly task_id: TaskId
  readonly data: Json
}

/** Dead letters by their causes. The fingerprint is worked out here and not by the statements that settle attempts. */
export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  const group = Effect.fnUntraced(function* (limit: number) {
    const rows = yield* sql.unsafe<UngroupedRow>(ungroupedSql, [int4(limit)])
    if (rows.length === 0) return 0
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    yield* sql.unsafe(groupSql, [
      uuids(rows.map((row) => row.task_id)),
      int4s(rows.map((row) => row.version)),
      texts(rows.map((row) => fingerprintOf(kinds.nameOf(row.kind_id), deathOf(row.data).error).group))
    ])
    return rows.length
  })

  const groups = Effect.fnUntraced(function* (filter: DeadGroupsFilter) {
    const kindIds = filter.kind === undefined ? null : yield* kinds.knownIdsOf([filter.kind])
    const rows = yield* sql.unsafe<GroupRow>(deadGroupsSql, [
      kindIds === null ? null : int4s(kindIds),
      filter.group === undefined ? null : text(filter.group),
      int4(filter.limit)
    ])
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    return rows.map((row): DeadGroup => ({
      group: row.fingerprint,
      kind: kinds.nameOf(row.kind_id),
      count: row.count,
      firstDeadAtMs: row.first_ms,
      lastDeadAtMs: row.last_ms,
      sample: { taskId: row.task_id, ...deathOf(row.data) }
    }))
  })

  const groupDead = (limit: number) => orUnavailable("groupDead")(sql.withTransaction(group(limit)))

  /** What engines do beside, so that whoever looks at groups need not wait for them to be made. */
  const groupSome = Effect.gen(function* () {
    for (let batch = 0; batch < batchesMax; batch++) if ((yield* groupDead(batchSizeMax)) < batchSizeMax) return
  })

  return {
    groupDead,
    groupSome,
    deadGroups: (filter: DeadGroupsFilter) => orUnavailable("deadGroups")(groups(filter))
  }
}
