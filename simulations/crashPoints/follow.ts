/** What was found after each hit: the histories of what the process held say it. Pure. */
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { Found } from "./points.ts"
import type { Held } from "./Trigger.ts"

export const foundOf = ({ eventId, version }: Held, events: ReadonlyArray<TaskEvent>): Found => {
  const own = eventId === null ? undefined : events.find((event) => event.eventId === eventId)
  if (own !== undefined) {
    return version === null || own.version === version + 1 ? "found by its own event" : "recorded though lost"
  }
  if (version === null) return events.length > 0 ? "gone on" : "over"
  // Versions are gapless from 1, or the audit says so: the next event stands at the place of this version.
  return nextOf(events[version])
}

const nextOf = (next: TaskEvent | undefined): Found => {
  switch (next?._tag) {
    case undefined:
      return "over"
    case "ClaimReleased":
    case "AttemptReleased":
      return "given back uncharged"
    case "AttemptStarted":
      return "started"
    case "AttemptExpired":
      return "charged, tried again"
    case "AttemptFailed":
      return "failed, tried again"
    case "TaskParked":
      return "parked"
    case "AttemptSucceeded":
      return "succeeded"
    case "TaskDeadLettered":
      return "dead letter"
    case "TaskReconciled":
      return "answered by the outside"
    case "TaskResumed":
      return next.reason === "run-now" ? "let go on by a person" : "answered by the outside"
    default:
      return "gone on"
  }
}

/** What the sessions of processes that were hit held and others took: for a hit in a thread that knows no task. */
export const heldBySessions = (
  taskId: string,
  events: ReadonlyArray<TaskEvent>,
  sessions: ReadonlySet<number>
): ReadonlyArray<Held> =>
  events.flatMap((event) => {
    if (event._tag !== "TaskClaimed" || !sessions.has(event.sessionId)) return []
    const next = events[event.version]
    // What was started meanwhile was no longer held.
    return next?._tag === "ClaimReleased" ? [{ taskId, version: event.version, eventId: null, kind: null }] : []
  })
