import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SchemaNewer, SchemaOutdated, ServerTooOld, StoreUnavailable } from "../StoreError.ts"
import { type EventPlace, type HistoryDay, Retention } from "../Retention.ts"
import { dayMs } from "./byDay.ts"
import { type EventRow, fromRow, selectEvents } from "./events.ts"
import { make as makeKinds } from "./Kinds.ts"
import * as Migrations from "./Migrations.ts"
import { int4, msOf, uuid } from "./parameters.ts"
import { make as makePartitions } from "./Partitions.ts"
import { ownClient } from "./ownClient.ts"
import { retiredName } from "./retire.ts"
import { orUnavailable } from "./sqlErrors.ts"

const connectionsMax = 2
const lowestId = "00000000-0000-0000-0000-000000000000"

const make = Effect.fnUntraced(function* (retentionDays: number) {
  const ambient = yield* PgClient.PgClient
  yield* Migrations.check.pipe(Effect.provideService(SqlClient, ambient))
  const sql = yield* ownClient(ambient, connectionsMax).pipe(orUnavailable("connect"))
  const kinds = makeKinds(sql)
  const partitions = makePartitions(sql, retentionDays)

  const tables = sql<{ readonly name: string; readonly bytes: number }>`
    SELECT c.relname::text AS name, pg_total_relation_size(c.oid)::float8 AS bytes
    FROM pg_class c WHERE c.relnamespace = 'duetime'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^event_d[0-9]{8}(_retired)?$'
    ORDER BY c.relname`

  const days = Effect.map(tables, (rows) =>
    rows.map(({ bytes, name }): HistoryDay => ({
      day: `${name.slice(7, 11)}-${name.slice(11, 13)}-${name.slice(13, 15)}`,
      isRetired: name.endsWith("_retired"),
      bytes
    }))
  )

  /** A retired day is read by itself; one that is there still, within its bounds. */
  const events = Effect.fnUntraced(function* (day: string, after: EventPlace | null, limit: number) {
    const isRetired = (yield* tables).some(({ name }) => name === retiredName(nameOf(day)))
    const table = isRetired ? retiredName(nameOf(day)) : `event_${nameOf(day)}`
    const rows = yield* sql.unsafe<EventRow>(
      `${selectEvents.replace("duetime.event e", `duetime.${table} e`)} WHERE (e.task_id, e.version) > ($1::uuid, $2::int4)
       ORDER BY e.task_id, e.version LIMIT $3::int4`,
      [uuid(after?.taskId ?? lowestId), int4(after?.version ?? 0), int4(limit)]
    )
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    return rows.map((row) => fromRow(row, kinds.nameOf))
  })

  return Retention.of({
    days: orUnavailable("days")(days),
    retire: (day) =>
      orUnavailable("retire")(
        Effect.map(partitions.retireBefore(startOf(day) + dayMs, true), (names) => names.map(dayOfName))
      ),
    events: (day, after, limit) => orUnavailable("events")(events(day, after, limit)),
    drop: (day) =>
      orUnavailable("drop")(Effect.asVoid(sql.unsafe(`DROP TABLE IF EXISTS duetime.${retiredName(nameOf(day))}`))),
    nowMs: orUnavailable("nowMs")(
      Effect.map(
        sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`),
        ([row]) => row?.now_ms ?? 0
      )
    )
  })
})

/** Of `2026-11-15`; whoever calls has seen that it is a day. */
const nameOf = (day: string): string => `d${new Date(startOf(day)).toISOString().slice(0, 10).replaceAll("-", "")}`

const startOf = (day: string): number => Date.parse(`${day}T00:00:00Z`)

const dayOfName = (name: string): string => `${name.slice(1, 5)}-${name.slice(5, 7)}-${name.slice(7, 9)}`

export const layer = (
  retentionDays: number
): Layer.Layer<Retention, StoreUnavailable | ServerTooOld | SchemaOutdated | SchemaNewer, PgClient.PgClient> =>
  Layer.effect(Retention, make(retentionDays))
