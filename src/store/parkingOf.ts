import { fold } from "../core/evolve.ts"
import { payloadOf } from "../core/payloadOf.ts"
import type { TaskEvent } from "../core/TaskEvent.ts"
import type { Parked } from "./TaskStore.ts"

/** What a history tells about its parked attempt; null if the task is not parked. */
export const parkingOf = (history: ReadonlyArray<TaskEvent>): Omit<Parked, "askedCount" | "isLastAsk"> | null => {
  const state = fold(history)
  const [first] = history
  const last = history.at(-1)
  const start = history.findLast((event) => event._tag === "AttemptStarted")
  if (state === null || first?._tag !== "TaskScheduled" || last?._tag !== "TaskParked") return null
  if (start === undefined || state.fence === null) return null
  const { attempt, dueAtMs, fence, kind, priority, taskId } = state
  return {
    taskId,
    kind,
    priority,
    payload: payloadOf(history),
    attempt,
    dueAtMs,
    startedAtMs: start.atMs,
    deadlineAtMs: start.deadlineAtMs,
    attemptFence: { version: start.version, eventId: start.eventId },
    parkedAtMs: last.atMs,
    reason: last.reason,
    fence
  }
}
