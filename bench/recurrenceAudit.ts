import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { auditLedger, type Line } from "../src/core/recurrence/auditLedger.ts"
import { type Fate, fateCodes, fateOf } from "../src/core/recurrence/fates.ts"
import type { Rule } from "../src/core/recurrence/Rule.ts"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { int4, int4s, msOf } from "../src/store/postgres/parameters.ts"
import { nextOf } from "./recurrenceLoad.ts"

/**
 * Every instant from the making of each recurrence to the end has exactly one fate, by the rules and not by the watermarks: what no engine
 * ever looked at counts as missing. Page by page, for a hundred thousand that have one revision each.
 */
export const auditRecurrences = Effect.fnUntraced(function* (endMs: number) {
  const sql = yield* PgClient.PgClient
  const fates: Partial<Record<Fate, number>> = {}
  let [lines, found, after] = [0, 0, 0]
  while (true) {
    const page = yield* sql.unsafe<{
      readonly id: number
      readonly rule: Rule
      readonly created_ms: number
      readonly settled_ms: number
    }>(
      `SELECT recurrence_id AS id, rule, ${msOf("created_at")} AS created_ms, ${msOf("settled_until")} AS settled_ms
       FROM duetime.recurrence WHERE recurrence_id > $1::int4 ORDER BY recurrence_id LIMIT ${pageRecurrences}`,
      [int4(after)]
    )
    const byId = new Map<number, Array<Line>>()
    const rows = yield* sql.unsafe<{
      readonly id: number
      readonly nominal_ms: number
      readonly until_ms: number
      readonly fate: number
      readonly revision: number
    }>(
      `SELECT recurrence_id AS id, ${msOf("nominal_at")} AS nominal_ms, ${msOf("until_at")} AS until_ms, fate, revision
       FROM duetime.occurrence WHERE recurrence_id = ANY($1::int4[]) ORDER BY recurrence_id, nominal_at`,
      [int4s(page.map(({ id }) => id))]
    )
    for (const row of rows) {
      const fate = fateOf(row.fate)
      fates[fate] = (fates[fate] ?? 0) + 1
      const line = { nominalAtMs: row.nominal_ms, untilMs: row.until_ms, fate, revision: row.revision }
      byId.set(row.id, [...(byId.get(row.id) ?? []), line])
    }
    for (const { created_ms, id, rule, settled_ms } of page) {
      const revision = { revision: 1, fromMs: created_ms, next: nextOf(rule), isPaused: false }
      found += auditLedger([revision], byId.get(id) ?? [], created_ms, Math.max(settled_ms, endMs)).length
    }
    lines += rows.length
    if (page.length < pageRecurrences) break
    after = page.at(-1)?.id ?? after
  }
  const [row] = yield* sql<{ readonly unsucceeded: number }>`SELECT count(*)::int4 AS unsucceeded
    FROM duetime.occurrence o LEFT JOIN (
      SELECT task_id, count(*) AS times FROM duetime.event WHERE type = ${eventCodes.AttemptSucceeded}::int2 GROUP BY task_id
    ) e ON e.task_id = o.task_id
    WHERE o.fate = ${fateCodes.fired}::int2 AND o.nominal_at <= to_timestamp(${endMs} / 1000.0) AND e.times IS DISTINCT FROM 1`
  return { lines, ...fates, violations: found, unsucceeded: row?.unsucceeded ?? 0 }
})

const pageRecurrences = 1_000
