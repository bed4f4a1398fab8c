import type { Json, TaskEvent } from "./TaskEvent.ts"

/** The payload that attempts are given behind these events: the last one that a redrive came with, or that of the schedule. */
export const payloadOf = (events: ReadonlyArray<TaskEvent>): Json => {
  for (const event of events.toReversed()) {
    if (event._tag === "TaskRedriven" && event.payload !== undefined) return event.payload
  }
  const [born] = events
  return born?._tag === "TaskScheduled" ? born.payload : null
}
