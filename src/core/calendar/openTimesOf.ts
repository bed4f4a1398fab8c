import { Result } from "effect"
import type { RuleRejected } from "../recurrence/RuleRejected.ts"
import { type Calendar, openTimes, type OpenTimes } from "./Calendar.ts"

/** Calendars kept read: they come again with every task and retry, and a list of holidays takes longer to read than to ask. */
const keptMax = 256

type Kept = { readonly calendar: Calendar; readonly open: OpenTimes }

const byText = new Map<string, Kept>()
/** Of the kept ones alone, which nobody can change: writing a calendar of 30 holidays down to find it takes 3 µs. */
const byObject = new WeakMap<Calendar, OpenTimes>()

/** As `openTimes`, for calendars that come again and again. */
export const openTimesOf = (calendar: Calendar): Result.Result<OpenTimes, RuleRejected> => {
  const known = byObject.get(calendar)
  return known === undefined ? Result.map(keptOf(calendar), ({ open }) => open) : Result.succeed(known)
}

/** The same calendar, read, and so quicker to ask than the given one. */
export const readCalendar = (calendar: Calendar): Result.Result<Calendar, RuleRejected> =>
  Result.map(keptOf(calendar), (kept) => kept.calendar)

const keptOf = (calendar: Calendar): Result.Result<Kept, RuleRejected> => {
  const text = JSON.stringify(calendar)
  const known = byText.get(text)
  if (known !== undefined) return Result.succeed(known)
  return Result.map(openTimes(calendar), (open) => {
    const kept = { calendar: frozen(JSON.parse(text)), open }
    if (byText.size >= keptMax) byText.clear()
    byText.set(text, kept)
    byObject.set(kept.calendar, open)
    return kept
  })
}

const frozen = <A>(value: A): A => {
  if (typeof value === "object" && value !== null) Object.values(value).forEach(frozen)
  return Object.freeze(value)
}
