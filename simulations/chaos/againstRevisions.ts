/** What of a history does not fit the two revisions of the kinds that the fleet runs. */
import type { Json, TaskEvent } from "../../src/core/TaskEvent.ts"
import { Doomed, doomedAttemptsMax, Fresh, noteDefault, Plain, type Revision } from "./kinds.ts"

export const againstRevisions = (
  kind: string,
  events: ReadonlyArray<TaskEvent>,
  revisions: ReadonlyMap<number, Revision>
): ReadonlyArray<string> => {
  const ranBy = new Map(
    events.flatMap((event) => {
      const revision = event._tag === "AttemptStarted" ? revisions.get(event.sessionId) : undefined
      return event._tag !== "AttemptStarted" || revision === undefined ? [] : [[event.attempt, revision] as const]
    })
  )
  if (kind === Fresh.kind) return againstFresh(events, ranBy)
  if (kind === Plain.kind) return againstPlain(events, ranBy)
  return kind === Doomed.kind ? againstDoomed(events, ranBy) : []
}

type RanBy = ReadonlyMap<number, Revision>

/** Of the worker, not of the handler: its event loop was blocked, or it froze. */
const ranTooLong = "AttemptTimedOut"

/** Who does not know a kind leaves it to the others. */
const againstFresh = (events: ReadonlyArray<TaskEvent>, ranBy: RanBy): ReadonlyArray<string> => [
  ...[...ranBy].flatMap(([attempt, revision]) =>
    revision === "before" ? [`attempt ${attempt} was started by a revision that does not know the kind`] : []
  ),
  ...events.flatMap((event) =>
    event._tag === "AttemptFailed" && event.error.name !== ranTooLong
      ? [`attempt ${event.attempt} failed with ${event.error.name}`]
      : []
  )
]

/** The present revision sees the note, or its default where the client knew of none; the one before has nothing to say. */
const againstPlain = (events: ReadonlyArray<TaskEvent>, ranBy: RanBy): ReadonlyArray<string> => {
  const [scheduled] = events
  const given = scheduled?._tag === "TaskScheduled" ? noteOf(scheduled.payload) : null
  return events.flatMap((event) => {
    if (event._tag !== "AttemptSucceeded") return []
    const revision = ranBy.get(event.attempt)
    if (revision === undefined) return []
    const wanted = revision === "present" ? (given ?? noteDefault) : null
    return event.result === wanted ? [] : [`${revision} answered ${JSON.stringify(event.result)}, not ${wanted}`]
  })
}

const noteOf = (payload: Json): Json => (isRecord(payload) ? (payload["note"] ?? null) : null)

const isRecord = (json: Json): json is { readonly [key: string]: Json } =>
  typeof json === "object" && json !== null && !Array.isArray(json)

const limits = Object.values(doomedAttemptsMax)

/**
 * Who ran an attempt decides by its own policy whether its failure was the last; whether an expiry was, the policy decides that
 * was announced last, which may be either.
 */
const againstDoomed = (events: ReadonlyArray<TaskEvent>, ranBy: RanBy): ReadonlyArray<string> => {
  const against: Array<string> = []
  let charged = 0
  for (const event of events) {
    if (event._tag === "AttemptStarted") charged++
    if (event._tag === "AttemptReleased") charged--
    const isExpiry =
      event._tag === "AttemptExpired" || (event._tag === "TaskDeadLettered" && event.error.name === "AttemptExpired")
    const isLast = event._tag === "TaskDeadLettered"
    if (!isExpiry && !isLast && event._tag !== "AttemptFailed") continue
    const revision = ranBy.get(event.attempt)
    if (revision === undefined) continue
    const limitMin = isExpiry ? Math.min(...limits) : doomedAttemptsMax[revision]
    const limitMax = isExpiry ? Math.max(...limits) : doomedAttemptsMax[revision]
    if (isLast ? charged < limitMin : charged >= limitMax) {
      against.push(
        `${event._tag} after ${charged} attempts, run by ${revision}, which allows ${limitMin} to ${limitMax}`
      )
    }
  }
  return against
}
