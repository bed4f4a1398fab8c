import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { priorityOf } from "../../core/Priority.ts"
import type { Json } from "../../core/TaskEvent.ts"
import { nominalDueAtMsOf } from "../../core/TaskId.ts"
import type { Started, StartRequest, TooEarly } from "../TaskStore.ts"
import { byDay } from "./byDay.ts"
import type { Kinds } from "./Kinds.ts"
import { float8s, int4, int4s, uuid, uuids } from "./parameters.ts"
import { isUndefinedTable, orUnavailable } from "./sqlErrors.ts"
import { startedBeforeSql, startSql } from "./statements.ts"

export type StartedRow = {
  readonly task_id: string
  readonly version: number
  readonly event_id: string
  readonly kind_id: number
  readonly priority: number
  readonly due_at_ms: number
  readonly attempt: number
  readonly charged: number
  readonly followed: boolean
  readonly deadline_at_ms: number | null
  readonly started_at_ms: number
  readonly payload: Json
  /** Absent where nobody asked for them. */
  readonly traceparent?: string | null
  readonly claimed_at_ms?: number | null
}

/** With what else speaks against a start; null: there is no such session. */
type UnmovedRow = StartedRow & { readonly is_paused: boolean; readonly lives: boolean | null }

const mayStart = ({ is_paused, lives }: UnmovedRow): boolean => !is_paused && lives === true

type Answer = Started | { readonly _tag: "Lost" } | TooEarly

/** Names of kinds must be known (`ensureNames`). */
export const startedOf =
  (kinds: Kinds) =>
  (row: StartedRow): Started => ({
    _tag: "Started",
    taskId: row.task_id,
    kind: kinds.nameOf(row.kind_id),
    priority: priorityOf(row.priority),
    dueAtMs: row.due_at_ms,
    startedAtMs: row.started_at_ms,
    deadlineAtMs: row.deadline_at_ms ?? row.started_at_ms,
    attempt: row.attempt,
    charged: row.charged,
    fence: { version: row.version, eventId: row.event_id },
    payload: row.payload,
    followed: row.followed,
    ...tracedOf(row)
  })

const tracedOf = ({ claimed_at_ms, started_at_ms, traceparent }: StartedRow): Pick<Started, "traced"> =>
  typeof traceparent === "string" ? { traced: { traceparent, claimedAtMs: claimed_at_ms ?? started_at_ms } } : {}

/** Claimed to running by compare-and-set; one statement for each day the batch's tasks were born in. */
export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly eventTableOf: (dayStartMs: number) => string
}) => {
  const { kinds, sql } = options
  const started = startedOf(kinds)

  /** What became of the requests that moved nothing: started by an earlier, unanswered try, not due yet, or lost. */
  const explain = Effect.fnUntraced(function* (
    sessionId: number,
    requests: ReadonlyArray<StartRequest>,
    bounds: { readonly from: string; readonly to: string },
    answers: Map<string, Answer>
  ) {
    const rows = yield* sql.unsafe<UnmovedRow>(startedBeforeSql, [
      uuids(requests.map((request) => request.taskId)),
      uuid(bounds.from),
      uuid(bounds.to),
      int4(sessionId)
    ])
    const rowById = new Map(rows.map((row) => [row.task_id, row]))
    yield* kinds.ensureNames(rows.map((row) => row.kind_id))
    for (const request of requests) {
      const row = rowById.get(request.taskId)
      if (row?.event_id === request.eventId) answers.set(request.taskId, started(row))
      else if (row?.event_id === request.fence.eventId && row.due_at_ms > row.started_at_ms && mayStart(row)) {
        answers.set(request.taskId, { _tag: "TooEarly", dueInMs: Math.ceil(row.due_at_ms - row.started_at_ms) })
      }
    }
  })

  const run = Effect.fnUntraced(function* (sessionId: number, batch: ReadonlyArray<StartRequest>) {
    const answers = new Map<string, Answer>()
    for (const day of byDay(batch)) {
      const parameters = [
        uuids(day.rows.map((request) => request.taskId)),
        uuids(day.rows.map((request) => request.fence.eventId)),
        int4s(day.rows.map((request) => request.fence.version)),
        uuids(day.rows.map((request) => request.eventId)),
        float8s(day.rows.map((request) => request.timeoutMs)),
        float8s(day.rows.map((request) => request.dispatchedAtMs)),
        int4(sessionId),
        uuid(day.from),
        uuid(day.to)
      ]
      const isTraced = day.rows.some((request) => request.isTraced === true)
      const startFrom = (table: string) => sql.unsafe<StartedRow>(startSql(table, isTraced), parameters)
      const rows = yield* startFrom(options.eventTableOf(nominalDueAtMsOf(day.from))).pipe(
        // Retired since the last maintenance: nothing was changed, and the events are in another partition now.
        Effect.catchIf(isUndefinedTable, () => startFrom("duetime.event"))
      )
      yield* kinds.ensureNames(rows.map((row) => row.kind_id))
      for (const row of rows) answers.set(row.task_id, started(row))
      const unmoved = day.rows.filter((request) => !answers.has(request.taskId))
      if (unmoved.length > 0) yield* explain(sessionId, unmoved, day, answers)
    }
    return batch.map((request): Answer => {
      const answer = answers.get(request.taskId)
      // Two requests for one task in one batch: only the one whose event was appended has won.
      return answer === undefined || (answer._tag === "Started" && answer.fence.eventId !== request.eventId)
        ? { _tag: "Lost" }
        : answer
    })
  })

  return (sessionId: number, batch: ReadonlyArray<StartRequest>) =>
    batch.length === 0 ? Effect.succeed([]) : orUnavailable("start")(run(sessionId, batch))
}
