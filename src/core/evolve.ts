import { deathsAfter } from "./deaths.ts"
import { isFollowed } from "./followUps.ts"
import type { TaskEvent } from "./TaskEvent.ts"
import type { Stage, TaskState } from "./TaskState.ts"

/** Folds one event into the state. Total: it never refuses an event, the auditor does that. */
export const evolve = (state: TaskState | null, event: TaskEvent): TaskState => {
  if (event._tag === "TaskScheduled" || state === null) return born(event)
  const next: TaskState = { ...state, version: event.version, eventId: event.eventId }
  switch (event._tag) {
    case "TaskClaimed":
      return { ...next, stage: "claimed", fence: fenceOf(event), sessionId: event.sessionId }
    case "AttemptStarted":
      return {
        ...next,
        stage: "running",
        fence: fenceOf(event),
        sessionId: event.sessionId,
        attempt: event.attempt,
        charged: state.charged + 1,
        deadlineAtMs: event.deadlineAtMs
      }
    case "ClaimReleased":
      return settled(next, "pending")
    case "AttemptFailed":
      return settled({ ...next, dueAtMs: event.dueAtMs, deaths: 0 }, "pending")
    case "AttemptExpired":
      return settled({ ...next, dueAtMs: event.dueAtMs, deaths: deathsWith(state, event) }, "pending")
    case "AttemptSnoozed":
    case "AttemptReleased":
      return settled({ ...next, dueAtMs: event.dueAtMs, charged: Math.max(0, state.charged - 1), deaths: 0 }, "pending")
    case "TaskRescheduled":
    case "TaskResumed":
      return settled({ ...next, dueAtMs: event.dueAtMs }, "pending")
    case "TaskRedriven":
      return settled({ ...next, dueAtMs: event.dueAtMs, charged: 0, deaths: 0 }, "pending")
    case "TaskReprioritised": {
      const reprioritised = { ...next, priority: event.priority }
      return state.stage === "running" ? reprioritised : settled(reprioritised, "pending")
    }
    case "CancelRequested":
      return { ...next, cancelRequested: true }
    case "TaskParked":
      // Nobody holds it; the fence is the parking's, so that an answer about an earlier one changes nothing.
      return { ...settled(next, "parked"), fence: fenceOf(event), deaths: deathsWith(state, event) }
    case "AttemptSucceeded":
    case "TaskReconciled":
      return settled({ ...next, deaths: 0 }, "succeeded")
    case "TaskDeadLettered":
      // Its reason says what has become of the count; a redrive begins anew.
      return settled({ ...next, deaths: 0 }, "dead")
    case "TaskCancelled":
      return settled({ ...next, deaths: 0 }, "cancelled")
    case "TaskExpired":
      return settled({ ...next, deaths: 0 }, "expired")
  }
}

/** fold(events): null for an empty stream. */
export const fold = (events: Iterable<TaskEvent>): TaskState | null => {
  let state: TaskState | null = null
  for (const event of events) state = evolve(state, event)
  return state
}

const deathsWith = (
  state: TaskState,
  event: Extract<TaskEvent, { readonly _tag: "AttemptExpired" | "TaskParked" }>
): number => (event.reason === "session-lost" ? deathsAfter(state.deaths) : 0)

const fenceOf = (event: TaskEvent) => ({ version: event.version, eventId: event.eventId })

/** Nobody holds the task any more. A cancel request survives a park, so that no resume can undo it. */
const settled = (state: TaskState, stage: Stage): TaskState => ({
  ...state,
  stage,
  fence: null,
  sessionId: null,
  deadlineAtMs: null,
  cancelRequested: stage === "parked" ? state.cancelRequested : false
})

const born = (event: TaskEvent): TaskState => ({
  taskId: event.taskId,
  stage: "pending",
  kind: event._tag === "TaskScheduled" ? event.kind : "",
  priority: event._tag === "TaskScheduled" ? event.priority : "normal",
  dueAtMs: event._tag === "TaskScheduled" ? event.dueAtMs : event.atMs,
  expiresAtMs: event._tag === "TaskScheduled" ? (event.expiresAtMs ?? null) : null,
  version: event.version,
  eventId: event.eventId,
  fence: null,
  sessionId: null,
  attempt: 0,
  charged: 0,
  deaths: 0,
  deadlineAtMs: null,
  cancelRequested: false,
  followed: event._tag === "TaskScheduled" && isFollowed(event)
})
