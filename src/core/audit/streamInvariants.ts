import { machine } from "../machine.ts"
import { isEnded, type TaskState } from "../TaskState.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import type { Finding, Invariant, Walk } from "./AuditedStream.ts"

/** Versions are 1, 2, 3 ... without gap or repeat, event ids do not repeat, and every event belongs to the stream. */
function* versionsAreGapless({ stream }: Walk): Iterable<Finding> {
  const eventIds = new Set<string>()
  if (stream.events.length === 0) yield { version: null, message: "the stream has no event" }
  for (const [index, { eventId, taskId, version }] of stream.events.entries()) {
    if (version !== index + 1) yield { version, message: `version ${version} stands at place ${index + 1}` }
    if (taskId !== stream.taskId) yield { version, message: `the event belongs to task ${taskId}` }
    if (eventIds.has(eventId)) yield { version, message: `event id ${eventId} stands in the stream twice` }
    eventIds.add(eventId)
  }
}

/** Every event is one the machine's table can append in the stage and cancel request folded so far. */
function* eventsAreLegal({ steps, stream }: Walk): Iterable<Finding> {
  for (const { type, version } of stream.unknown ?? []) yield { version, message: `the event type ${type} is unknown` }
  for (const { before, event } of steps) {
    if (isLegal(before, event)) continue
    const from = before === null ? "none" : before.stage
    const asked = before?.cancelRequested === true ? " with a cancel request" : ""
    yield { version: event.version, message: `${event._tag} cannot follow in stage ${from}${asked}` }
  }
}

/** Nothing follows the end of a task, but a person's redrive or discard that follows a dead letter. */
function* nothingFollowsAnEnd({ steps }: Walk): Iterable<Finding> {
  for (const { before, event } of steps) {
    if (before === null || !isEnded(before.stage)) continue
    if (before.stage === "dead" && (event._tag === "TaskRedriven" || event._tag === "TaskCancelled")) continue
    yield { version: event.version, message: `${event._tag} follows the end ${before.stage}` }
  }
}

/** The database's clock never runs backwards inside a stream, further than it is known to have stepped. */
function* timeRunsForward({ options, stream }: Walk): Iterable<Finding> {
  let latestAtMs = Number.NEGATIVE_INFINITY
  for (const { atMs, version } of stream.events) {
    if (atMs < latestAtMs - (options.clockStepMsMax ?? 0)) {
      yield { version, message: `the event is of ${atMs} ms, ${latestAtMs - atMs} ms before an earlier one` }
    }
    latestAtMs = Math.max(latestAtMs, atMs)
  }
}

/** Nothing that a cancelled task's history could be held against: no attempt starts after a cancel or its request. */
function* cancelledNeverStarts({ stream }: Walk): Iterable<Finding> {
  const cancelled = stream.events.find(({ _tag }) => _tag === "TaskCancelled" || _tag === "CancelRequested")
  if (cancelled === undefined) return
  for (const { _tag, version } of stream.events) {
    if (_tag === "AttemptStarted" && version > cancelled.version) {
      yield { version, message: `an attempt starts after ${cancelled._tag} at version ${cancelled.version}` }
    }
  }
}

export const streamInvariants: ReadonlyArray<Invariant> = [
  { id: "S1", sentence: "Versions are gapless from 1 and event ids unique.", check: versionsAreGapless },
  { id: "S2", sentence: "Every event is legal for the state folded so far.", check: eventsAreLegal },
  {
    id: "S3",
    sentence: "Nothing follows an end, but a redrive or a discard a dead letter.",
    check: nothingFollowsAnEnd
  },
  { id: "S14", sentence: "No attempt starts after a cancel or its request.", check: cancelledNeverStarts },
  { id: "S19", sentence: "The instants of a stream do not run backwards.", check: timeRunsForward }
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
