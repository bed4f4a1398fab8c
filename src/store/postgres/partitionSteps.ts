import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { nominalDueAtMsOf } from "../../core/TaskId.ts"
import { msOf } from "./parameters.ts"
import { daysBetween, type Partition, plan, planDays, rangeOf } from "./partitionPlan.ts"

/** Which partitions there are, which there should be, and what to do next about it. */
export type PartitionedTable = "event" | "due" | "occurrence"
export const partitionedTables: ReadonlyArray<PartitionedTable> = ["event", "due", "occurrence"]

/**
 * Days before today whose waiting tasks keep a partition of their own. Every claim sweep looks into each of them; what still
 * waits later, of a kind that nobody serves, say, is carried into one.
 */
const dueDaysKept = 1

export const wantedAt = (table: PartitionedTable, nowMs: number, retentionDays: number): ReadonlyArray<Partition> => {
  switch (table) {
    case "event":
      return plan(nowMs, retentionDays)
    case "due":
      return plan(nowMs, dueDaysKept)
    case "occurrence":
      return planDays(nowMs, retentionDays)
  }
}

/** Partitions attached now, the kept one with its edge as its end. */
export const attached = Effect.fnUntraced(function* (sql: SqlClient, table: PartitionedTable) {
  const rows = yield* sql<{ readonly name: string; readonly edge: string | null }>`
    SELECT c.relname::text AS name, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)') AS edge
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = ${`duetime.${table}`}::text::regclass ORDER BY 1`
  const partitions: Array<Partition> = []
  for (const { edge, name } of rows) {
    const short = name.slice(table.length + 1)
    partitions.push(rangeOf(short) ?? { name: short, fromMs: -Infinity, toMs: yield* edgeMsOf(sql, table, edge) })
  }
  return partitions
})

/** The server reads its own text form of an instant, whatever time zone this session shows it in. */
const edgeMsOf = Effect.fnUntraced(function* (sql: SqlClient, table: PartitionedTable, edge: string | null) {
  if (edge === null) return -Infinity
  if (table === "event") return nominalDueAtMsOf(edge)
  const [row] = yield* sql.unsafe<{ readonly edge_ms: number }>(`SELECT ${msOf("$1::text::timestamptz")} AS edge_ms`, [
    edge
  ])
  return row?.edge_ms ?? -Infinity
})

export type Step =
  | { readonly kind: "make"; readonly make: ReadonlyArray<Partition> }
  | { readonly kind: "split"; readonly make: ReadonlyArray<Partition>; readonly drop: Partition }
  | { readonly kind: "retire"; readonly drop: Partition }

/** The next thing to do, or null when all is as wanted. */
export const nextStep = (attached: ReadonlyArray<Partition>, wanted: ReadonlyArray<Partition>): Step | null => {
  const first = wanted[0]
  if (first === undefined) return null
  const kept = attached.find((partition) => partition.name === "kept")
  if (kept === undefined) {
    return { kind: "make", make: [{ name: "kept", fromMs: -Infinity, toMs: first.fromMs }] }
  }
  for (const partition of attached) {
    if (partition.name === "kept") continue
    if (partition.fromMs >= first.fromMs && wanted.some((other) => other.name === partition.name)) continue
    // Retire oldest first: the kept partition grows day by day, without a gap.
    if (partition.toMs <= first.fromMs && partition.fromMs <= kept.toMs) return { kind: "retire", drop: partition }
    const parts = wanted.filter((other) => other.fromMs < partition.toMs && other.toMs > partition.fromMs)
    // After a long stop the edge may have passed into a coarse partition: its days before the edge are made, then retired.
    const before = daysBetween(partition.fromMs, Math.min(partition.toMs, first.fromMs))
    if (parts.length > 0) return { kind: "split", make: [...before, ...parts], drop: partition }
  }
  const missing = missingOf(attached, wanted)
  return missing.length === 0 ? null : { kind: "make", make: missing }
}

/** Those that nothing covers yet, be it as coarsely as it may: what falls into them has no place. */
export const missingOf = (
  attached: ReadonlyArray<Partition>,
  wanted: ReadonlyArray<Partition>
): ReadonlyArray<Partition> =>
  wanted.filter(
    ({ fromMs, toMs }) => !attached.some((partition) => partition.fromMs <= fromMs && partition.toMs >= toMs)
  )
