import { jitteredDueAtMs } from "./KindPolicy.ts"
import { mixed } from "./mixed.ts"
import type { Priority } from "./Priority.ts"
import type { FollowUp, FollowUps, Follows, Json, TaskEvent, Traced } from "./TaskEvent.ts"
import { make as makeTaskId, slotOf, type EventId, type TaskId } from "./TaskId.ts"

/**
 * What follows the end of a task. Success and death each may have one follow-up, given when the task was scheduled; a task that
 * was cancelled or has expired has none. Whoever records the end appends the follow-up in the same transaction, and all of it
 * follows from the end's own event: so a repeat names the same stream, and the auditor knows where to look.
 */

/** A follow-up as it is scheduled. */
export type FollowingTask = FollowUps &
  Traced & {
    readonly taskId: TaskId
    readonly eventId: EventId
    readonly kind: string
    readonly priority: Priority
    readonly dueAtMs: number
    readonly key: null
    readonly payload: Json
    readonly follows: Follows
  }

/** Of an event, what its follow-up is made of. */
export type End = Pick<TaskEvent, "_tag" | "taskId" | "version" | "eventId" | "atMs">

/** Null: nothing follows this event. A follow-up belongs to the trace in which all of it was settled. */
export const followUpOf = (born: FollowUps & Traced, end: End): FollowingTask | null => {
  const followUp = followUpAt(born, end._tag)
  if (followUp === undefined) return null
  const { dueJitter, inMs, kind, payload, priority } = followUp
  // Rounded as when anybody schedules: at once is not later, and a wait not shorter.
  const nominalDueAtMs = inMs === 0 ? Math.floor(end.atMs) : Math.ceil(end.atMs + inMs)
  const [high, low] = halvesOf(end.eventId)
  const taskId = makeTaskId(nominalDueAtMs, slotOf(end.taskId), bytesOf(mixed(high ^ mixed(low + taskStep))))
  return {
    taskId,
    eventId: eventIdOf(mixed(high ^ mixed(low + eventStep)), mixed(low ^ mixed(high + eventStep))),
    kind,
    priority,
    dueAtMs: jitteredDueAtMs(nominalDueAtMs, taskId, dueJitter),
    key: null,
    payload,
    follows: { taskId: end.taskId, version: end.version },
    ...linksOf({ ...followUp, traceparent: born.traceparent })
  }
}

export const followUpAt = ({ onDead, onSuccess }: FollowUps, tag: TaskEvent["_tag"]): FollowUp | undefined =>
  tag === "AttemptSucceeded" || tag === "TaskReconciled" ? onSuccess : tag === "TaskDeadLettered" ? onDead : undefined

/** Whether anything is to follow, whatever the end. */
export const isFollowed = ({ onDead, onSuccess }: FollowUps): boolean => onSuccess !== undefined || onDead !== undefined

/** These fields of whatever has them, without those that are absent. */
export const linksOf = ({
  follows,
  onDead,
  onSuccess,
  traceparent
}: FollowUps & {
  readonly follows?: Follows | undefined
  readonly traceparent?: string | undefined
}): FollowUps & Traced & { readonly follows?: Follows } => ({
  ...(onSuccess === undefined ? {} : { onSuccess }),
  ...(onDead === undefined ? {} : { onDead }),
  ...(follows === undefined ? {} : { follows }),
  ...(traceparent === undefined ? {} : { traceparent })
})

/** Apart, so that the follow-up's two ids have nothing in common with each other. */
const taskStep = 0x9e3779b97f4a7c15n
const eventStep = 0xbf58476d1ce4e5b9n

const halvesOf = (eventId: EventId): readonly [bigint, bigint] => {
  const hex = eventId.replaceAll("-", "")
  return [BigInt(`0x${hex.slice(0, 16)}`), BigInt(`0x${hex.slice(16)}`)]
}

const bytesOf = (bits: bigint): Uint8Array =>
  Uint8Array.from({ length: 8 }, (_, index) => Number((bits >> BigInt(56 - 8 * index)) & 255n))

/** A UUID of version 8, RFC 9562: its bits are of our own making. */
const eventIdOf = (high: bigint, low: bigint): EventId => {
  const [first, last] = [high, low].map((half) => half.toString(16).padStart(16, "0"))
  const variant = ((Number.parseInt(last?.[0] ?? "0", 16) & 3) | 8).toString(16)
  return `${first?.slice(0, 8)}-${first?.slice(8, 12)}-8${first?.slice(13)}-${variant}${last?.slice(1, 4)}-${last?.slice(4)}`
}
