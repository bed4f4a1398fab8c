import { evolve } from "../core/evolve.ts"
import type { EventTag, TaskEvent } from "../core/TaskEvent.ts"
import type { TaskState } from "../core/TaskState.ts"

/**
 * One attempt as its events tell it. The drift is the start minus the due time of this attempt, and the three lags are
 * its parts: waiting for a claim, from there to the publish, from there to the start.
 */
export type AttemptRecord = {
  readonly number: number
  readonly sessionId: number
  readonly dueAtMs: number
  readonly startedAtMs: number
  readonly driftMs: number
  readonly claimLagMs: number
  /** Null when the worker pulled the task itself: then all but the claim is delivery. */
  readonly dispatchLagMs: number | null
  readonly deliveryLagMs: number
  /** Null while it runs. */
  readonly ended: { readonly event: EventTag; readonly atMs: number; readonly tookMs: number } | null
}

export const attemptsOf = (history: ReadonlyArray<TaskEvent>): ReadonlyArray<AttemptRecord> => {
  const attempts: Array<AttemptRecord> = []
  let state: TaskState | null = null
  let claimedAtMs = Number.NEGATIVE_INFINITY
  for (const event of history) {
    const before: TaskState | null = state
    state = evolve(before, event)
    if (event._tag === "TaskClaimed") claimedAtMs = event.atMs
    if (event._tag === "AttemptStarted" && before !== null) attempts.push(startOf(event, before.dueAtMs, claimedAtMs))
    const running = attempts.at(-1)
    if (before?.stage !== "running" || state.stage === "running" || running === undefined) continue
    const ended = { event: event._tag, atMs: event.atMs, tookMs: toMicros(event.atMs - running.startedAtMs) }
    attempts[attempts.length - 1] = { ...running, ended }
  }
  return attempts
}

const startOf = (
  event: Extract<TaskEvent, { _tag: "AttemptStarted" }>,
  dueAtMs: number,
  claimedAtMs: number
): AttemptRecord => {
  const readyAtMs = Math.max(dueAtMs, claimedAtMs)
  const sentAtMs = event.dispatchedAtMs ?? readyAtMs
  return {
    number: event.attempt,
    sessionId: event.sessionId,
    dueAtMs,
    startedAtMs: event.atMs,
    driftMs: toMicros(event.atMs - dueAtMs),
    claimLagMs: toMicros(readyAtMs - dueAtMs),
    dispatchLagMs: event.dispatchedAtMs === null ? null : toMicros(sentAtMs - readyAtMs),
    deliveryLagMs: toMicros(event.atMs - sentAtMs),
    ended: null
  }
}

/** The database stamps microseconds; what floating point adds below them is noise. */
const toMicros = (ms: number): number => Math.round(ms * 1_000) / 1_000
