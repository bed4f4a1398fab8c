import { Result } from "effect"
import { type DueJitter, jitteredDueAtMs } from "../KindPolicy.ts"
import { dayMs } from "../recurrence/bounds.ts"
import { zoneOf } from "../recurrence/Zone.ts"
import type { TaskId } from "../TaskId.ts"
import type { Calendar, OpenTimes } from "./Calendar.ts"
import { dayOf, instantOf, isBusinessDay, isKnown, localMsOf, nextOpenMs } from "./open.ts"
import { openTimesOf } from "./openTimesOf.ts"

/** A due time as data: from now on or fixed, and moved to where its calendar is open. */
export type Due =
  | { readonly _tag: "In"; readonly inMs: number; readonly calendar: Calendar | null }
  | { readonly _tag: "At"; readonly atMs: number; readonly calendar: Calendar | null }
  | { readonly _tag: "BusinessDays"; readonly days: number; readonly timeMs: number; readonly calendar: Calendar }

/** About a year. */
export const businessDaysMax = 250
/** Ten years, as far ahead as a task can be scheduled: days that are looked at for the business days asked for. */
export const businessSearchDaysMax = 3_660

/**
 * The instant, not before `nowMs`, in whole milliseconds. Where a calendar has nothing open within its search limits, or its
 * zone is not known here any more, the instant stays where it was: a task too early in the day is better than one lost.
 */
export const dueAtMsOf = (due: Due, nowMs: number): number => {
  const fromMs = Math.floor(nowMs)
  switch (due._tag) {
    case "In":
      return openedMs(due.calendar, due.inMs === 0 ? fromMs : Math.ceil(nowMs + due.inMs))
    case "At":
      return openedMs(due.calendar, Math.max(fromMs, Math.ceil(due.atMs)))
    case "BusinessDays": {
      const open = Result.getOrUndefined(openTimesOf(due.calendar))
      const atMs = open === undefined ? null : businessDaysLaterMs(open, nowMs, due.days, due.timeMs)
      return openedMs(due.calendar, atMs ?? Math.ceil(nowMs + due.days * dayMs))
    }
  }
}

/** Moved to the next open instant, if it is not open; where it was without a calendar. */
export const openedMs = (calendar: Calendar | null, atMs: number): number => {
  const open = calendar === null ? undefined : Result.getOrUndefined(openTimesOf(calendar))
  return open === undefined ? atMs : (nextOpenMs(open, atMs) ?? atMs)
}

/**
 * `jitteredDueAtMs` within open time. What the jitter carries over the closing time is spread anew behind the next opening, so that
 * the last minute of a day does not become the first millisecond of the next.
 */
export const openJitteredDueAtMs = (
  nominalDueAtMs: number,
  id: TaskId,
  jitter: DueJitter | null,
  calendar: Calendar | null
): number => {
  const dueAtMs = jitteredDueAtMs(nominalDueAtMs, id, jitter)
  if (calendar === null || jitter === null) return dueAtMs
  const openMs = openedMs(calendar, dueAtMs)
  return openMs === dueAtMs ? dueAtMs : openedMs(calendar, jitteredDueAtMs(openMs, id, jitter))
}

/** No id makes it later. */
export const latestJitteredDueAtMs = (
  nominalDueAtMs: number,
  jitter: DueJitter | null,
  calendar: Calendar | null
): number => {
  const dueAtMs = nominalDueAtMs + (jitter?.toMs ?? 0)
  const openMs = openedMs(calendar, dueAtMs)
  return openMs === dueAtMs ? dueAtMs : openedMs(calendar, openMs + (jitter?.toMs ?? 0))
}

/**
 * A local time of day on the n-th open day after today, today by the calendar's zone; whether today is open does not matter. A
 * time that a change of the clocks leaves out is the end of the gap, one that comes twice its first pass.
 */
export const businessDaysLaterMs = (open: OpenTimes, nowMs: number, days: number, timeMs: number): number | null => {
  const zone = zoneOf(open.zone)
  if (zone === null || !isKnown(nowMs)) return null
  const today = dayOf(localMsOf(zone, nowMs))
  let count = 0
  for (let day = today + 1; day <= today + businessSearchDaysMax; day++) {
    if (isBusinessDay(open, zone, day) && ++count === days) return instantOf(zone, day * dayMs + timeMs)
  }
  return null
}
