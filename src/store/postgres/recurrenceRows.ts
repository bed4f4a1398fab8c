import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { priorityOf } from "../../core/Priority.ts"
import { type Decided, type Fate, fateCodes, fateOf } from "../../core/recurrence/fates.ts"
import { decideAtMsOf } from "../../core/recurrence/occurrence.ts"
import type { Policies } from "../../core/recurrence/Policies.ts"
import type { Rule } from "../../core/recurrence/Rule.ts"
import type { Json } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { LedgerLine, Recurrence } from "../RecurrenceStore.ts"
import { batchSizeMax } from "../TaskStore.ts"
import { linksFrom } from "./links.ts"
import { instants, int2s, int4s, msOf, uuids } from "./parameters.ts"

/** Rows of recurrences and their ledger, and what is written of a decision: the same for engines and for edits. */
export type RecurrenceRow = {
  readonly recurrence_id: number
  readonly name: string
  readonly revision: number
  readonly kind_id: number
  readonly priority: number | null
  readonly digest: string
  readonly rule: Rule
  readonly policies: Policies
  readonly payload: Json
  readonly follow_ups: Json
  readonly created_ms: number
  readonly revised_ms: number
  readonly paused_ms: number | null
  readonly settled_ms: number
  readonly next_ms: number | null
  readonly last_task_id: TaskId | null
}

export const selectRecurrences = `SELECT recurrence_id, name, revision, kind_id, priority, digest, rule, policies, payload, follow_ups, last_task_id,
    ${msOf("created_at")} AS created_ms, ${msOf("revised_at")} AS revised_ms, ${msOf("paused_at")} AS paused_ms,
    ${msOf("settled_until")} AS settled_ms, ${msOf("next_at")} AS next_ms
  FROM duetime.recurrence`

export const recurrenceOf = (row: RecurrenceRow, nameOf: (kindId: number) => string): Recurrence => ({
  recurrenceId: row.recurrence_id,
  name: row.name,
  revision: row.revision,
  kind: nameOf(row.kind_id),
  priority: row.priority === null ? null : priorityOf(row.priority),
  digest: row.digest,
  rule: row.rule,
  policies: row.policies,
  payload: row.payload,
  followUps: linksFrom(row.follow_ups),
  createdAtMs: row.created_ms,
  revisedAtMs: row.revised_ms,
  pausedAtMs: row.paused_ms,
  settledUntilMs: row.settled_ms,
  nextAtMs: row.next_ms,
  lastTaskId: row.last_task_id
})

/** When the row is looked at next; null: not until it is changed. */
export const decideAtMs = (recurrenceId: number, policies: Policies, nextAtMs: number | null): number | null =>
  nextAtMs === null ? null : decideAtMsOf(recurrenceId, nextAtMs, policies.overlap === "allow")

export type LineRow = {
  readonly nominal_ms: number
  readonly until_ms: number
  readonly decided_ms: number
  readonly revision: number
  readonly fate: number
  readonly task_id: TaskId | null
}

export const selectLines = `SELECT revision, fate, task_id, ${msOf("nominal_at")} AS nominal_ms, ${msOf("until_at")} AS until_ms,
    ${msOf("decided_at")} AS decided_ms
  FROM duetime.occurrence`

export const lineOf = (row: LineRow): LedgerLine => ({
  nominalAtMs: row.nominal_ms,
  untilMs: row.until_ms,
  decidedAtMs: row.decided_ms,
  fate: fateOf(row.fate),
  revision: row.revision,
  taskId: row.task_id
})

/** A decision with the task that it made, if it made one. */
export type DecidedLine = Decided & {
  readonly recurrenceId: number
  readonly revision: number
  readonly taskId: TaskId | null
}

const insertLines = `INSERT INTO duetime.occurrence (recurrence_id, nominal_at, until_at, revision, fate, task_id)
  SELECT recurrence_id, nominal_at, until_at, revision, fate, task_id
  FROM unnest($1::int4[], $2::timestamptz[], $3::timestamptz[], $4::int4[], $5::int2[], $6::uuid[])
    AS l (recurrence_id, nominal_at, until_at, revision, fate, task_id)
  ORDER BY recurrence_id, nominal_at`

/** An instant has one fate. Whoever would write a second one has decided on something that was decided before. */
const newLinesSql = `${insertLines} ON CONFLICT (recurrence_id, nominal_at) DO NOTHING`
/** The line of an instant that was taken back belongs to whoever decides it again. */
const takenLinesSql = `${insertLines} ON CONFLICT (recurrence_id, nominal_at) DO UPDATE
  SET until_at = excluded.until_at, revision = excluded.revision, fate = excluded.fate, task_id = excluded.task_id, decided_at = clock_timestamp()`

export const writeLines = Effect.fnUntraced(function* (
  sql: SqlClient,
  lines: ReadonlyArray<DecidedLine>,
  ofWhom: "new" | "taken" = "new"
) {
  for (let from = 0; from < lines.length; from += batchSizeMax) {
    const part = lines.slice(from, from + batchSizeMax)
    yield* sql.unsafe(ofWhom === "new" ? newLinesSql : takenLinesSql, [
      int4s(part.map(({ recurrenceId }) => recurrenceId)),
      instants(part.map(({ nominalAtMs }) => nominalAtMs)),
      instants(part.map(({ untilMs }) => untilMs)),
      int4s(part.map(({ revision }) => revision)),
      int2s(part.map(({ fate }) => fateCodes[fate])),
      uuids(part.map(({ taskId }) => taskId))
    ])
  }
})

/** $1 recurrence, $2 instants, $3 fates. */
const dropLinesSql = `UPDATE duetime.occurrence o SET fate = l.fate, decided_at = clock_timestamp()
  FROM unnest($2::timestamptz[], $3::int2[]) AS l (nominal_at, fate)
  WHERE o.recurrence_id = $1::int4 AND o.nominal_at = l.nominal_at`

export const dropLines = (
  sql: SqlClient,
  recurrenceId: number,
  lines: ReadonlyArray<{ readonly nominalAtMs: number; readonly fate: Fate }>
) =>
  lines.length === 0
    ? Effect.void
    : sql.unsafe(dropLinesSql, [
        recurrenceId,
        instants(lines.map(({ nominalAtMs }) => nominalAtMs)),
        int2s(lines.map(({ fate }) => fateCodes[fate]))
      ])
