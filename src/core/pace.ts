import type { KindCaps } from "./KindPolicy.ts"

/**
 * A kind's pace: a token bucket for its claims per second beside a limit of what is in progress. Stores keep the bucket
 * and hold it against their own clock; how a claim is cut follows from the figures alone.
 */

/** Share of a second whose claims may come at once after a lull: more would be a burst, less would cost a claim per task. */
const burstShare = 1 / 10

/** Tokens a bucket holds at most, and when new: at least the one that a claim needs. */
export const tokensMaxOf = (startsPerSecondMax: number): number => Math.max(1, startsPerSecondMax * burstShare)

/** Tokens after a time, for a clock that may have been set back in it. */
export const refilled = (tokens: number, elapsedMs: number, startsPerSecondMax: number): number =>
  Math.min(tokensMaxOf(startsPerSecondMax), tokens + (Math.max(0, elapsedMs) * startsPerSecondMax) / 1_000)

/** What floating point may lose of a token; the bucket stays in debt for it, so nothing is given away. */
const tokenTolerance = 1e-9

/** How soon to claim again when as many tasks are in progress as the kind's cap allows: nobody tells when one ends. */
export const cappedByConcurrencyMs = 20

export type Allowance = {
  /** How many may be claimed. */
  readonly limit: number
  /** Null if no cap cut a claim that took so many; otherwise in how many ms to ask again. */
  readonly cappedForMs: (claimedCount: number) => number | null
}

/** What the caps leave of a limit. `tokens` counts only with a rate. */
export const allowanceOf = (
  { concurrencyMax, startsPerSecondMax }: KindCaps,
  asked: number,
  inProgressCount: number,
  tokens: number
): Allowance => {
  const room = concurrencyMax === null ? Infinity : Math.max(0, concurrencyMax - inProgressCount)
  const paced = startsPerSecondMax === null ? Infinity : Math.max(0, Math.floor(tokens + tokenTolerance))
  const limit = Math.min(asked, room, paced)
  return {
    limit,
    cappedForMs: (claimedCount) => {
      if (limit === asked || claimedCount < limit) return null
      const byRoomMs = room === limit ? cappedByConcurrencyMs : 0
      const byPaceMs =
        startsPerSecondMax !== null && paced === limit
          ? Math.ceil(((1 - (tokens - claimedCount) - tokenTolerance) * 1_000) / startsPerSecondMax)
          : 0
      return Math.max(1, byRoomMs, byPaceMs)
    }
  }
}
