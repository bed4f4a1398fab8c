import { Effect, Result } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { decide } from "../../core/decide.ts"
import { fold } from "../../core/evolve.ts"
import { rankOf } from "../../core/Priority.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { TaskState } from "../../core/TaskState.ts"
import { Ids } from "../Ids.ts"
import { sortedById } from "./byDay.ts"
import { endLateSql, forgetExpirySql, lateSql, lookAgainSql } from "./expireStatements.ts"
import type { Kinds } from "./Kinds.ts"
import { instants, int2s, int4, int4s, uuids } from "./parameters.ts"
import type { Reads } from "./read.ts"
import { orUnavailable } from "./sqlErrors.ts"

/**
 * Ends tasks that have expired before they started, a batch per transaction. What runs is left to its attempt; what has
 * ended, is parked or is a dead letter is decided about on its history, so its row in `expiring` has served.
 */
export const make = (options: { readonly sql: SqlClient; readonly kinds: Kinds; readonly reads: Reads }) => {
  const { kinds, reads, sql } = options

  const end = Effect.fnUntraced(function* (states: ReadonlyArray<TaskState>) {
    if (states.length === 0) return []
    const ids = yield* Ids
    const kindIds = yield* kinds.idsOf(states.map(({ kind }) => kind))
    const rows = sortedById(states)
    const gone = yield* sql.unsafe<{ readonly task_id: TaskId }>(endLateSql, [
      uuids(rows.map(({ taskId }) => taskId)),
      uuids(rows.map(() => ids.eventId())),
      int4s(rows.map(({ version }) => version)),
      int4s(rows.map(({ kind }) => kindIds.get(kind))),
      int2s(rows.map(({ priority }) => rankOf(priority))),
      instants(rows.map(({ dueAtMs }) => dueAtMs))
    ])
    return gone.map((row) => row.task_id)
  })

  return (limit: number) =>
    sql
      .withTransaction(
        Effect.gen(function* () {
          const rows = yield* sql.unsafe<{ readonly task_id: TaskId }>(lateSql, [int4(limit)])
          if (rows.length === 0) return { lookedAtCount: 0, taskIds: [] }
          const streams = yield* reads.eventsOf(rows.map((row) => row.task_id))
          const served: Array<TaskId> = []
          const runs: Array<TaskId> = []
          const late: Array<TaskState> = []
          for (const { task_id: taskId } of rows) {
            const state = fold(streams.get(taskId) ?? [])
            if (state?.stage === "running") runs.push(taskId)
            else if (state !== null && isDecided(state)) late.push(state)
            else served.push(taskId)
          }
          const taskIds = yield* end(late)
          if (served.length + taskIds.length > 0) yield* sql.unsafe(forgetExpirySql, [uuids([...served, ...taskIds])])
          if (runs.length > 0) yield* sql.unsafe(lookAgainSql, [uuids(runs)])
          return { lookedAtCount: rows.length, taskIds }
        })
      )
      .pipe(orUnavailable("expireTasks"))
}

/** The row was found because its instant has passed, by the database's clock. */
const isDecided = (state: TaskState): boolean =>
  Result.isSuccess(
    decide({ _tag: "ExpireTask", atMs: state.expiresAtMs ?? Number.NEGATIVE_INFINITY, eventId: "" }, state)
  )
