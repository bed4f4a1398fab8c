import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { readFileSync } from "node:fs"
import { type PartitionRow, type PartitionVitals, Vitals } from "../Vitals.ts"
import { make as makeKinds } from "./Kinds.ts"
import * as Migrations from "./Migrations.ts"
import { msOf } from "./parameters.ts"
import type { Partition } from "./partitionPlan.ts"
import { attached, missingOf, nextStep, partitionedTables, type Step, wantedAt } from "./partitionSteps.ts"
import { differencesOf } from "./schemaDifferences.ts"
import { objectsOf, parseDump } from "./schemaObjects.ts"
import { orUnavailable } from "./sqlErrors.ts"
import { driftVitals } from "./vitals/drift.ts"
import { pendingPayloads } from "./vitals/payloads.ts"
import { serverVitals, snapshotHolders } from "./vitals/server.ts"
import { silentSessions, tableVitals, waitingKinds } from "./vitals/work.ts"

const make = Effect.fnUntraced(function* (retentionDays: number) {
  const sql = yield* PgClient.PgClient
  const kinds = makeKinds(sql)

  const schema = Effect.gen(function* () {
    const { applied, fits, known } = yield* Migrations.standing.pipe(Effect.provideService(SqlClient, sql))
    if (applied !== known) return { applied, known, fits, differences: [] }
    return { applied, known, fits, differences: differencesOf(snapshot(), yield* objectsOf(sql)) }
  })

  const partitions = Effect.gen(function* () {
    const [now] = yield* sql.unsafe<{ readonly ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS ms`)
    const atMs = now?.ms ?? 0
    const sizes = new Map((yield* sql.unsafe<SizeRow>(sizesSql)).map((row) => [row.name, row]))
    const rows: Array<PartitionRow> = []
    const steps: Array<PartitionVitals["steps"][number]> = []
    for (const table of partitionedTables) {
      const found = yield* attached(sql, table)
      const wanted = wantedAt(table, atMs, retentionDays)
      const missing = missingOf(found, wanted)
      const step = nextStep(found, wanted)
      if (missing.length > 0) steps.push({ table, ...told({ kind: "make", make: missing }) })
      if (step !== null && step.kind !== "make") steps.push({ table, ...told(step) })
      rows.push(...found.map((part) => partitionRow(table, part, sizes.get(`${table}_${part.name}`))))
    }
    return { atMs, partitions: rows, steps } satisfies PartitionVitals
  })

  return Vitals.of({
    server: orUnavailable("server")(serverVitals(sql)),
    snapshots: orUnavailable("snapshots")(snapshotHolders(sql)),
    schema: orUnavailable("schema")(schema),
    tables: orUnavailable("tables")(tableVitals(sql)),
    partitions: orUnavailable("partitions")(partitions),
    silentSessions: orUnavailable("sessions")(silentSessions(sql)),
    waiting: orUnavailable("waiting")(waitingKinds(sql)),
    pendingPayloads: (after) => orUnavailable("payloads")(pendingPayloads(sql, kinds)(after)),
    drift: (span) => orUnavailable("drift")(driftVitals(sql)(span))
  })
})

export const layer = (retentionDays: number) => Layer.effect(Vitals, make(retentionDays))

const snapshot = () => parseDump(readFileSync(new URL("../../../schema/snapshot.sql", import.meta.url), "utf8"))

type SizeRow = { readonly name: string; readonly rows: number; readonly dead: number; readonly bytes: number }

/** The estimate of the last VACUUM or ANALYZE, or, before the first, what the statistics have counted. */
const sizesSql = `SELECT c.relname::text AS name, pg_total_relation_size(c.oid)::float8 AS bytes,
    CASE WHEN c.reltuples < 0 THEN coalesce(s.n_live_tup, 0) ELSE c.reltuples END::float8 AS rows, coalesce(s.n_dead_tup, 0)::float8 AS dead
  FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
  WHERE c.relnamespace = 'duetime'::regnamespace AND c.relkind = 'r' AND c.relispartition`

const partitionRow = (table: string, part: Partition, size: SizeRow | undefined): PartitionRow => ({
  table,
  name: `${table}_${part.name}`,
  fromMs: Number.isFinite(part.fromMs) ? part.fromMs : null,
  toMs: part.toMs,
  rows: size?.rows ?? 0,
  deadRows: size?.dead ?? 0,
  bytes: size?.bytes ?? 0
})

const told = (step: Step) => {
  const partitions = step.kind === "retire" ? [step.drop] : step.make
  const [first] = step.kind === "split" ? [step.drop] : partitions
  return { step: step.kind, partitions: partitions.map(({ name }) => name), fromMs: first?.fromMs ?? 0 }
}
