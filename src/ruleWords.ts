import cronstrue from "cronstrue"
import { Result } from "effect"
import type { Calendar } from "./core/calendar/Calendar.ts"
import { fieldsOf, plainExpression } from "./core/recurrence/fields.ts"
import type { Rule } from "./core/recurrence/Rule.ts"

/**
 * A rule as a person would say it: "At 10:00, on day 1 of the month, Europe/Berlin; if closed, on the next open day (Monday to
 * Friday, without 9 holidays)". For reading only: it is nowhere stored, and nothing is decided by it.
 */
export const ruleWords = (rule: Rule): string => {
  const when = rule._tag === "Cron" ? `${cronWords(rule.expression)}, ${rule.zone}` : intervalWords(rule)
  if (rule.open === undefined) return when
  const { calendar, closed } = rule.open
  const zone = rule._tag === "Cron" && rule.zone === calendar.zone ? "" : `, ${calendar.zone}`
  return `${when}; ${closedWords[closed]} (${calendarWords(calendar)}${zone})`
}

const closedWords = {
  skip: "only when open",
  next: "if closed, on the next open day",
  previous: "if closed, on the previous open day"
} as const

const cronWords = (expression: string): string => {
  const plain = plainExpression(expression)
  const fields = fieldsOf(plain)
  return cronstrue.toString(plain, {
    use24HourTimeFormat: true,
    // "and on Monday" where one of the two days is enough, "only on Monday" where both must match.
    logicalAndDayFields: Result.isSuccess(fields) && fields.success.both
  })
}

const units = [
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
  [1, "millisecond"]
] as const

const intervalWords = ({ anchorMs, everyMs }: Extract<Rule, { readonly _tag: "Interval" }>): string => {
  const parts: Array<string> = []
  let restMs = everyMs
  for (const [unitMs, unit] of units) {
    const count = Math.floor(restMs / unitMs)
    restMs -= count * unitMs
    if (count > 0) parts.push(count === 1 && restMs === 0 && parts.length === 0 ? unit : counted(count, unit))
  }
  const anchor = anchorMs === 0 ? "" : `, counted from ${new Date(anchorMs).toISOString()}`
  return `Every ${listed(parts)}${anchor}`
}

const weekdayNames = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

/** "Monday to Friday, 09:00 to 17:00, without 9 holidays". */
export const calendarWords = ({ holidays = [], hours, quiet, weekdays }: Calendar): string => {
  const days = [...(weekdays ?? (quiet === undefined ? [1, 2, 3, 4, 5] : [1, 2, 3, 4, 5, 6, 7]))].toSorted()
  const words = [daysWords(days)]
  if (hours !== undefined) words.push(listed([hours].flat().map(({ from, until }) => `${from} to ${until}`)))
  if (quiet !== undefined) words.push(`quiet from ${quiet.from} to ${quiet.until}`)
  if (holidays.length > 0) words.push(`without ${counted(holidays.length, "holiday")}`)
  return words.join(", ")
}

const daysWords = (days: ReadonlyArray<number>): string => {
  const [first = 1, last = 7] = [days[0], days.at(-1)]
  if (days.length === 7) return "every day"
  if (days.length > 2 && last - first === days.length - 1) return `${nameOf(first)} to ${nameOf(last)}`
  return listed(days.map(nameOf))
}

const nameOf = (weekday: number): string => weekdayNames[weekday - 1] ?? String(weekday)

const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? "" : "s"}`

const listed = (words: ReadonlyArray<string>): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`
