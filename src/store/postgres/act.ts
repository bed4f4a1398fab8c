import { Effect, Result } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { decide } from "../../core/decide.ts"
import { evolve, fold } from "../../core/evolve.ts"
import { rankOf } from "../../core/Priority.ts"
import type { Rejection, TaskCommand } from "../../core/TaskCommand.ts"
import type { EventBody, TaskEvent } from "../../core/TaskEvent.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import type { TaskState } from "../../core/TaskState.ts"
import { isUnstarted } from "../isUnstarted.ts"
import { StoreUnavailable, TaskNotFound } from "../StoreError.ts"
import { type Acted, actTriesMax, type Finished, type ReconcileRequest, type Wish } from "../TaskStore.ts"
import { toColumns } from "./events.ts"
import { make as makeFollowUps } from "./followUps.ts"
import type { Kinds } from "./Kinds.ts"
import { msOf } from "./parameters.ts"
import type { Reads } from "./read.ts"
import { isSqlError, orUnavailable } from "./sqlErrors.ts"
import { storableJson } from "./storableJson.ts"

/**
 * One person's or client's wish: fold, decide, append at the version that was folded, and move the projection row from
 * where the state was to where it is now. Rare enough to be several statements in one transaction; the delete or update
 * at the expected version is the compare-and-set, and losing it means folding again.
 */
export const make = (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly reads: Reads
  readonly scheduled: (dueAtMs: number) => void
}) => {
  const { kinds, reads, sql } = options
  const followUps = makeFollowUps(options)

  const tryOnce = Effect.fnUntraced(function* (
    taskId: TaskId,
    eventId: EventId,
    wish: Wish | Reconcile,
    onlyIf: (state: TaskState) => boolean
  ) {
    const events = (yield* reads.eventsOf([taskId])).get(taskId) ?? []
    const before = fold(events)
    if (before === null) return yield* new TaskNotFound({ taskId })
    const made = events.findIndex((event) => event.eventId === eventId)
    if (made >= 0) return done(fold(events.slice(0, made + 1)) ?? before)
    if (!onlyIf(before)) {
      const rejection: Rejection = { _tag: "NotPossible", stage: before.stage, command: wish._tag }
      return { _tag: "Rejected", state: before, rejection } satisfies Acted
    }
    const [clock] = yield* sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`)
    const atMs = clock?.now_ms ?? 0
    const decided = decide({ ...wish, atMs, eventId }, before)
    if (Result.isFailure(decided)) {
      return { _tag: "Rejected", state: before, rejection: decided.failure } satisfies Acted
    }
    const body = decided.success[0]
    if (body === undefined) return done(before)
    const event: TaskEvent = { taskId, version: before.version + 1, eventId, atMs, ...body }
    const after = evolve(before, event)
    const kindId = (yield* kinds.idsOf([before.kind])).get(before.kind) ?? 0
    const moved = yield* move(before, after, kindId, event)
    if (!moved) return null
    yield* append(event, body)
    if (body._tag === "TaskRedriven" && body.payload !== undefined) {
      yield* sql`INSERT INTO duetime.edited (task_id, version) VALUES (${taskId}::uuid, ${event.version})
        ON CONFLICT (task_id) DO UPDATE SET version = excluded.version`
    }
    const [born] = events
    if (before.followed && born?._tag === "TaskScheduled") {
      const [followUp] = yield* followUps.write([event], new Map([[taskId, born]]))
      if (followUp !== undefined) yield* sql.afterCommit(Effect.sync(() => options.scheduled(followUp.dueAtMs)))
    }
    if (after.stage === "pending") yield* sql.afterCommit(Effect.sync(() => options.scheduled(after.dueAtMs)))
    return done(after)
  })

  const append = (event: TaskEvent, body: EventBody) => {
    const columns = toColumns(body)
    return sql`INSERT INTO duetime.event (task_id, version, type, event_id, at, attempt, due_at, priority, data)
      VALUES (${event.taskId}::uuid, ${event.version}, ${columns.type}::int2, ${event.eventId}::uuid, to_timestamp(${event.atMs}::float8 / 1000.0),
        ${columns.attempt}::int4, to_timestamp(${columns.dueAtMs}::float8 / 1000.0), ${columns.priority}::int2, ${storableJson(columns.data)}::text::jsonb)`
  }

  /** False when somebody else moved the task first. */
  const move = Effect.fnUntraced(function* (before: TaskState, after: TaskState, kindId: number, event: TaskEvent) {
    if (before.stage === "running" && after.stage === "running") {
      const rows = yield* sql`UPDATE duetime.in_progress
        SET version = ${after.version}, cancel_requested = ${after.cancelRequested}, priority = ${rankOf(after.priority)}::int2
        WHERE task_id = ${before.taskId}::uuid AND version = ${before.version} RETURNING task_id`
      return rows.length === 1
    }
    if (!(yield* remove(before, kindId))) return false
    const place = { kind_id: kindId, priority: rankOf(after.priority), due_at: after.dueAtMs }
    switch (after.stage) {
      case "pending":
        yield* sql`INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged, deaths, followed)
          VALUES (${place.kind_id}, ${place.priority}::int2, to_timestamp(${place.due_at}::float8 / 1000.0), ${after.taskId}::uuid,
            ${after.version}, ${after.attempt}, ${after.charged}, ${after.deaths}::int2, ${after.followed})`
        return true
      case "cancelled":
      case "expired":
      case "succeeded":
        return true
      case "dead":
        yield* sql`INSERT INTO duetime.dead_letter (task_id, kind_id, priority, due_at, dead_at, version, attempt, charged, data)
          VALUES (${after.taskId}::uuid, ${place.kind_id}, ${place.priority}::int2, to_timestamp(${place.due_at}::float8 / 1000.0),
            to_timestamp(${event.atMs}::float8 / 1000.0), ${after.version}, ${after.attempt}, ${after.charged},
            ${storableJson(toColumns(event).data)}::text::jsonb)`
        return true
      default:
        return yield* Effect.die(new Error(`no wish leads from ${before.stage} to ${after.stage} (${event._tag})`))
    }
  })

  const remove = Effect.fnUntraced(function* (before: TaskState, kindId: number) {
    const { dueAtMs, taskId, version } = before
    switch (before.stage) {
      case "pending":
        return (
          (yield* sql`DELETE FROM duetime.due
          WHERE kind_id = ${kindId} AND priority = ${rankOf(before.priority)}::int2 AND due_at = to_timestamp(${dueAtMs}::float8 / 1000.0)
            AND task_id = ${taskId}::uuid AND version = ${version} RETURNING task_id`).length === 1
        )
      case "claimed":
      case "running":
        return (
          (yield* sql`DELETE FROM duetime.in_progress WHERE task_id = ${taskId}::uuid AND version = ${version} RETURNING task_id`)
            .length === 1
        )
      case "parked":
        return (
          (yield* sql`DELETE FROM duetime.parked WHERE task_id = ${taskId}::uuid AND version = ${version} RETURNING task_id`)
            .length === 1
        )
      case "dead":
        return (
          (yield* sql`DELETE FROM duetime.dead_letter WHERE task_id = ${taskId}::uuid AND version = ${version} RETURNING task_id`)
            .length === 1
        )
      case "succeeded":
      case "cancelled":
      case "expired":
        return true
    }
  })

  const act = Effect.fnUntraced(function* (
    taskId: TaskId,
    eventId: EventId,
    wish: Wish | Reconcile,
    onlyIf: (state: TaskState) => boolean = always
  ) {
    for (let attempt = 1; attempt <= actTriesMax; attempt++) {
      const acted: Acted | null = yield* sql.withTransaction(tryOnce(taskId, eventId, wish, onlyIf)).pipe(
        // The version was taken between our fold and our append: fold again.
        Effect.catchIf(isVersionTaken, () => Effect.succeed(null)),
        orUnavailable("act")
      )
      if (acted !== null) return acted
    }
    return yield* new StoreUnavailable({
      operation: "act",
      commitUnknown: false,
      reason: `task ${taskId} was moved by others ${actTriesMax} times in a row`
    })
  })

  const reconcile = ({ answer, eventId, fence, policy, taskId }: ReconcileRequest) =>
    act(taskId, eventId, { _tag: "Reconcile", answer, fence, policy }).pipe(
      Effect.map(({ _tag, state }): Finished => (_tag === "Done" ? { _tag: "Recorded", stage: state.stage } : lost)),
      Effect.catchTag("TaskNotFound", () => Effect.succeed(lost))
    )

  /** Cancels a task that no attempt has begun of. False: one has, or it has ended otherwise. */
  const cancelUnstarted = (taskId: TaskId, eventId: EventId, reason: string) =>
    act(taskId, eventId, { _tag: "Cancel", reason }, isUnstarted).pipe(
      Effect.map(({ _tag, state }) => _tag === "Done" && state.stage === "cancelled"),
      Effect.catchTag("TaskNotFound", () => Effect.succeed(false))
    )

  return {
    act: (taskId: TaskId, eventId: EventId, wish: Wish) => act(taskId, eventId, wish),
    cancelUnstarted,
    reconcile
  }
}

const always = () => true

/** What the outside answers is decided like a wish: on the folded state, at its version. */
type Reconcile = Omit<Extract<TaskCommand, { _tag: "Reconcile" }>, "atMs" | "eventId">

const lost: Finished = { _tag: "Lost" }

const done = (state: TaskState): Acted => ({ _tag: "Done", state })

const isVersionTaken = (error: SqlError | TaskNotFound): error is SqlError =>
  isSqlError(error) && error.reason._tag === "UniqueViolation"
