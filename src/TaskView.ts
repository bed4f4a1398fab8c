import { DateTime } from "effect"
import { fold } from "./core/evolve.ts"
import { followUpOf } from "./core/followUps.ts"
import { payloadOf } from "./core/payloadOf.ts"
import type { Priority } from "./core/Priority.ts"
import type { AttemptError, DeadReason, FollowUp, Json, TaskEvent } from "./core/TaskEvent.ts"
import type { TaskId } from "./core/TaskId.ts"
import { isEnded, type Stage, type Status, statusOf, type TaskState } from "./core/TaskState.ts"

/** Where a task stands. */
export type TaskSummary = {
  readonly id: TaskId
  readonly kind: string
  readonly status: Status
  readonly stage: Stage
  readonly priority: Priority
  /** When the next attempt should start; of an ended task, when its last one should have. */
  readonly dueAt: Date
  /** Number of the last attempt; 0 before the first. */
  readonly attempts: number
  /** The task runs, and will be cancelled if this attempt does not succeed. */
  readonly cancelRequested: boolean
}

/** A task with all that its history tells of it. */
export type TaskView = TaskSummary & {
  /** That its attempts are given: the last one that a redrive came with, or the first. */
  readonly payload: Json
  readonly key: string | null
  /** What the handler returned, or its reconciler; null before and without. */
  readonly result: Json
  readonly lastError: AttemptError | null
  /** Why it is a dead letter, while it is one. */
  readonly deadReason: DeadReason | null
  /** From when on it is too late to start; null: never. */
  readonly expiresAt: Date | null
  readonly scheduledAt: Date
  readonly endedAt: Date | null
  /** What its success, and its death, are to schedule. */
  readonly onSuccess: FollowUp | null
  readonly onDead: FollowUp | null
  /** The task whose end has scheduled it; null: somebody has. */
  readonly follows: TaskId | null
  /** The tasks that its ends have scheduled, oldest first: more than one only of a dead letter that was redriven. */
  readonly followedBy: ReadonlyArray<TaskId>
}

export const summaryOf = (state: TaskState): TaskSummary => ({
  id: state.taskId,
  kind: state.kind,
  status: statusOf[state.stage],
  stage: state.stage,
  priority: state.priority,
  dueAt: dateAt(state.dueAtMs),
  attempts: state.attempt,
  cancelRequested: state.cancelRequested
})

/** The view of a whole history; null for an empty one. */
export const viewOf = (history: ReadonlyArray<TaskEvent>): TaskView | null => {
  const state = fold(history)
  const [first] = history
  const last = history.at(-1)
  if (state === null || first?._tag !== "TaskScheduled" || last === undefined) return null
  let lastError: AttemptError | null = null
  for (const event of history) {
    if (event._tag === "TaskExpired" && event.error !== null) lastError = event.error
    if (event._tag === "AttemptFailed" || event._tag === "TaskDeadLettered") lastError = event.error
  }
  return {
    ...summaryOf(state),
    payload: payloadOf(history),
    key: first.key,
    result: last._tag === "AttemptSucceeded" || last._tag === "TaskReconciled" ? last.result : null,
    lastError,
    deadReason: last._tag === "TaskDeadLettered" ? last.reason : null,
    expiresAt: state.expiresAtMs === null ? null : dateAt(state.expiresAtMs),
    scheduledAt: dateAt(first.atMs),
    endedAt: isEnded(state.stage) ? dateAt(last.atMs) : null,
    onSuccess: first.onSuccess ?? null,
    onDead: first.onDead ?? null,
    follows: first.follows?.taskId ?? null,
    followedBy: history.flatMap((event) => followUpOf(first, event)?.taskId ?? [])
  }
}

const dateAt = (atMs: number): Date => DateTime.toDateUtc(DateTime.makeUnsafe(atMs))
