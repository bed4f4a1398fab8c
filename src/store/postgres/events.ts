import { priorityOf, rankOf } from "../../core/Priority.ts"
import {
  eventCodes,
  type AttemptError,
  type DeadReason,
  type EventBody,
  type EventTag,
  type ExpiryReason,
  type Json,
  type ReleaseReason,
  type ResumeReason,
  type TaskEvent
} from "../../core/TaskEvent.ts"
import { linksFrom } from "./links.ts"
import { msOf } from "./parameters.ts"

/** The codec between event bodies and rows of `duetime.event`. */
export type EventColumns = {
  readonly type: number
  readonly dueAtMs: number | null
  readonly deadlineAtMs: number | null
  readonly dispatchedAtMs: number | null
  readonly sessionId: number | null
  readonly attempt: number | null
  readonly priority: number | null
  readonly key: string | null
  /** JSON text of the payload, result, error or reason. */
  readonly data: string | null
}

export const selectEvents = `SELECT e.task_id, e.version, e.event_id, e.type, ${msOf("e.at")} AS at_ms, ${msOf("e.due_at")} AS due_at_ms,
    ${msOf("e.deadline_at")} AS deadline_at_ms, ${msOf("e.dispatched_at")} AS dispatched_at_ms, e.kind_id, e.session_id,
    e.attempt, e.priority, e.key, e.data, e.follow_ups
  FROM duetime.event e`

export type EventRow = {
  readonly task_id: string
  readonly version: number
  readonly event_id: string
  readonly type: number
  readonly at_ms: number
  readonly due_at_ms: number | null
  readonly deadline_at_ms: number | null
  readonly dispatched_at_ms: number | null
  readonly kind_id: number | null
  readonly session_id: number | null
  readonly attempt: number | null
  readonly priority: number | null
  readonly key: string | null
  readonly data: Json
  /** Left out by reads that are about other events. */
  readonly follow_ups?: Json
}

const none: EventColumns = {
  type: 0,
  dueAtMs: null,
  deadlineAtMs: null,
  dispatchedAtMs: null,
  sessionId: null,
  attempt: null,
  priority: null,
  key: null,
  data: null
}

export const toColumns = (body: EventBody): EventColumns => {
  const type = eventCodes[body._tag]
  switch (body._tag) {
    case "TaskScheduled":
      return {
        ...none,
        type,
        dueAtMs: body.dueAtMs,
        deadlineAtMs: body.expiresAtMs ?? null,
        priority: rankOf(body.priority),
        key: body.key,
        data: JSON.stringify(body.payload)
      }
    case "TaskClaimed":
      return { ...none, type, sessionId: body.sessionId }
    case "AttemptStarted":
      return {
        ...none,
        type,
        attempt: body.attempt,
        sessionId: body.sessionId,
        deadlineAtMs: body.deadlineAtMs,
        dispatchedAtMs: body.dispatchedAtMs
      }
    case "AttemptSucceeded":
    case "TaskReconciled":
      return { ...none, type, attempt: body.attempt, data: body.result === null ? null : JSON.stringify(body.result) }
    case "AttemptFailed":
      return { ...none, type, attempt: body.attempt, dueAtMs: body.dueAtMs, data: JSON.stringify(body.error) }
    case "AttemptSnoozed":
      return { ...none, type, attempt: body.attempt, dueAtMs: body.dueAtMs }
    case "AttemptReleased":
    case "AttemptExpired":
      return { ...none, type, attempt: body.attempt, dueAtMs: body.dueAtMs, data: JSON.stringify(body.reason) }
    case "TaskParked":
      return { ...none, type, attempt: body.attempt, data: JSON.stringify(body.reason) }
    case "TaskDeadLettered":
      return { ...none, type, attempt: body.attempt, data: JSON.stringify({ reason: body.reason, error: body.error }) }
    case "TaskResumed":
      // A person's stands there as it did before there were reconcilers.
      return {
        ...none,
        type,
        dueAtMs: body.dueAtMs,
        data: body.reason === "run-now" ? null : JSON.stringify(body.reason)
      }
    case "TaskRedriven": {
      // In an object, or a payload of null could not be told from none.
      const data = body.payload === undefined ? null : JSON.stringify({ payload: body.payload })
      return { ...none, type, dueAtMs: body.dueAtMs, data }
    }
    case "TaskRescheduled":
      return { ...none, type, dueAtMs: body.dueAtMs }
    case "TaskReprioritised":
      return { ...none, type, priority: rankOf(body.priority) }
    case "ClaimReleased":
      return { ...none, type, data: JSON.stringify(body.reason) }
    case "CancelRequested":
    case "TaskCancelled":
      return { ...none, type, data: body.reason === null ? null : JSON.stringify(body.reason) }
    case "TaskExpired":
      return { ...none, type, data: body.error === null ? null : JSON.stringify(body.error) }
  }
}

const tagsByCode = new Map<number, EventTag>()
for (const tag of Object.keys(eventCodes)) if (isEventTag(tag)) tagsByCode.set(eventCodes[tag], tag)

function isEventTag(tag: string): tag is EventTag {
  return tag in eventCodes
}

export const tagOf = (code: number): EventTag | undefined => tagsByCode.get(code)

/** @param kindName looks up a kind id; events name kinds, rows number them */
export const fromRow = (row: EventRow, kindName: (kindId: number) => string): TaskEvent => ({
  taskId: row.task_id,
  version: row.version,
  eventId: row.event_id,
  atMs: row.at_ms,
  ...bodyOf(row, kindName)
})

const bodyOf = (row: EventRow, kindName: (kindId: number) => string): EventBody => {
  const tag = tagOf(row.type)
  const attempt = row.attempt ?? 0
  const dueAtMs = row.due_at_ms ?? 0
  switch (tag) {
    case "TaskScheduled":
      return {
        _tag: tag,
        kind: kindName(row.kind_id ?? 0),
        priority: priorityOf(row.priority ?? 0),
        dueAtMs,
        key: row.key,
        payload: row.data,
        ...linksFrom(row.follow_ups),
        ...(row.deadline_at_ms === null ? {} : { expiresAtMs: row.deadline_at_ms })
      }
    case "TaskClaimed":
      return { _tag: tag, sessionId: row.session_id ?? 0 }
    case "AttemptStarted":
      return {
        _tag: tag,
        attempt,
        sessionId: row.session_id ?? 0,
        deadlineAtMs: row.deadline_at_ms ?? 0,
        dispatchedAtMs: row.dispatched_at_ms
      }
    case "AttemptSucceeded":
    case "TaskReconciled":
      return { _tag: tag, attempt, result: row.data }
    case "AttemptFailed":
      return { _tag: tag, attempt, error: errorOf(row.data), dueAtMs }
    case "AttemptSnoozed":
      return { _tag: tag, attempt, dueAtMs }
    case "AttemptReleased":
      return {
        _tag: tag,
        attempt,
        reason: wordOf<ReleaseReason>(row.data, "drained", ["session-lost", "unserved", "paused"]),
        dueAtMs
      }
    case "AttemptExpired":
      return { _tag: tag, attempt, reason: expiryOf(row.data), dueAtMs }
    case "TaskParked":
      return { _tag: tag, attempt, reason: expiryOf(row.data) }
    case "TaskDeadLettered":
      return { _tag: tag, attempt, ...deathOf(row.data) }
    case "TaskResumed":
      return { _tag: tag, reason: wordOf<ResumeReason>(row.data, "run-now", ["not-done"]), dueAtMs }
    case "TaskRedriven": {
      const payload = fieldOf(row.data, "payload")
      return payload === undefined ? { _tag: tag, dueAtMs } : { _tag: tag, dueAtMs, payload }
    }
    case "TaskRescheduled":
      return { _tag: tag, dueAtMs }
    case "TaskReprioritised":
      return { _tag: tag, priority: priorityOf(row.priority ?? 0) }
    case "ClaimReleased":
      return { _tag: tag, reason: wordOf<ReleaseReason>(row.data, "drained", ["session-lost", "unserved", "paused"]) }
    case "CancelRequested":
    case "TaskCancelled":
      return { _tag: tag, reason: typeof row.data === "string" ? row.data : null }
    case "TaskExpired":
      return { _tag: tag, error: row.data === null ? null : errorOf(row.data) }
    case undefined:
      // Migrations run before engines; only a hand-edited table or a newer schema can get here.
      throw new Error(
        `event ${row.task_id} version ${row.version} has the unknown type ${row.type}; run a newer duetime`
      )
  }
}

/** Of a `TaskDeadLettered` and of the row in `dead_letter`. */
export const deathOf = (data: Json): { readonly reason: DeadReason; readonly error: AttemptError } => ({
  reason: wordOf<DeadReason>(fieldOf(data, "reason"), "exhausted", ["not-retryable", "discarded", "quarantined"]),
  error: errorOf(fieldOf(data, "error"))
})

const wordOf = <A extends string>(data: Json | undefined, fallback: A, others: ReadonlyArray<A>): A =>
  others.find((word) => word === data) ?? fallback

const expiryOf = (data: Json): ExpiryReason => wordOf<ExpiryReason>(data, "session-lost", ["session-left", "deadline"])

const fieldOf = (data: Json | undefined, field: string): Json | undefined =>
  typeof data === "object" && data !== null && !Array.isArray(data) && Object.hasOwn(data, field)
    ? Object.entries(data).find(([name]) => name === field)?.[1]
    : undefined

const errorOf = (data: Json | undefined): AttemptError => {
  const name = fieldOf(data, "name")
  const message = fieldOf(data, "message")
  const stack = fieldOf(data, "stack")
  return {
    name: typeof name === "string" ? name : "Error",
    message: typeof message === "string" ? message : "",
    ...(typeof stack === "string" ? { stack } : {})
  }
}
