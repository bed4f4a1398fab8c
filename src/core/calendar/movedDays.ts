import { dayMs } from "../recurrence/bounds.ts"
import { type Zone, zoneOf } from "../recurrence/Zone.ts"
import type { OpenTimes } from "./Calendar.ts"
import { dayOf, instantOf, isBusinessDay, isKnown, localMsOf, searchDaysMax } from "./open.ts"

/** An open day with the closed days around it that move onto it; all local days of the zone. */
type Group = { readonly first: number; readonly last: number; readonly open: number }

type Next = (afterMs: number) => number | null

/** Groups that are looked at for one instant: of the day itself, of the next instant's, and what changes of the clocks leave empty. */
const groupsMax = 10

/**
 * The instants of a rule with those of closed days moved to the next or previous open day, at their time of day: the first one at or
 * after an instant. Each closed day is asked only for what it has behind that time of day, so it costs the same
 * whether the rule fires once a year or each second.
 */
export const movedDays =
  (next: Next, open: OpenTimes, way: "next" | "previous"): ((fromMs: number) => number | null) =>
  (fromMs) => {
    const zone = zoneOf(open.zone)
    if (zone === null || !isKnown(fromMs)) return null
    let group = groupOf(open, zone, way, dayOf(localMsOf(zone, fromMs)))
    for (let count = 0; group !== null && count < groupsMax; count++) {
      const nextMs = next(startOf(zone, group.first) - 1)
      if (nextMs === null) return null
      if (nextMs >= startOf(zone, group.last + 1)) {
        group = groupOf(open, zone, way, dayOf(localMsOf(zone, nextMs)))
        continue
      }
      const movedMs = firstOfGroup(next, zone, group, fromMs)
      if (movedMs !== null) return movedMs
      group = groupOf(open, zone, way, group.last + 1)
    }
    return null
  }

const firstOfGroup = (next: Next, zone: Zone, group: Group, fromMs: number): number | null => {
  let firstMs: number | null = null
  for (let day = group.first; day <= group.last; day++) {
    const movedMs = day === group.open ? plainOf(next, zone, day, fromMs) : movedOf(next, zone, day, group.open, fromMs)
    if (movedMs !== null && (firstMs === null || movedMs < firstMs)) firstMs = movedMs
  }
  return firstMs
}

const plainOf = (next: Next, zone: Zone, day: number, fromMs: number): number | null => {
  const atMs = next(Math.max(fromMs, startOf(zone, day)) - 1)
  return atMs !== null && atMs < startOf(zone, day + 1) ? atMs : null
}

const movedOf = (next: Next, zone: Zone, day: number, onto: number, fromMs: number): number | null => {
  const timeFromMs = Math.max(0, lowestLocalMs(zone, fromMs) - onto * dayMs)
  const endMs = startOf(zone, day + 1)
  let firstMs: number | null = null
  // Between two changes of the clocks the time of day only goes forward.
  for (let pieceMs = startOf(zone, day); pieceMs < endMs;) {
    const stretch = zone.stretchAt(pieceMs)
    const untilMs = Math.min(endMs, stretch.endMs)
    const atMs = next(Math.max(pieceMs, day * dayMs + timeFromMs - stretch.offsetMs) - 1)
    if (atMs !== null && atMs < untilMs) {
      const timeMs = Math.max(0, atMs + stretch.offsetMs - day * dayMs)
      const movedMs = instantOf(zone, onto * dayMs + timeMs)
      if (movedMs !== null && movedMs >= fromMs && (firstMs === null || movedMs < firstMs)) firstMs = movedMs
    }
    pieceMs = untilMs
  }
  return firstMs
}

/** The lowest local time that `instantOf` does not put before the instant. */
const lowestLocalMs = (zone: Zone, fromMs: number): number => {
  const { offsetBeforeMs, offsetMs, startMs } = zone.stretchAt(fromMs)
  const changedLocalMs = startMs + offsetBeforeMs
  if (fromMs === startMs) return changedLocalMs
  return offsetMs < offsetBeforeMs ? Math.max(fromMs + offsetMs, changedLocalMs) : fromMs + offsetMs
}

const startOf = (zone: Zone, day: number): number => instantOf(zone, day * dayMs) ?? Number.POSITIVE_INFINITY

const groupOf = (open: OpenTimes, zone: Zone, way: "next" | "previous", day: number): Group | null => {
  const [ahead, back] = way === "next" ? ([1, -1] as const) : ([-1, 1] as const)
  const target = firstBusinessDay(open, zone, day, ahead)
  if (target === null) return null
  const other = firstBusinessDay(open, zone, target + back, back)
  if (other === null) return null
  return way === "next"
    ? { first: other + 1, last: target, open: target }
    : { first: target, last: other - 1, open: target }
}

const firstBusinessDay = (open: OpenTimes, zone: Zone, from: number, step: 1 | -1): number | null => {
  for (let count = 0; count <= searchDaysMax; count++) {
    const day = from + step * count
    if (isBusinessDay(open, zone, day)) return day
  }
  return null
}
