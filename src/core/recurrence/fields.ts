import { Cron, Result } from "effect"
import { dayMs, hourMs, minuteMs, secondMs } from "./bounds.ts"
import { rejected, type RuleRejected } from "./RuleRejected.ts"

/** What a cron expression asks of a local time. Lists are ascending. */
export type Fields = {
  readonly seconds: ReadonlyArray<number>
  readonly minutes: ReadonlyArray<number>
  readonly hours: ReadonlyArray<number>
  /** Null: any. */
  readonly months: ReadonlySet<number> | null
  readonly days: ReadonlySet<number> | null
  readonly weekdays: ReadonlySet<number> | null
  /** Day of month and day of week must both match, because one of them begins with `*`; else one of them is enough. */
  readonly both: boolean
  /** Second, minute or hour begins with `*` or is an open step: the rule means real time, not a time of day. */
  readonly isIntervalLike: boolean
}

const macros: ReadonlyMap<string, string> = new Map([
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
  ["@monthly", "0 0 1 * *"],
  ["@weekly", "0 0 * * 0"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@hourly", "0 * * * *"]
])

const fieldNames = ["second", "minute", "hour", "day", "month", "weekday"] as const
const fieldSays = {
  second: "0 to 59",
  minute: "0 to 59",
  hour: "0 to 23",
  day: "1 to 31",
  month: "1 to 12 or jan to dec",
  weekday: "0 to 7 (0 and 7 are Sunday) or sun to sat"
} as const

/** Characters of an expression: every value of every field once is shorter. */
const expressionLengthMax = 1_000

/** Effect's parser reads a number as `Number` does, so that `0x5`, `1e1` and nothing at all would pass. */
const item = /^(\*|(\d{1,2}|[a-z]{3})(-(\d{1,2}|[a-z]{3}))?)(\/\d{1,2})?$/
const openItem = /^(\*|[^-,]+\/)/

/** The expression of five or six fields that a macro stands for; anything else as it is, in small letters and single spaces. */
export const plainExpression = (expression: string): string => {
  const small = expression.trim().toLowerCase().replaceAll(/\s+/g, " ")
  return macros.get(small) ?? small
}

export const fieldsOf = (expression: string): Result.Result<Fields, RuleRejected> => {
  if (typeof expression !== "string" || expression.length > expressionLengthMax)
    return Result.fail(
      rejected("expression", expression, "it is no cron expression", `Give at most ${expressionLengthMax} characters`)
    )
  const plain = plainExpression(expression)
  if (plain.startsWith("@"))
    return Result.fail(
      rejected("expression", expression, "there is no such macro", `Use ${[...macros.keys()].join(" ")}`)
    )
  const given = plain.split(" ")
  if (given.length !== 5 && given.length !== 6)
    return Result.fail(
      rejected(
        "expression",
        expression,
        `it has ${plain === "" ? 0 : given.length} fields`,
        "Give five (minute hour day month weekday), or six with the second first"
      )
    )
  const texts = given.length === 5 ? ["0", ...given] : given
  for (const [index, name] of fieldNames.entries()) {
    const text = texts[index] ?? ""
    // Each field on its own, so that the rejection can name it.
    const alone = fieldNames.map((_, at) => (at === index ? text : "*")).join(" ")
    if (!text.split(",").every((part) => item.test(part)) || Result.isFailure(Cron.parse(alone)))
      return Result.fail(
        rejected(
          `expression.${name}`,
          text,
          "it is not understood",
          `Use ${fieldSays[name]}, lists (1,2), ascending ranges (1-5), steps (*/2, 1-5/2) or *`
        )
      )
  }
  return Result.mapBoth(Cron.parse(texts.join(" ")), {
    onFailure: () =>
      rejected("expression", expression, "it is not understood", "Give each field a value, list, range, step or *"),
    onSuccess: (cron): Fields => ({
      seconds: listed(cron.seconds, 60),
      minutes: listed(cron.minutes, 60),
      hours: listed(cron.hours, 24),
      months: cron.months.size === 0 ? null : cron.months,
      days: cron.days.size === 0 ? null : cron.days,
      weekdays: cron.weekdays.size === 0 ? null : cron.weekdays,
      both: [texts[3], texts[5]].some((text) => text?.startsWith("*")),
      isIntervalLike: texts.slice(0, 3).some((text) => openItem.test(text))
    })
  })
}

const listed = (values: ReadonlySet<number>, count: number): ReadonlyArray<number> =>
  values.size === 0 ? Array.from({ length: count }, (_, value) => value) : [...values].toSorted((a, b) => a - b)

/** The first local time in `[fromMs, beforeMs)` that the fields match, or null. Goes day by day, and by month over months that do not match. */
export const firstMatch = (fields: Fields, fromMs: number, beforeMs: number): number | null => {
  let dayAtMs = Math.floor(fromMs / dayMs) * dayMs
  let withinMs = Math.ceil((fromMs - dayAtMs) / secondMs) * secondMs
  while (dayAtMs < beforeMs) {
    const date = new Date(dayAtMs)
    if (fields.months !== null && !fields.months.has(date.getUTCMonth() + 1)) {
      dayAtMs = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1)
    } else {
      const timeMs = matchesDay(fields, date) ? firstTime(fields, withinMs) : null
      if (timeMs !== null) return dayAtMs + timeMs < beforeMs ? dayAtMs + timeMs : null
      dayAtMs += dayMs
    }
    withinMs = 0
  }
  return null
}

const matchesDay = ({ both, days, weekdays }: Fields, date: Date): boolean => {
  const byDay = days === null || days.has(date.getUTCDate())
  const byWeekday = weekdays === null || weekdays.has(date.getUTCDay())
  return both ? byDay && byWeekday : byDay || byWeekday
}

/** The first time of day from `withinMs` on. */
const firstTime = ({ hours, minutes, seconds }: Fields, withinMs: number): number | null => {
  const [firstMinute = 0, firstSecond = 0] = [minutes[0], seconds[0]]
  for (const hour of hours) {
    const hourAtMs = hour * hourMs
    if (hourAtMs + hourMs <= withinMs) continue
    if (hourAtMs >= withinMs) return hourAtMs + firstMinute * minuteMs + firstSecond * secondMs
    for (const minute of minutes) {
      const minuteAtMs = hourAtMs + minute * minuteMs
      if (minuteAtMs + minuteMs <= withinMs) continue
      if (minuteAtMs >= withinMs) return minuteAtMs + firstSecond * secondMs
      for (const second of seconds)
        if (minuteAtMs + second * secondMs >= withinMs) return minuteAtMs + second * secondMs
    }
  }
  return null
}
