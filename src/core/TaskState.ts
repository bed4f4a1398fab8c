import type { Priority } from "./Priority.ts"
import type { EventId, TaskId } from "./TaskId.ts"

/**
 * Where a task stands. `pending` has the status word PENDING, `claimed` and `running` are IN_PROGRESS, the rest
 * have their own word. Each stage but the last three is a projection table of its own.
 */
export const stages = ["pending", "claimed", "running", "parked", "dead", "succeeded", "cancelled", "expired"] as const

export type Stage = (typeof stages)[number]

export type Status = "PENDING" | "IN_PROGRESS" | "PARKED" | "DEAD" | "SUCCEEDED" | "CANCELLED" | "EXPIRED"

export const statusOf: Record<Stage, Status> = {
  pending: "PENDING",
  claimed: "IN_PROGRESS",
  running: "IN_PROGRESS",
  parked: "PARKED",
  dead: "DEAD",
  succeeded: "SUCCEEDED",
  cancelled: "CANCELLED",
  expired: "EXPIRED"
}

/** Ended for good, but for a person's redrive of a dead letter. */
export const isEnded = (stage: Stage): boolean => stage === "dead" || isOver(stage)

/** Ended so that nobody can reopen it: no projection row is left. */
export const isOver = (stage: Stage): boolean => stage === "succeeded" || stage === "cancelled" || stage === "expired"

/**
 * The right to move a task: version and event id of the claim, then of the start, and of the parking for whoever asks the
 * outside about it. The id is part of it because after a failover that lost commits the same number may be issued twice.
 */
export type Fence = { readonly version: number; readonly eventId: EventId }

export type TaskState = {
  readonly taskId: TaskId
  readonly stage: Stage
  readonly kind: string
  readonly priority: Priority
  /** When the next attempt should start; of an ended task, when its last one should have. */
  readonly dueAtMs: number
  /** No attempt starts at or after it; null: the task is never too late. */
  readonly expiresAtMs: number | null
  /** Version of the last event folded. */
  readonly version: number
  readonly eventId: EventId
  readonly fence: Fence | null
  /** Session of the engine that claimed, then of the worker that started. */
  readonly sessionId: number | null
  /** Number of the last attempt; 0 before the first. */
  readonly attempt: number
  /** Attempts that count towards the policy's limit. Snoozes and drains give theirs back. */
  readonly charged: number
  /** Deaths in a row, the last attempt's included (`deaths.ts`). */
  readonly deaths: number
  readonly deadlineAtMs: number | null
  readonly cancelRequested: boolean
  /** Something is to follow its success or its death (`followUps.ts`). */
  readonly followed: boolean
}
