import type { OpenTimes } from "../calendar/Calendar.ts"
import { isOpen, lastOpenMs, nextOpenMs } from "../calendar/open.ts"
import { movedDays } from "../calendar/movedDays.ts"
import { secondMs } from "./bounds.ts"

/**
 * What becomes of a rule's instants on closed time: left out, or moved. An instant of a closed day moves to the next or the previous
 * open day and keeps its time of day; one that is still outside the open hours then moves to their next beginning, or to the
 * last second before their end. Two that are moved onto one are one.
 */
export type Closed = "skip" | "next" | "previous"
export const closedPolicies: ReadonlyArray<Closed> = ["skip", "next", "previous"]

type Next = (afterMs: number) => number | null

/** Closed stretches in a row that may hold every instant of a rule; behind so many the rule counts as ended. 27 years of a daily one. */
export const closedInARowMax = 10_000

export const openInstants = (next: Next, open: OpenTimes, closed: Closed): Next => {
  switch (closed) {
    case "skip":
      return (afterMs) => firstOpen(next, open, afterMs)
    case "next": {
      const firstAtLeast = movedDays(next, open, "next")
      // Whatever lies between the last open instant and this one moves behind this one, too.
      return (afterMs) => {
        const movedMs = firstAtLeast((lastOpenMs(open, afterMs) ?? Math.floor(afterMs)) + 1)
        return movedMs === null ? null : nextOpenMs(open, movedMs)
      }
    }
    case "previous": {
      const firstAtLeast = movedDays(next, open, "previous")
      const firstMoved = (fromMs: number | null): number | null => {
        const movedMs = fromMs === null ? null : firstAtLeast(fromMs)
        if (fromMs === null || movedMs === null) return movedMs
        if (!isOpen(open, movedMs)) return lastSecond(open, movedMs)
        // Within the last second before the end: what moves to its beginning comes first.
        const secondAtMs = Math.floor(movedMs / secondMs) * secondMs
        if (secondAtMs === movedMs || secondAtMs < fromMs || isOpen(open, secondAtMs + secondMs)) return movedMs
        const behindMs = firstAtLeast(secondAtMs + secondMs)
        const isMovedThere = behindMs !== null && !isOpen(open, behindMs) && lastSecond(open, behindMs) === secondAtMs
        return isMovedThere ? secondAtMs : movedMs
      }
      return (afterMs) => {
        const fromMs = nextOpenMs(open, Math.floor(afterMs) + 1)
        const movedMs = firstMoved(fromMs)
        if (movedMs === null || movedMs > afterMs) return movedMs
        // Asked within the last second of a window, which has had its turn.
        return firstMoved(nextOpenMs(open, Math.floor(afterMs) + secondMs))
      }
    }
  }
}

const lastSecond = (open: OpenTimes, atMs: number): number | null => {
  const lastMs = lastOpenMs(open, atMs)
  return lastMs === null ? null : lastMs + 1 - secondMs
}

const firstOpen = (next: Next, open: OpenTimes, afterMs: number): number | null => {
  let atMs = next(afterMs)
  for (let count = 0; atMs !== null && count < closedInARowMax; count++) {
    const openMs = nextOpenMs(open, atMs)
    if (openMs === null || openMs === atMs) return openMs
    atMs = next(openMs - 1)
  }
  return null
}
