import { Effect, Result } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { decide } from "../../core/decide.ts"
import type { KindPolicy } from "../../core/KindPolicy.ts"
import type { TaskCommand } from "../../core/TaskCommand.ts"
import { eventCodes, type EventBody, type ReleaseReason } from "../../core/TaskEvent.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import type { Fence, Stage, TaskState } from "../../core/TaskState.ts"
import { LeaseLost, type StoreUnavailable } from "../StoreError.ts"
import type { Finished, FinishRequest } from "../TaskStore.ts"
import { byDay, sortedById } from "./byDay.ts"
import { toColumns } from "./events.ts"
import { float8s, int2s, int4s, texts, uuid, uuids } from "./parameters.ts"
import { orUnavailable } from "./sqlErrors.ts"
import { storableJson } from "./storableJson.ts"
import { confirmSql, settleSql } from "./statements.ts"

/** One row of a settlement: what `decide` says without and with a cancel request. */
export type Settlement = {
  readonly taskId: TaskId
  readonly fence: Fence
  readonly eventId: EventId
  readonly type: number
  readonly dueInMs: number | null
  readonly data: string | null
  readonly cancelledData: string | null
}

const stageByCode = new Map<number, Stage>([
  [eventCodes.ClaimReleased, "pending"],
  [eventCodes.AttemptFailed, "pending"],
  [eventCodes.AttemptSnoozed, "pending"],
  [eventCodes.AttemptReleased, "pending"],
  [eventCodes.AttemptExpired, "pending"],
  [eventCodes.TaskParked, "parked"],
  [eventCodes.AttemptSucceeded, "succeeded"],
  [eventCodes.TaskDeadLettered, "dead"],
  [eventCodes.TaskCancelled, "cancelled"]
])

/** Ends claims and attempts: outcomes, releases and, for the supervisor, expiries. */
export const make = (sql: SqlClient, retryInMsMax: () => number) => {
  const settle = Effect.fnUntraced(function* (batch: ReadonlyArray<Settlement>) {
    const rows = sortedById(batch)
    const settled = yield* sql.unsafe<{ readonly task_id: string; readonly type: number }>(settleSql, [
      uuids(rows.map((row) => row.taskId)),
      uuids(rows.map((row) => row.fence.eventId)),
      int4s(rows.map((row) => row.fence.version)),
      uuids(rows.map((row) => row.eventId)),
      int2s(rows.map((row) => row.type)),
      float8s(rows.map((row) => (row.dueInMs === null ? null : Math.min(row.dueInMs, retryInMsMax())))),
      texts(rows.map((row) => row.data)),
      texts(rows.map((row) => row.cancelledData))
    ])
    const stages = new Map<TaskId, Stage>()
    for (const { task_id, type } of settled) stages.set(task_id, stageByCode.get(type) ?? "pending")
    if (stages.size < batch.length)
      yield* confirm(
        batch.filter((row) => !stages.has(row.taskId)),
        stages
      )
    return stages
  })

  /** A repeat of a request that had been committed finds its own event. */
  const confirm = Effect.fnUntraced(function* (batch: ReadonlyArray<Settlement>, stages: Map<TaskId, Stage>) {
    for (const day of byDay(batch)) {
      const found = yield* sql.unsafe<{ readonly task_id: string; readonly type: number }>(confirmSql, [
        uuids(day.rows.map((row) => row.taskId)),
        uuids(day.rows.map((row) => row.eventId)),
        uuid(day.from),
        uuid(day.to)
      ])
      for (const { task_id, type } of found) stages.set(task_id, stageByCode.get(type) ?? "pending")
    }
  })

  const finishNow = Effect.fnUntraced(function* (batch: ReadonlyArray<FinishRequest>) {
    const stages = yield* settle(batch.map(ofFinish))
    return batch.map(({ started }): Finished => {
      const stage = stages.get(started.taskId)
      return stage === undefined ? { _tag: "Lost" } : { _tag: "Recorded", stage }
    })
  })

  const finish = (batch: ReadonlyArray<FinishRequest>): Effect.Effect<ReadonlyArray<Finished>, StoreUnavailable> =>
    batch.length === 0 ? Effect.succeed([]) : orUnavailable("finish")(finishNow(batch))

  /** The outcome is the last statement, so its row lock is held as shortly as can be. */
  const finishWith = <A, E, R>(effect: Effect.Effect<A, E, R>, request: (value: A) => FinishRequest) =>
    sql
      .withTransaction(
        Effect.gen(function* () {
          const value = yield* effect
          const outcome = request(value)
          const [finished] = yield* finishNow([outcome])
          if (finished?._tag === "Recorded") return value
          return yield* new LeaseLost({ taskId: outcome.started.taskId, attempt: outcome.started.attempt })
        })
      )
      .pipe(orUnavailable("finishWith"))

  const release = Effect.fnUntraced(function* (
    batch: ReadonlyArray<{
      readonly taskId: TaskId
      readonly fence: Fence
      readonly eventId: EventId
      readonly reason: ReleaseReason
    }>
  ) {
    if (batch.length === 0) return []
    const stages = yield* settle(
      batch.map(({ eventId, fence, reason, taskId }) =>
        settlement(taskId, fence, eventId, { _tag: "ClaimReleased", reason }, null)
      )
    ).pipe(orUnavailable("release"))
    return batch.map((row): "Released" | "Lost" => (stages.has(row.taskId) ? "Released" : "Lost"))
  })

  return { settle, finish, finishWith, release }
}

const ofFinish = ({ eventId, outcome, policy, started }: FinishRequest): Settlement => {
  const command: TaskCommand = { ...outcome, atMs: 0, eventId, fence: started.fence, policy }
  return ofCommand(command, runningState(started), started.fence)
}

/**
 * Asks `decide` twice, without and with a cancel request, at time zero: the due instants it returns are then durations,
 * which SQL turns into instants by the database's clock.
 */
export const ofCommand = (command: TaskCommand, state: TaskState, fence: Fence): Settlement => {
  const body = firstOf(command, { ...state, cancelRequested: false })
  const cancelled = firstOf(command, { ...state, cancelRequested: true })
  return settlement(state.taskId, fence, command.eventId, body, cancelled)
}

const firstOf = (command: TaskCommand, state: TaskState): EventBody => {
  const decided = decide(command, state)
  const body = Result.isSuccess(decided) ? decided.success[0] : undefined
  if (body === undefined) throw new Error(`the machine has no answer to ${command._tag} in ${state.stage}`)
  return body
}

const settlement = (
  taskId: TaskId,
  fence: Fence,
  eventId: EventId,
  body: EventBody,
  cancelled: EventBody | null
): Settlement => ({
  taskId,
  fence,
  eventId,
  type: eventCodes[body._tag],
  dueInMs: "dueAtMs" in body ? body.dueAtMs : null,
  data: storableJson(toColumns(body).data),
  cancelledData: cancelled?._tag === "TaskCancelled" ? storableJson(toColumns(cancelled).data) : null
})

const runningState = (started: FinishRequest["started"]): TaskState => ({
  taskId: started.taskId,
  stage: "running",
  kind: started.kind,
  priority: started.priority,
  dueAtMs: started.dueAtMs,
  version: started.fence.version,
  eventId: started.fence.eventId,
  fence: started.fence,
  sessionId: null,
  attempt: started.attempt,
  charged: started.charged,
  deadlineAtMs: started.deadlineAtMs,
  cancelRequested: false
})

export type PolicyOf = (kindId: number) => KindPolicy
