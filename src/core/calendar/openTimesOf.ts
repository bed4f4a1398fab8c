import { Result } from "effect"
import type { RuleRejected } from "../recurrence/RuleRejected.ts"
import { type Calendar, openTimes, type OpenTimes } from "./Calendar.ts"

/** Calendars kept read: they come again with every task and retry, and a list of holidays takes longer to read than to ask. */
const keptMax = 256

const kept = new Map<string, OpenTimes>()

/** As `openTimes`, for calendars that come again and again. */
export const openTimesOf = (calendar: Calendar): Result.Result<OpenTimes, RuleRejected> => {
  const text = JSON.stringify(calendar)
  const known = kept.get(text)
  if (known !== undefined) return Result.succeed(known)
  const read = openTimes(calendar)
  if (Result.isSuccess(read)) {
    if (kept.size >= keptMax) kept.clear()
    kept.set(text, read.success)
  }
  return read
}
