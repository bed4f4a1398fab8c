import { Data, Effect, Result } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { decide } from "../../core/decide.ts"
import type { KindPolicy } from "../../core/KindPolicy.ts"
import { retryHangsOnInstant } from "../../core/retryDue.ts"
import type { TaskCommand } from "../../core/TaskCommand.ts"
import type { End } from "../../core/followUps.ts"
import { eventCodes, type EventBody, type FollowUps, type ReleaseReason } from "../../core/TaskEvent.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import type { Fence, Stage, TaskState } from "../../core/TaskState.ts"
import { LeaseLost, type StoreUnavailable } from "../StoreError.ts"
import type { Finished, FinishRequest } from "../TaskStore.ts"
import { sortedById } from "./byDay.ts"
import { confirm } from "./confirm.ts"
import { tagOf, toColumns } from "./events.ts"
import { make as makeFollowUps } from "./followUps.ts"
import type { Kinds } from "./Kinds.ts"
import { float8s, instants, int2s, int4s, texts, uuids } from "./parameters.ts"
import { Answered, answered, idleInTransactionTimeoutMs, orUnavailable } from "./sqlErrors.ts"
import { storableJson } from "./storableJson.ts"
import { settleSql } from "./settleStatement.ts"

/** One row of a settlement: what `decide` says without and with a cancel request. */
export type Settlement = {
  readonly taskId: TaskId
  readonly fence: Fence
  readonly eventId: EventId
  readonly type: number
  readonly dueInMs: number | null
  /** An instant in place of the span, where the time between them is not all that counts. */
  readonly dueAtMs: number | null
  readonly data: string | null
  readonly cancelledData: string | null
  /** Something follows this end, unless it becomes another one. */
  readonly followed: boolean
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
  [eventCodes.TaskCancelled, "cancelled"],
  [eventCodes.TaskExpired, "expired"]
])

/** Ends claims and attempts: outcomes, releases and, for the supervisor, expiries. */
export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly retryInMsMax: () => number
  /** The database's clock as this process knows it: asked for due times that a calendar has a say in. */
  readonly nowMs: () => number
  /** Told after the commit, with the earliest due time of what is pending again. */
  readonly scheduled: (earliestDueAtMs: number) => void
}) => {
  const { nowMs, retryInMsMax, sql } = options
  const followUps = makeFollowUps(options)

  /** Stages by event id, of what was settled now and of what an earlier, unanswered request had settled. */
  const settle = (batch: ReadonlyArray<Settlement>) => {
    const followed = batch.filter((row) => row.followed)
    return followed.length === 0
      ? settleAll(batch, null)
      : Effect.flatMap(followUps.read(followed), (found) => followUps.together(settleAll(batch, found)))
  }

  /** With what may follow the ends among them; in a transaction then. */
  const settleAll = Effect.fnUntraced(function* (
    batch: ReadonlyArray<Settlement>,
    following: ReadonlyMap<TaskId, FollowUps> | null
  ) {
    const rows = sortedById(batch)
    const isFixed = rows.some((row) => row.dueAtMs !== null)
    const settled = yield* sql.unsafe<SettledRow>(settleSql({ isFollowed: following !== null, isFixed }), [
      uuids(rows.map((row) => row.taskId)),
      uuids(rows.map((row) => row.fence.eventId)),
      int4s(rows.map((row) => row.fence.version)),
      uuids(rows.map((row) => row.eventId)),
      int2s(rows.map((row) => row.type)),
      float8s(rows.map((row) => (row.dueInMs === null ? null : Math.min(row.dueInMs, retryInMsMax())))),
      texts(rows.map((row) => row.data)),
      texts(rows.map((row) => row.cancelledData)),
      ...(isFixed
        ? [
            instants(
              rows.map(({ dueAtMs }) =>
                dueAtMs === null ? null : Math.floor(Math.min(dueAtMs, nowMs() + retryInMsMax()))
              )
            )
          ]
        : [])
    ])
    const now = new Map<EventId, Stage>()
    let earliestDueAtMs = Infinity
    for (const { due_at_ms, event_id, type } of settled) {
      const stage = stageByCode.get(type) ?? "pending"
      now.set(event_id, stage)
      if (stage === "pending") earliestDueAtMs = Math.min(earliestDueAtMs, due_at_ms)
    }
    if (following !== null) {
      for (const { dueAtMs } of yield* followUps.write(settled.flatMap(endOf), following))
        earliestDueAtMs = Math.min(earliestDueAtMs, dueAtMs)
    }
    if (earliestDueAtMs < Infinity) yield* sql.afterCommit(Effect.sync(() => options.scheduled(earliestDueAtMs)))
    const before = new Map<EventId, Stage>()
    if (now.size < batch.length) {
      const unmoved = batch.filter((row) => !now.has(row.eventId))
      for (const [eventId, type] of yield* confirm(sql, unmoved))
        before.set(eventId, stageByCode.get(type) ?? "pending")
    }
    return { now, before }
  })

  const finish = (batch: ReadonlyArray<FinishRequest>): Effect.Effect<ReadonlyArray<Finished>, StoreUnavailable> => {
    if (batch.length === 0) return Effect.succeed([])
    return settle(batch.map((request) => ofFinish(request, nowMs()))).pipe(
      Effect.map(({ before, now }) =>
        batch.map(({ eventId }): Finished => {
          const stage = now.get(eventId) ?? before.get(eventId)
          return stage === undefined ? { _tag: "Lost" } : { _tag: "Recorded", stage }
        })
      ),
      orUnavailable("finish")
    )
  }

  /**
   * The outcome is the last statement, so its row lock is held as shortly as can be; a process that freezes here, on the
   * application's connection, keeps its locks no longer than one of our own would.
   */
  const finishWith = <A, E, R>(effect: Effect.Effect<A, E, R>, request: (value: A) => FinishRequest) =>
    sql
      .withTransaction(
        Effect.gen(function* () {
          yield* sql.unsafe(limitIdleSql)
          const value = yield* answered(effect)
          const outcome = request(value)
          yield* sql.unsafe(planAsOwnSql)
          const { before, now } = yield* settle([ofFinish(outcome, nowMs())])
          if (now.has(outcome.eventId)) return value
          // The first time had been committed, effects and all: what this repeat did must not be.
          if (before.has(outcome.eventId)) return yield* new RecordedBefore({ value })
          return yield* new LeaseLost({ taskId: outcome.started.taskId, attempt: outcome.started.attempt })
        })
      )
      .pipe(
        Effect.catchIf(
          (error): error is RecordedBefore<A> => error instanceof RecordedBefore,
          (error) => Effect.succeed(error.value)
        ),
        orUnavailable("finishWith"),
        Effect.mapError((error) => (error instanceof Answered ? error.error : error))
      )

  const release = Effect.fnUntraced(function* (
    batch: ReadonlyArray<{
      readonly taskId: TaskId
      readonly fence: Fence
      readonly eventId: EventId
      readonly reason: ReleaseReason
    }>
  ) {
    if (batch.length === 0) return []
    const { before, now } = yield* settle(
      batch.map(({ eventId, fence, reason, taskId }) =>
        settlement({ taskId, fence, followed: false }, eventId, { _tag: "ClaimReleased", reason }, null)
      )
    ).pipe(orUnavailable("release"))
    return batch.map(({ eventId }): "Released" | "Lost" =>
      now.has(eventId) || before.has(eventId) ? "Released" : "Lost"
    )
  })

  return { settle, finish, finishWith, release }
}

type SettledRow = {
  readonly event_id: EventId
  readonly type: number
  readonly due_at_ms: number
  /** These three only where something may follow. */
  readonly task_id?: TaskId
  readonly version?: number
  readonly at_ms?: number
}

const endOf = ({ at_ms, event_id, task_id, type, version }: SettledRow): ReadonlyArray<End> => {
  const tag = tagOf(type)
  return tag === undefined || task_id === undefined || version === undefined || at_ms === undefined
    ? []
    : [{ _tag: tag, taskId: task_id, version, eventId: event_id, atMs: at_ms }]
}

const limitIdleSql = `SELECT set_config('idle_in_transaction_session_timeout', '${idleInTransactionTimeoutMs}', true)`

/**
 * The application's connections have the application's settings: there the statement below was planned anew each time, for
 * 0.7 ms of the server's processor time of 1.9 per transaction, and by statistics that may be stale (see `ownClient`). Until the
 * end of the transaction, of which the outcome is the last statement.
 */
const planAsOwnSql = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_hashjoin', 'off', true),
  set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)`

class RecordedBefore<A> extends Data.TaggedError("RecordedBefore")<{ readonly value: A }> {}

const ofFinish = ({ eventId, outcome, policy, started }: FinishRequest, nowMs: number): Settlement => {
  const command: TaskCommand = { ...outcome, atMs: 0, eventId, fence: started.fence, policy }
  return ofCommand(command, runningState(started), started.fence, nowMs)
}

/**
 * Asks `decide` twice, without and with a cancel request, at time zero: the due instants it returns are then durations,
 * which SQL turns into instants by the database's clock. Only where a due time hangs on the instant itself it is asked at `nowMs`.
 */
export const ofCommand = (atZero: TaskCommand, state: TaskState, fence: Fence, nowMs: number): Settlement => {
  const isFixed = retryHangsOnInstant(atZero)
  const command = isFixed ? { ...atZero, atMs: nowMs } : atZero
  const body = firstOf(command, { ...state, cancelRequested: false })
  const cancelled = firstOf(command, { ...state, cancelRequested: true })
  return settlement({ ...state, fence }, command.eventId, body, cancelled, isFixed)
}

const firstOf = (command: TaskCommand, state: TaskState): EventBody => {
  const decided = decide(command, state)
  const body = Result.isSuccess(decided) ? decided.success[0] : undefined
  if (body === undefined) throw new Error(`the machine has no answer to ${command._tag} in ${state.stage}`)
  return body
}

const settlement = (
  { fence, followed, taskId }: { readonly taskId: TaskId; readonly fence: Fence; readonly followed: boolean },
  eventId: EventId,
  body: EventBody,
  cancelled: EventBody | null,
  isFixed = false
): Settlement => ({
  taskId,
  fence,
  followed: followed && (body._tag === "AttemptSucceeded" || body._tag === "TaskDeadLettered"),
  eventId,
  type: eventCodes[body._tag],
  dueInMs: !("dueAtMs" in body) ? null : isFixed ? 0 : body.dueAtMs,
  dueAtMs: isFixed && "dueAtMs" in body ? body.dueAtMs : null,
  data: storableJson(toColumns(body).data),
  cancelledData: cancelled?._tag === "TaskCancelled" ? storableJson(toColumns(cancelled).data) : null
})

const runningState = (started: FinishRequest["started"]): TaskState => ({
  taskId: started.taskId,
  stage: "running",
  kind: started.kind,
  priority: started.priority,
  dueAtMs: started.dueAtMs,
  // The statement looks it up.
  expiresAtMs: null,
  version: started.fence.version,
  eventId: started.fence.eventId,
  fence: started.fence,
  sessionId: null,
  attempt: started.attempt,
  charged: started.charged,
  // No outcome of a process that lives looks at them.
  deaths: 0,
  deadlineAtMs: started.deadlineAtMs,
  cancelRequested: false,
  followed: started.followed
})

export type PolicyOf = (kindId: number) => KindPolicy
