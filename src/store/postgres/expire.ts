import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { defaultKindPolicy } from "../../core/KindPolicy.ts"
import { priorityOf } from "../../core/Priority.ts"
import type { TaskState } from "../../core/TaskState.ts"
import { Ids } from "../Ids.ts"
import type { Expired } from "../TaskStore.ts"
import { type KindRecordRow, kindRecordsOf } from "./kindRecords.ts"
import type { Kinds } from "./Kinds.ts"
import { float8, int4 } from "./parameters.ts"
import { ofCommand, type make as makeSettle } from "./settle.ts"
import { orUnavailable } from "./sqlErrors.ts"
import { endSessionsSql, expiredSql, lookSql } from "./expireStatements.ts"

type ExpiredRow = {
  readonly task_id: string
  readonly fence_id: string
  readonly fence_version: number
  readonly version: number
  readonly kind_id: number
  readonly priority: number
  readonly status: number
  readonly attempt: number
  readonly charged: number
  readonly deaths: number
  readonly cancel_requested: boolean
  readonly followed: boolean
  readonly session_id: number
  readonly due_at_ms: number
  readonly deadline_at_ms: number | null
  readonly session_over: boolean
  readonly session_left: boolean
}

type LookRow = { readonly any_expired: boolean; readonly now_ms: number } & (KindRecordRow | { readonly kind_id: null })

/**
 * Takes back what dead sessions hold and ends attempts past their deadline. The rows stay locked from the look to the
 * append, so an outcome that comes at the same moment either was first or finds its fence gone.
 */
export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly settle: ReturnType<typeof makeSettle>["settle"]
  readonly nowMs: () => number
}) => {
  const { kinds, nowMs, settle, sql } = options
  const look = sql.unsafe<LookRow>(lookSql).pipe(
    Effect.map((rows) => ({
      anyExpired: rows[0]?.any_expired === true,
      databaseMs: rows[0]?.now_ms ?? 0,
      kinds: kindRecordsOf(rows.filter((row) => row.kind_id !== null))
    })),
    orUnavailable("look")
  )
  const expire = (limit: number, asOfMs?: number) =>
    Effect.gen(function* () {
      const asOf = asOfMs === undefined ? null : float8(asOfMs)
      yield* sql.unsafe(endSessionsSql, [asOf])
      const ids = yield* Ids
      return yield* sql.withTransaction(
        Effect.gen(function* () {
          const rows = yield* sql.unsafe<ExpiredRow>(expiredSql, [asOf, int4(limit)])
          if (rows.length === 0) return []
          const policies = yield* kinds.policies
          yield* kinds.ensureNames(rows.map((row) => row.kind_id))
          const settlements = rows.map((row) => {
            const state = stateOf(row, kinds.nameOf(row.kind_id))
            const policy = policies.get(row.kind_id) ?? defaultKindPolicy(state.kind)
            const fence = { version: row.fence_version, eventId: row.fence_id }
            const reason = row.session_over ? (row.session_left ? "session-left" : "session-lost") : "deadline"
            return ofCommand(
              { _tag: "Expire", atMs: 0, eventId: ids.eventId(), fence, reason, policy },
              state,
              fence,
              nowMs()
            )
          })
          const { now } = yield* settle(settlements)
          return rows.flatMap((row, index): ReadonlyArray<Expired> => {
            const stage = now.get(settlements[index]?.eventId ?? "")
            return stage === undefined
              ? []
              : [{ taskId: row.task_id, from: row.status === 1 ? "claimed" : "running", stage }]
          })
        })
      )
    }).pipe(orUnavailable("expire"))
  return { look, expire }
}

const stateOf = (row: ExpiredRow, kind: string): TaskState => ({
  taskId: row.task_id,
  stage: row.status === 1 ? "claimed" : "running",
  kind,
  priority: priorityOf(row.priority),
  dueAtMs: row.due_at_ms,
  // The statement that settles looks it up.
  expiresAtMs: null,
  version: row.version,
  eventId: row.fence_id,
  fence: { version: row.fence_version, eventId: row.fence_id },
  sessionId: row.session_id,
  attempt: row.attempt,
  charged: row.charged,
  deaths: row.deaths,
  deadlineAtMs: row.deadline_at_ms,
  cancelRequested: row.cancel_requested,
  followed: row.followed
})
