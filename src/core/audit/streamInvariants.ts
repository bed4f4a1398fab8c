import { machine } from "../machine.ts"
import { isEnded, type TaskState } from "../TaskState.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import { type Invariant, type Judge, type Judged, nothing } from "./AuditedStream.ts"

/** Versions are 1, 2, 3 ... without gap or repeat, event ids do not repeat, and every event belongs to the stream. */
const versionsAreGapless = ({ taskId: ownId }: Judged): Judge => {
  const eventIds = new Set<string>()
  let place = 0
  return ({ event: { eventId, taskId, version } }) => {
    place++
    const isRepeated = eventIds.has(eventId)
    eventIds.add(eventId)
    if (version === place && taskId === ownId && !isRepeated) return nothing
    return [
      ...(version === place ? [] : [{ version, message: `version ${version} stands at place ${place}` }]),
      ...(taskId === ownId ? [] : [{ version, message: `the event belongs to task ${taskId}` }]),
      ...(isRepeated ? [{ version, message: `event id ${eventId} stands in the stream twice` }] : [])
    ]
  }
}

/** Every event is one the machine's table can append in the stage and cancel request folded so far. */
const eventsAreLegal = (): Judge => {
  return ({ before, event }) => {
    if (isLegal(before, event)) return nothing
    const from = before === null ? "none" : before.stage
    const asked = before?.cancelRequested === true ? " with a cancel request" : ""
    return [{ version: event.version, message: `${event._tag} cannot follow in stage ${from}${asked}` }]
  }
}

/** Nothing follows the end of a task, but a person's redrive or discard that follows a dead letter. */
const nothingFollowsAnEnd = (): Judge => {
  return ({ before, event }) => {
    if (before === null || !isEnded(before.stage)) return nothing
    if (before.stage === "dead" && (event._tag === "TaskRedriven" || event._tag === "TaskCancelled")) return nothing
    return [{ version: event.version, message: `${event._tag} follows the end ${before.stage}` }]
  }
}

/** The database's clock never runs backwards inside a stream, further than it is known to have stepped. */
const timeRunsForward = ({ options }: Judged): Judge => {
  let latestAtMs = Number.NEGATIVE_INFINITY
  return ({ event: { atMs, version } }) => {
    const earlyMs = latestAtMs - atMs
    latestAtMs = Math.max(latestAtMs, atMs)
    if (earlyMs <= (options.clockStepMsMax ?? 0)) return nothing
    return [{ version, message: `the event is of ${atMs} ms, ${earlyMs} ms before an earlier one` }]
  }
}

/** Nothing that a cancelled task's history could be held against: no attempt starts after a cancel or its request. */
const cancelledNeverStarts = (): Judge => {
  let cancelled: TaskEvent | null = null
  return ({ event }) => {
    if (cancelled === null) {
      if (event._tag === "TaskCancelled" || event._tag === "CancelRequested") cancelled = event
      return nothing
    }
    if (event._tag !== "AttemptStarted" || event.version <= cancelled.version) return nothing
    const message = `an attempt starts after ${cancelled._tag} at version ${cancelled.version}`
    return [{ version: event.version, message }]
  }
}

export const streamInvariants: ReadonlyArray<Invariant> = [
  {
    id: "S1",
    sentence: "Versions are gapless from 1 and event ids unique.",
    begin: versionsAreGapless,
    atEnd: ({ stream }) =>
      stream.events.length === 0 ? [{ version: null, message: "the stream has no event" }] : nothing
  },
  {
    id: "S2",
    sentence: "Every event is legal for the state folded so far.",
    begin: eventsAreLegal,
    atEnd: ({ stream }) =>
      (stream.unknown ?? []).map(({ type, version }) => ({ version, message: `the event type ${type} is unknown` }))
  },
  {
    id: "S3",
    sentence: "Nothing follows an end, but a redrive or a discard a dead letter.",
    begin: nothingFollowsAnEnd
  },
  { id: "S14", sentence: "No attempt starts after a cancel or its request.", begin: cancelledNeverStarts },
  { id: "S19", sentence: "The instants of a stream do not run backwards.", begin: timeRunsForward }
]

/**
 * Whether a row of the table names the event. A row counts if its guard may hold, and if no row of the same command
 * before it surely holds; guards that ask the command are unknown here, so they may hold or not.
 */
const isLegal = (before: TaskState | null, event: TaskEvent): boolean => {
  const stage = before === null ? "none" : before.stage
  const closed = new Set<string>()
  for (const [from, command, guard, tag] of machine) {
    if (from !== stage || closed.has(command)) continue
    if (guard === "cancelRequested" && before?.cancelRequested !== true) continue
    if (tag === event._tag) return true
    if (guard === "always" || guard === "cancelRequested") closed.add(command)
  }
  return false
}
