import { mixed } from "../mixed.ts"
import { make as makeTaskId, slotOfKey, type TaskId } from "../TaskId.ts"

/**
 * The id of the task of a nominal instant: it follows from recurrence, revision and instant alone, so that whoever
 * schedules it again names the same stream. Instant in front, then the recurrence's slot, then 62 bits of a hash.
 */
export const occurrenceTaskId = (recurrenceId: number, revision: number, nominalAtMs: number): TaskId => {
  const bits = mixed(
    BigInt(recurrenceId) * recurrenceStep + BigInt(revision) * revisionStep + BigInt(nominalAtMs) * instantStep
  )
  const bytes = Uint8Array.from({ length: 8 }, (_, index) => Number((bits >> BigInt(56 - 8 * index)) & 255n))
  return makeTaskId(nominalAtMs, slotOfKey(`recurrence ${recurrenceId}`), bytes)
}

/** Odd numbers without pattern (the golden ratio's, and those of SplitMix64), so that near inputs lie far apart. */
const recurrenceStep = 0x9e3779b97f4a7c15n
const revisionStep = 0xbf58476d1ce4e5b9n
const instantStep = 0x94d049bb133111ebn

/**
 * How far ahead instants are decided: long enough that their tasks lie in the database before engines claim (4 s ahead at
 * most), short enough that little has to be taken back by an edit. Spread per recurrence, so that those that share an
 * instant are not all decided in the same moment.
 */
export const leadMsMin = 5_000
export const leadMsMax = 15_000

/** When a recurrence is looked at for its next instant. Where the truth at the instant counts, not before it. */
export const decideAtMsOf = (recurrenceId: number, nextAtMs: number, looksAhead: boolean): number => {
  if (!looksAhead) return nextAtMs
  const spreadMs = (Math.imul(recurrenceId, 0x9e3779b1) >>> 0) % leadSpreadMs
  return Math.floor((nextAtMs - leadMsMin - spreadMs) / decideEveryMs) * decideEveryMs
}

const leadSpreadMs = leadMsMax - leadMsMin - 1_000
/**
 * Ahead of its instant nothing hangs on the millisecond, and a transaction that decides for many costs little more than one
 * for one: a hundred instants a second took 79 of them, and 700 statements (bench/recurrences).
 */
const decideEveryMs = 250
