import { Effect, type Queue, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Policies } from "../../core/recurrence/Policies.ts"
import type { Rule } from "../../core/recurrence/Rule.ts"
import { RecurrenceStore } from "../RecurrenceStore.ts"
import type { make as makeAct } from "./act.ts"
import type { Kinds } from "./Kinds.ts"
import { instant, int4, msOf } from "./parameters.ts"
import type { Reads } from "./read.ts"
import {
  lineOf,
  type LineRow,
  recurrenceOf,
  type RecurrenceRow,
  selectLines,
  selectRecurrences
} from "./recurrenceRows.ts"
import { make as makeRevise } from "./reviseRecurrence.ts"
import { make as makeSettle } from "./settleRecurrences.ts"
import { orUnavailable } from "./sqlErrors.ts"
import type { WakeUps } from "./WakeUps.ts"

/** One pool and what is made on it. */
type Connected = {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly reads: Reads
  readonly act: ReturnType<typeof makeAct>
}

/** Engines decide on the store's own pool; what an application makes and changes joins its transactions. */
export const make = Effect.fnUntraced(function* (options: {
  readonly own: Connected
  readonly ambient: Connected
  readonly wakeUps: WakeUps
  readonly ledgerFromMs: () => number
}): Effect.fn.Return<RecurrenceStore["Service"]> {
  const { ambient, ledgerFromMs, own, wakeUps } = options
  const { scheduled } = wakeUps
  const { kinds, sql } = own

  type RevisionRow = {
    readonly revision: number
    readonly from_ms: number
    readonly is_paused: boolean
    readonly rule: Rule
    readonly policies: Policies
  }
  const wakeUpsOf: Effect.Effect<Queue.Dequeue<number>, never, Scope.Scope> = wakeUps.subscribeRecurrences
  return RecurrenceStore.of({
    ...(yield* makeRevise({ ...ambient, scheduled, decides: wakeUps.decides })),
    settle: yield* makeSettle({ ...own, act: own.act.act, scheduled }),
    list: (after, limit) =>
      Effect.gen(function* () {
        const rows = yield* sql.unsafe<RecurrenceRow>(
          `${selectRecurrences} WHERE $1::text IS NULL OR name > $1::text ORDER BY name LIMIT $2::int4`,
          [after, int4(limit)]
        )
        yield* kinds.ensureNames(rows.map(({ kind_id }) => kind_id))
        return rows.map((row) => recurrenceOf(row, kinds.nameOf))
      }).pipe(orUnavailable("listRecurrences")),
    revisions: (recurrenceId) =>
      sql
        .unsafe<RevisionRow>(
          `SELECT revision, ${msOf("from_at")} AS from_ms, is_paused, rule, policies
           FROM duetime.recurrence_revision WHERE recurrence_id = $1::int4 ORDER BY revision`,
          [int4(recurrenceId)]
        )
        .pipe(
          Effect.map((rows) =>
            rows.map(({ from_ms, is_paused, policies, revision, rule }) => ({
              revision,
              fromMs: from_ms,
              isPaused: is_paused,
              rule,
              policies
            }))
          ),
          orUnavailable("readRevisions")
        ),
    ledger: (recurrenceId, afterMs, limit) =>
      sql
        .unsafe<LineRow>(
          `${selectLines} WHERE recurrence_id = $1::int4 AND nominal_at > $2::timestamptz ORDER BY nominal_at LIMIT $3::int4`,
          [int4(recurrenceId), instant(afterMs), int4(limit)]
        )
        .pipe(
          Effect.map((rows) => rows.map(lineOf)),
          orUnavailable("readLedger")
        ),
    latest: (recurrenceId, limit) =>
      sql
        .unsafe<LineRow>(`${selectLines} WHERE recurrence_id = $1::int4 ORDER BY nominal_at DESC LIMIT $2::int4`, [
          int4(recurrenceId),
          int4(limit)
        ])
        .pipe(
          Effect.map((rows) => rows.map(lineOf)),
          orUnavailable("readLedger")
        ),
    ledgerFromMs: Effect.sync(ledgerFromMs),
    wakeUps: wakeUpsOf
  })
})
