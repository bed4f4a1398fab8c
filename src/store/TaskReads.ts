import type { KindPolicy } from "../core/KindPolicy.ts"
import type { Priority } from "../core/Priority.ts"
import type { AttemptError, DeadReason, ExpiryReason, Json, TaskEvent } from "../core/TaskEvent.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { Fence, Stage, TaskState } from "../core/TaskState.ts"

/** What the port's reading operations are asked and answer; part of `TaskStore.ts`. */

/** The events that end a task. */
export type EndEvent = Extract<TaskEvent, { readonly _tag: EndTag }>
export const endTags = [
  "AttemptSucceeded",
  "TaskReconciled",
  "TaskDeadLettered",
  "TaskCancelled",
  "TaskExpired"
] as const
type EndTag = (typeof endTags)[number]

export const isEndEvent = (event: TaskEvent): event is EndEvent => endTags.some((tag) => tag === event._tag)

export type Ended = { readonly taskId: TaskId; readonly end: EndEvent | null }

export type FindFilter = {
  readonly stage: Stage
  readonly kind?: string | undefined
  /** Of the stage `dead`: only the dead letters of this group (`core/fingerprint.ts`), as far as they have one. */
  readonly group?: string | undefined
  /** Cursor of the page before. */
  readonly after?: string | undefined
  /** 1 to 1,000 tasks. */
  readonly limit: number
}

/** A page of ended tasks may have fewer than asked for, or none, and still a next one. Null: there is nothing behind it. */
export type FindPage = { readonly tasks: ReadonlyArray<TaskState>; readonly next: string | null }

export type DeadGroupsFilter = {
  readonly kind?: string | undefined
  readonly group?: string | undefined
  /** 1 to 1,000 groups. */
  readonly limit: number
}

/** Dead letters of one kind with one cause. */
export type DeadGroup = {
  readonly group: string
  readonly kind: string
  readonly count: number
  readonly firstDeadAtMs: number
  readonly lastDeadAtMs: number
  /** One of them. */
  readonly sample: { readonly taskId: TaskId; readonly reason: DeadReason; readonly error: AttemptError }
}

export type StoredStream = {
  readonly taskId: TaskId
  readonly events: ReadonlyArray<TaskEvent>
  /** The projection rows found for the task, each as the part of the state it holds. Ended tasks but dead letters have none. */
  readonly projections: ReadonlyArray<Projection>
}

export type Projection = Pick<TaskState, "stage" | "kind" | "priority" | "dueAtMs" | "version" | "attempt" | "charged">

export type KindRecord = {
  readonly policy: KindPolicy
  /** Some worker has announced it; otherwise the policy is the default. */
  readonly known: boolean
  readonly liveSessions: number
  /** By itself or by its queue. */
  readonly isPaused: boolean
}

export type BacklogRow = {
  readonly kind: string
  /** Due and not started. Counted up to a limit, so that a glance at a huge backlog stays cheap. */
  readonly dueCount: number
  readonly oldestDueAtMs: number | null
  readonly inProgressCount: number
  readonly parkedCount: number
  readonly deadCount: number
}

export type Maintained = {
  readonly made: ReadonlyArray<string>
  readonly dropped: ReadonlyArray<string>
  /** The account that alone may make and retire partitions, when this process has another one; null: done here. */
  readonly leftTo: string | null
}

/** A task whose attempt was interrupted, with what is known of that attempt. */
export type Parked = {
  readonly taskId: TaskId
  readonly kind: string
  readonly priority: Priority
  readonly payload: Json
  readonly attempt: number
  /** When the attempt should have started. */
  readonly dueAtMs: number
  readonly startedAtMs: number
  readonly deadlineAtMs: number
  /** Of the attempt's start. */
  readonly attemptFence: Fence
  readonly parkedAtMs: number
  readonly reason: ExpiryReason
  /** Of the parking. */
  readonly fence: Fence
  /** This ask included, from 1. */
  readonly askedCount: number
  /** Nobody asks after this one. */
  readonly isLastAsk: boolean
}
