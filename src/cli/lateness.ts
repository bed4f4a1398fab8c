import type { TaskEvent } from "../core/TaskEvent.ts"
import type { AttemptRecord } from "./attempts.ts"
import { span } from "./render/time.ts"

/** Below it nobody asks why: a drift of this size is that of a busy machine. */
export const lateMsMin = 100

export type Lateness = {
  /** The greatest part of the drift. `asked`: it was asked for when it was due already. */
  readonly part: "asked" | "claim" | "dispatch" | "delivery"
  readonly partMs: number
  readonly sentence: string
}

/** Why an attempt started late, as far as the history tells; null for one that did not. */
export const latenessOf = (history: ReadonlyArray<TaskEvent>, attempt: AttemptRecord): Lateness | null => {
  if (attempt.driftMs < lateMsMin) return null
  const startedAt = history.findIndex((event) => event._tag === "AttemptStarted" && event.attempt === attempt.number)
  const before = history.slice(0, Math.max(0, startedAt))
  const askedAt = before.findLastIndex((event) => "dueAtMs" in event)
  const askedMs = Math.max(0, (before[askedAt]?.atMs ?? attempt.dueAtMs) - attempt.dueAtMs)
  const releases = before.slice(askedAt + 1).flatMap((event) => (event._tag === "ClaimReleased" ? [event.reason] : []))
  const parts = [
    { part: "asked", partMs: Math.min(askedMs, attempt.driftMs) },
    { part: "claim", partMs: Math.max(0, attempt.claimLagMs - askedMs) },
    { part: "dispatch", partMs: attempt.dispatchLagMs ?? 0 },
    { part: "delivery", partMs: attempt.deliveryLagMs }
  ] as const
  const greatest = parts.reduce((most, one) => (one.partMs > most.partMs ? one : most))
  return { ...greatest, sentence: sentences[greatest.part](span(greatest.partMs), releases, attempt) }
}

type Sentence = (lag: string, releases: ReadonlyArray<string>, attempt: AttemptRecord) => string

const sentences: Readonly<Record<Lateness["part"], Sentence>> = {
  asked: (lag) => `it had been due for ${lag} when it was asked for`,
  claim: (lag, releases) =>
    releases.length > 0
      ? `it was claimed and given back before (${[...new Set(releases)].join(", ")}), and claimed for good ${lag} after it was due`
      : `no engine claimed it for ${lag}: none was running, nobody served the kind, it was paused, at its cap, or behind what was more urgent`,
  dispatch: (lag) =>
    `its engine held it for ${lag}: the workers had as much as they could start, or the broker was away`,
  delivery: (lag, _, attempt) =>
    attempt.dispatchLagMs === null
      ? `no worker heard of it or had a free slot for ${lag}, until one pulled it`
      : `it was on its way to a worker for ${lag}: none had a free slot, or the broker was slow`
}
