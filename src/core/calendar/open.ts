import { dayMs, hourMs, maxMs, minMs } from "../recurrence/bounds.ts"
import { type Zone, zoneOf } from "../recurrence/Zone.ts"
import type { OpenTimes } from "./Calendar.ts"

/**
 * Where a calendar is open on the line of instants. An instant is open if its local day and time of day are, so at a change of
 * the clocks a window that begins in the gap begins at its end, and a time of day that comes twice is open twice.
 */

/** Days that are looked at for an open instant; more than a calendar may be closed, so that it is found where there is one. */
export const searchDaysMax = 400

export const isOpen = (open: OpenTimes, atMs: number): boolean => {
  const zone = zoneOf(open.zone)
  if (zone === null || !isKnown(atMs)) return false
  const localMs = localMsOf(zone, atMs)
  const day = dayOf(localMs)
  const timeMs = localMs - day * dayMs
  return open.isOpenDay(day) && open.windows.some(({ fromMs, untilMs }) => fromMs <= timeMs && timeMs < untilMs)
}

/** The first open whole millisecond at or after an instant; null if there is none within 400 days or before the year 3000. */
export const nextOpenMs = (open: OpenTimes, atMs: number): number | null => {
  const zone = zoneOf(open.zone)
  let fromMs = Math.max(minMs, Math.ceil(atMs))
  if (zone === null || Number.isNaN(fromMs)) return null
  const endMs = Math.min(maxMs, fromMs + searchDaysMax * dayMs)
  while (fromMs < endMs) {
    const stretch = zone.stretchAt(fromMs)
    const beforeMs = Math.min(endMs, stretch.endMs)
    const localMs = firstOpenLocal(open, fromMs + stretch.offsetMs, beforeMs + stretch.offsetMs)
    if (localMs !== null) return localMs - stretch.offsetMs
    fromMs = beforeMs
  }
  return null
}

/** The last open whole millisecond at or before an instant; null if there is none within 400 days or since 1900. */
export const lastOpenMs = (open: OpenTimes, atMs: number): number | null => {
  const zone = zoneOf(open.zone)
  let untilMs = Math.min(maxMs - 1, Math.floor(atMs))
  if (zone === null || Number.isNaN(untilMs)) return null
  const endMs = Math.max(minMs, untilMs - searchDaysMax * dayMs)
  while (untilMs >= endMs) {
    const stretch = zone.stretchAt(untilMs)
    const fromMs = Math.max(endMs, stretch.startMs)
    const localMs = lastOpenLocal(open, fromMs + stretch.offsetMs, untilMs + stretch.offsetMs)
    if (localMs !== null) return localMs - stretch.offsetMs
    untilMs = fromMs - 1
  }
  return null
}

const firstOpenLocal = (open: OpenTimes, fromMs: number, beforeMs: number): number | null => {
  for (let day = dayOf(fromMs); day * dayMs < beforeMs; day++) {
    if (!open.isOpenDay(day)) continue
    for (const window of open.windows) {
      const openMs = Math.max(fromMs, day * dayMs + window.fromMs)
      if (openMs < Math.min(beforeMs, day * dayMs + window.untilMs)) return openMs
    }
  }
  return null
}

const lastOpenLocal = (open: OpenTimes, fromMs: number, untilMs: number): number | null => {
  for (let day = dayOf(untilMs); (day + 1) * dayMs > fromMs; day--) {
    if (!open.isOpenDay(day)) continue
    for (const window of open.windows.toReversed()) {
      const openMs = Math.min(untilMs, day * dayMs + window.untilMs - 1)
      if (openMs >= Math.max(fromMs, day * dayMs + window.fromMs)) return openMs
    }
  }
  return null
}

export const isKnown = (atMs: number): boolean => atMs >= minMs && atMs < maxMs

export const localMsOf = (zone: Zone, atMs: number): number => atMs + zone.stretchAt(atMs).offsetMs

export const dayOf = (localMs: number): number => Math.floor(localMs / dayMs)

/** No zone has been further from UTC since 1900. */
const offsetMsMax = 16 * hourMs

/** The first instant whose local time is this one or later: of two passes the first, in a gap its end. Null outside 1900 to 2999. */
export const instantOf = (zone: Zone, localMs: number): number | null => {
  let fromMs = localMs - offsetMsMax
  while (isKnown(fromMs)) {
    const { endMs, offsetMs } = zone.stretchAt(fromMs)
    if (localMs < endMs + offsetMs) return Math.max(fromMs, localMs - offsetMs)
    fromMs = endMs
  }
  return null
}

/** Whether the zone has the date at all, and it is open. */
export const isBusinessDay = (open: OpenTimes, zone: Zone, day: number): boolean => {
  if (!open.isOpenDay(day)) return false
  const atMs = instantOf(zone, day * dayMs)
  return atMs !== null && dayOf(localMsOf(zone, atMs)) === day
}
