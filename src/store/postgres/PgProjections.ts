import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { lowerBoundAt, nominalDueAtMsOf, type TaskId } from "../../core/TaskId.ts"
import { type AnnouncedPolicy, Projections, type StoredRow, twinsMax } from "../Projections.ts"
import {
  make as makeRows,
  type ProjectionRow,
  projectionOf,
  projectionTables,
  selectAudited,
  selectRows
} from "./auditedRows.ts"
import type { EventRow } from "./events.ts"
import { type KindRow, make as makeKinds, policyOf } from "./Kinds.ts"
import { make as makeKeys } from "./keyRows.ts"
import * as Migrations from "./Migrations.ts"
import { float8, int2, int4, msOf, uuid } from "./parameters.ts"
import { ownClient } from "./ownClient.ts"
import { make as makeReplace } from "./replaceRows.ts"
import { cursorOf, placeOf } from "./rowPlace.ts"
import { orUnavailable } from "./sqlErrors.ts"

/** Events per page of streams; a stream that is longer is a page by itself. */
const pageEventsMax = 5_000
const pageRowsMax = 1_000
const connectionsMax = 2

const make = Effect.gen(function* () {
  const ambient = yield* PgClient.PgClient
  yield* Migrations.check.pipe(Effect.provideService(SqlClient, ambient))
  const sql = yield* ownClient(ambient, connectionsMax).pipe(orUnavailable("connect"))
  const kinds = makeKinds(sql)
  const audited = makeRows({ sql, kinds })
  const { keyFaults, replaceKeys } = makeKeys({ sql, kinds })

  /**
   * Reads as of one instant. The locks come first, and the snapshot with the first query after them: tables that maintenance had
   * replaced in between would be empty for an older snapshot.
   */
  const snapshot = <A, E, R>(read: Effect.Effect<A, E, R>) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql.unsafe("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield* sql.unsafe(
          "LOCK TABLE duetime.event, duetime.due, duetime.in_progress, duetime.parked, duetime.dead_letter, duetime.key IN ACCESS SHARE MODE"
        )
        return yield* read
      })
    )

  /** A statement over everything is planned and timed otherwise than those by key that this pool is set up for. */
  const overAll = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.andThen(
      Effect.forEach(
        ["statement_timeout = 0", "enable_seqscan = on", "enable_hashjoin = on", "enable_mergejoin = on"],
        (setting) => sql.unsafe(`SET LOCAL ${setting}`),
        { discard: true }
      ),
      effect
    )

  const streams = Effect.fnUntraced(function* (after: TaskId | null) {
    const from = after ?? lowestId
    const rows = yield* sql.unsafe<EventRow>(
      `${selectAudited} WHERE e.task_id > $1::uuid ORDER BY e.task_id, e.version LIMIT $2::int4`,
      [uuid(from), int4(pageEventsMax)]
    )
    const isLast = rows.length < pageEventsMax
    const cut = rows.at(-1)?.task_id
    const whole = isLast ? rows : rows.filter((row) => row.task_id !== cut)
    const found =
      whole.length === 0 && cut !== undefined ? yield* audited.streamsById([cut]) : yield* audited.streamsOf(whole)
    return { items: yield* audited.withRows(found), next: isLast ? null : (found.at(-1)?.taskId ?? null) }
  })

  const linked = Effect.fnUntraced(function* (taskIds: ReadonlyArray<TaskId>) {
    const [kept] = yield* sql.unsafe<{ readonly edge: string | null }>(keptEdgeSql)
    const historyFromMs = typeof kept?.edge === "string" ? nominalDueAtMsOf(kept.edge) : Number.NEGATIVE_INFINITY
    return { streams: yield* audited.streamsById(taskIds), historyFromMs }
  })

  const rows = Effect.fnUntraced(function* (after: string | null) {
    const place = placeOf(after)
    const page =
      place.table === "due"
        ? yield* sql.unsafe<ProjectionRow>(duePageSql, [
            int4(pageRowsMax),
            int4(place.kindId),
            int2(place.rank),
            float8(place.dueAtMs),
            uuid(place.taskId)
          ])
        : yield* sql.unsafe<ProjectionRow>(
            `${selectRows[place.table]} WHERE task_id > $2::uuid ORDER BY task_id LIMIT $1::int4`,
            [int4(pageRowsMax), uuid(place.taskId)]
          )
    yield* kinds.ensureNames(page.map((row) => row.kind_id))
    const streams = yield* audited.streamsById(page.map((row) => row.task_id))
    const eventsOf = new Map(streams.map(({ events, taskId }) => [taskId, events]))
    const items = page.map((row): StoredRow => ({
      taskId: row.task_id,
      projection: projectionOf(row, kinds),
      events: eventsOf.get(row.task_id) ?? [],
      place: cursorOf(place.table, row)
    }))
    const [next = null] = projectionTables.slice(projectionTables.indexOf(place.table) + 1)
    return { items, next: page.length < pageRowsMax ? next : (items.at(-1)?.place ?? next) }
  })

  /**
   * Ids and keys that two streams have in common, found by the server, which sorts them on its disk: memory stays bounded and the
   * answer exact, for the price of one pass over the events. Only those streams are read.
   */
  const twins = Effect.gen(function* () {
    const taskIds: Array<TaskId> = []
    for (const statement of twinStatements) {
      const found = yield* sql.unsafe<{ readonly task_ids: ReadonlyArray<TaskId> }>(statement, [int4(twinsMax)])
      for (const { task_ids } of found) taskIds.push(...task_ids)
    }
    return yield* audited.streamsById(taskIds.slice(0, twinsMax))
  })

  const policies = Effect.map(
    sql.unsafe<KindRow & { readonly since_ms: number }>(
      `SELECT kind_id, name, policy, ${msOf("updated_at")} AS since_ms FROM duetime.kind WHERE policy IS NOT NULL`
    ),
    (announced) =>
      new Map(
        announced.map((row): [string, AnnouncedPolicy] => [row.name, { policy: policyOf(row), sinceMs: row.since_ms }])
      )
  )

  return Projections.of({
    streams: (after) => orUnavailable("streams")(snapshot(streams(after))),
    linked: (taskIds) => orUnavailable("linked")(snapshot(linked(taskIds))),
    rows: (after) => orUnavailable("rows")(snapshot(rows(after))),
    twins: orUnavailable("twins")(snapshot(overAll(twins))),
    keyFaults: orUnavailable("keyFaults")(snapshot(overAll(keyFaults))),
    replaceKeys: orUnavailable("replaceKeys")(sql.withTransaction(overAll(replaceKeys))),
    policies: orUnavailable("policies")(policies),
    ...makeReplace({ sql, audited })
  })
})

export const layer = Layer.effect(Projections, make)

const lowestId = lowerBoundAt(0)

/** Days before it are dropped as soon as they are over, but for what goes on or is a dead letter. */
const keptEdgeSql = `SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)') AS edge
  FROM pg_class c WHERE c.oid = to_regclass('duetime.event_kept')`

const duePageSql = `${selectRows.due}
  WHERE (kind_id, priority, due_at, task_id) > ($2::int4, $3::int2, to_timestamp($4::float8 / 1000.0), $5::uuid)
  ORDER BY kind_id, priority, due_at, task_id LIMIT $1::int4`

const twinStatements = [
  `SELECT array_agg(DISTINCT task_id) AS task_ids FROM duetime.event GROUP BY event_id HAVING count(*) > 1 LIMIT $1::int4`,
  `SELECT array_agg(task_id) AS task_ids FROM duetime.event WHERE version = 1 AND key IS NOT NULL
   GROUP BY kind_id, key HAVING count(*) > 1 LIMIT $1::int4`
]
