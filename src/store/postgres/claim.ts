import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSuspect } from "../../core/deaths.ts"
import { priorities, priorityOf, rankOf } from "../../core/Priority.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import type { Claimed, ClaimedTask, ClaimRequest } from "../TaskStore.ts"
import { dayMs } from "./byDay.ts"
import { ClaimMarks } from "./claimMarks.ts"
import type { DatabaseClock } from "./DatabaseClock.ts"
import type { Kinds } from "./Kinds.ts"
import { make as makePace } from "./pace.ts"
import { instant, int2s, int4, int4s } from "./parameters.ts"
import { isSqlError, isUndefinedTable, orUnavailable } from "./sqlErrors.ts"
import { claimedBySql, claimSql, type DueTables, nextDueSql, wholeDue } from "./statements.ts"

export type ClaimRow = {
  readonly task_id: string
  readonly kind_id: number
  readonly priority: number
  readonly due_at_ms: number
  readonly version: number
  readonly event_id: string
  readonly deaths: number
}

/** One for each that was claimed, or one without a task: the rest is told even when none was deleted. */
type PickedRow = { readonly [Column in keyof ClaimRow]: ClaimRow[Column] | null } & {
  readonly picked: number
  /** Null: there is no such session. */
  readonly lives: boolean | null
  readonly next_due_at_ms: number | null
}

/** How far ahead `nextDueAtMs` looks. */
const farMs = dayMs

export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly clock: DatabaseClock
  readonly dueTablesOf: (fromMs: number, toMs: number) => DueTables
}) => {
  const { clock, dueTablesOf, kinds, sql } = options
  const pace = makePace(sql)
  const marks = new ClaimMarks()

  const run = Effect.fnUntraced(function* (request: ClaimRequest, tablesOf: typeof dueTablesOf) {
    const ids = yield* kinds.knownIdsOf(request.kinds)
    if (ids.length === 0 || request.limit <= 0) return { tasks: [], nextDueAtMs: null, cappedForMs: null }
    const ranks = (request.priorities ?? priorities).map(rankOf)
    const laneArrays = [int4s(ids.flatMap((id) => ranks.map(() => id))), int2s(ids.flatMap(() => ranks))]
    const nowMs = clock.nowMs()
    const horizonMs = Math.ceil(nowMs + (request.caps === undefined ? request.lookAheadMs : 0))
    const { ended, fromMs } = marks.look(ids, ranks, nowMs)
    const bounds = [instant(Math.floor(fromMs)), instant(horizonMs)]
    const farBound = instant(horizonMs + farMs)
    /** Behind the horizon, as a claim has told; undefined: none was made. */
    let nextDueAtMs: number | null | undefined
    let hasLooked = true
    const takeFrom = Effect.fnUntraced(function* (tables: DueTables, limit: number) {
      const parameters = [...laneArrays, ...bounds, int4(limit), int4(request.sessionId), farBound]
      const rows = yield* sql.unsafe<PickedRow>(claimSql(tables), parameters)
      nextDueAtMs = rows[0]?.next_due_at_ms ?? null
      hasLooked = rows[0]?.lives === true
      const claimed = rows.filter((row): row is PickedRow & ClaimRow => row.task_id !== null)
      return { claimed, isComplete: claimed.length === (rows[0]?.picked ?? 0) }
    })
    const take = Effect.fnUntraced(function* (limit: number) {
      if (limit === 0) return []
      const { claimed, isComplete } = yield* takeFrom(tablesOf(fromMs, horizonMs), limit)
      if (isComplete) return claimed
      // Another process has made a partition since the last maintenance: what is in it is found through the whole table.
      return [...claimed, ...(yield* takeFrom(wholeDue, limit - claimed.length)).claimed]
    })
    const { cappedForMs, limit, rows } =
      request.caps === undefined
        ? { rows: yield* take(request.limit), limit: request.limit, cappedForMs: null }
        : yield* pace(yield* onlyOf(ids), request.caps, request.limit, take)
    const tasks = rows.map((row) => claimedTask(row, kinds))
    const isCut = rows.length >= limit
    // Cut by the limit: what is left of the backlog is next. Otherwise nothing is due up to the horizon but what others are claiming.
    if (isCut || nextDueAtMs === undefined) {
      const behind = instant(isCut ? Math.floor(fromMs) - 1 : horizonMs)
      const [next] = yield* sql.unsafe<{ readonly next_due_at_ms: number | null }>(nextDueSql, [
        ...laneArrays,
        behind,
        farBound
      ])
      nextDueAtMs = next?.next_due_at_ms ?? null
    }
    if (hasLooked) ended(isCut && nextDueAtMs !== null ? nextDueAtMs : nowMs, clock.nowMs() - nowMs)
    return { tasks, nextDueAtMs, cappedForMs }
  })

  const claim = (request: ClaimRequest): Effect.Effect<Claimed, StoreUnavailable> =>
    run(request, dueTablesOf).pipe(
      // Retired since the last maintenance: nothing was claimed, and what waited there is in another partition now.
      Effect.catchIf(
        (error) => isSqlError(error) && isUndefinedTable(error),
        () => run(request, () => wholeDue)
      ),
      orUnavailable("claim")
    )

  const claimedBy = (sessionId: number, dueBeforeMs: number, limit: number) =>
    sql.unsafe<ClaimRow>(claimedBySql, [int4(sessionId), instant(Math.ceil(dueBeforeMs)), int4(limit)]).pipe(
      Effect.tap((rows) => kinds.ensureNames(rows.map((row) => row.kind_id))),
      Effect.map((rows) => rows.map((row) => claimedTask(row, kinds))),
      orUnavailable("claimedBy")
    )

  const lower = (dueAtMs: number) => marks.lower(dueAtMs)

  return { claim, claimedBy, lower }
}

const onlyOf = ([kindId, ...others]: ReadonlyArray<number>): Effect.Effect<number> =>
  kindId === undefined || others.length > 0
    ? Effect.die(new Error(`caps are of one kind, not of ${others.length + 1}`))
    : Effect.succeed(kindId)

export const claimedTask = (row: ClaimRow, kinds: Kinds): ClaimedTask => ({
  taskId: row.task_id,
  kind: kinds.nameOf(row.kind_id),
  priority: priorityOf(row.priority),
  dueAtMs: row.due_at_ms,
  fence: { version: row.version, eventId: row.event_id },
  isSuspect: isSuspect(row.deaths)
})
