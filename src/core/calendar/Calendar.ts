import { Result } from "effect"
import { dayMs, minuteMs } from "../recurrence/bounds.ts"
import { rejected, type RuleRejected } from "../recurrence/RuleRejected.ts"
import { isOffset, zoneOf } from "../recurrence/Zone.ts"

/**
 * When a zone is open: on which days, and at which times of these days. Plain JSON, because it is stored with rules and
 * policies, and read by engines, clients and people. It knows nothing of a country: holidays are a list of dates.
 */
export type Calendar = {
  /** A name of the IANA time zone database, as `Europe/Berlin`. */
  readonly zone: string
  /** Open days, 1 (Monday) to 7 (Sunday). Default Monday to Friday; every day where `quiet` is given. */
  readonly weekdays?: ReadonlyArray<number>
  /** Closed dates of the zone, as `2026-12-25`, at most 1,000. Days that no list names are open by their weekday. */
  readonly holidays?: ReadonlyArray<string>
  /** When open days are open; default all day. At most 10, in order and apart. */
  readonly hours?: Hours | ReadonlyArray<Hours>
  /** When open days are closed; may go over midnight. Instead of `hours`. */
  readonly quiet?: Hours
}

/** Local times of day, `until` not included: `{ from: "09:00", until: "17:30" }`. A day ends at `24:00`. */
export type Hours = { readonly from: string; readonly until: string }

/** A calendar that has been checked. */
export type OpenTimes = {
  readonly zone: string
  /** Of a local day, counted from 1970-01-01. */
  readonly isOpenDay: (day: number) => boolean
  /** Within an open day, ascending and apart, never empty. */
  readonly windows: ReadonlyArray<Window>
}
export type Window = { readonly fromMs: number; readonly untilMs: number }

export const holidaysMax = 1_000
export const windowsMax = 10
/** Days without an open one that a calendar may have in a row: what is closed for longer is no calendar but an end. */
export const closedDaysMax = 366

const workdays = [1, 2, 3, 4, 5]
const everyDay = [1, 2, 3, 4, 5, 6, 7]

export const openTimes = (calendar: Calendar): Result.Result<OpenTimes, RuleRejected> =>
  Result.gen(function* () {
    const { hours, quiet, zone } = calendar
    if (isOffset(zone))
      return yield* Result.fail(
        rejected(
          "calendar.zone",
          zone,
          "it is an offset, which knows no changes of the clocks",
          "Give a name of the IANA database, as Europe/Berlin"
        )
      )
    if (typeof zone !== "string" || zoneOf(zone) === null)
      return yield* Result.fail(
        rejected(
          "calendar.zone",
          zone,
          "it is not known here",
          "Give a name of the IANA database, as Europe/Berlin or UTC"
        )
      )
    const weekdays = yield* weekdaysOf(calendar)
    const holidays = yield* holidaysOf(calendar.holidays ?? [])
    if (hours !== undefined && quiet !== undefined)
      return yield* Result.fail(
        rejected("calendar.quiet", JSON.stringify(quiet), "there are `hours` too", "Give one of the two")
      )
    const windows = quiet === undefined ? yield* windowsOf(hours) : yield* windowsOutside(quiet)
    const isOpenDay = (day: number) => weekdays.has(weekdayOf(day)) && !holidays.has(day)
    yield* opensAgain(isOpenDay, holidays)
    return { zone, isOpenDay, windows }
  })

/** 1970-01-01 was a Thursday. */
const weekdayOf = (day: number): number => ((((day + 3) % 7) + 7) % 7) + 1

const weekdaysOf = ({ quiet, weekdays }: Calendar): Result.Result<ReadonlySet<number>, RuleRejected> => {
  const given: unknown = weekdays ?? (quiet === undefined ? workdays : everyDay)
  if (!Array.isArray(given) || given.length > 7 || !given.every((weekday) => everyDay.includes(weekday)))
    return Result.fail(
      rejected(
        "calendar.weekdays",
        JSON.stringify(weekdays),
        "these are no days of the week",
        "Give numbers from 1 (Monday) to 7 (Sunday)"
      )
    )
  return given.length === 0
    ? Result.fail(rejected("calendar.weekdays", "[]", "no day is ever open", "Give at least one, or leave it out"))
    : Result.succeed(new Set(given))
}

const datePattern = /^(19|2\d)\d\d-\d\d-\d\d$/

const holidaysOf = (dates: ReadonlyArray<string>): Result.Result<ReadonlySet<number>, RuleRejected> => {
  if (!Array.isArray(dates) || dates.length > holidaysMax)
    return Result.fail(
      rejected(
        "calendar.holidays",
        Array.isArray(dates) ? `${dates.length} dates` : dates,
        "it is no list that can be kept",
        `Give at most ${holidaysMax} dates; those that have passed are needed no more`
      )
    )
  const days = new Set<number>()
  for (const [index, date] of dates.entries()) {
    const atMs = typeof date === "string" && datePattern.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN
    // Date.parse reads 2026-02-30 as 2 March.
    if (Number.isNaN(atMs) || new Date(atMs).toISOString().slice(0, 10) !== date)
      return Result.fail(
        rejected(
          `calendar.holidays[${index}]`,
          date,
          "there is no such date",
          'Give dates of the years 1900 to 2999, as "2026-12-25"'
        )
      )
    days.add(atMs / dayMs)
  }
  return Result.succeed(days)
}

/** Weekdays alone open every week, so only what holidays begin can be closed for long. */
const opensAgain = (
  isOpenDay: (day: number) => boolean,
  holidays: ReadonlySet<number>
): Result.Result<void, RuleRejected> => {
  let knownUntil = Number.NEGATIVE_INFINITY
  for (const day of [...holidays].toSorted((a, b) => a - b)) {
    if (day <= knownUntil) continue
    let last = day
    while (!isOpenDay(last + 1) && last - day <= closedDaysMax) last++
    if (last - day >= closedDaysMax)
      return Result.fail(
        rejected(
          "calendar.holidays",
          `${holidays.size} dates`,
          `no day is open within ${closedDaysMax} days from ${dateOf(day)} on`,
          "Leave out dates, or open more days of the week"
        )
      )
    knownUntil = last
  }
  return Result.void
}

export const dateOf = (day: number): string => new Date(day * dayMs).toISOString().slice(0, 10)

const allDay: ReadonlyArray<Window> = [{ fromMs: 0, untilMs: dayMs }]

const isList = (hours: Hours | ReadonlyArray<Hours>): hours is ReadonlyArray<Hours> => Array.isArray(hours)

const windowsOf = (hours: Calendar["hours"]): Result.Result<ReadonlyArray<Window>, RuleRejected> =>
  Result.gen(function* () {
    if (hours === undefined) return allDay
    const given = isList(hours) ? hours : [hours]
    if (given.length === 0 || given.length > windowsMax)
      return yield* Result.fail(
        rejected("calendar.hours", JSON.stringify(hours), "no time is open", `Give 1 to ${windowsMax} windows`)
      )
    const windows: Array<Window> = []
    for (const [index, one] of given.entries()) {
      const field = given.length === 1 ? "calendar.hours" : `calendar.hours[${index}]`
      const window = yield* windowOf(field, one)
      const { fromMs, untilMs } = window
      if (fromMs >= untilMs)
        return yield* Result.fail(
          rejected(
            field,
            JSON.stringify(one),
            "it is empty",
            'Give `from` before `until`; over midnight, give two: until "24:00" and from "00:00"'
          )
        )
      if (fromMs < (windows.at(-1)?.untilMs ?? 0))
        return yield* Result.fail(
          rejected(field, JSON.stringify(one), "it begins before the one in front has ended", "Give them in order")
        )
      windows.push(window)
    }
    return windows
  })

/** What quiet hours leave of a day. */
const windowsOutside = (quiet: Hours): Result.Result<ReadonlyArray<Window>, RuleRejected> =>
  Result.flatMap(windowOf("calendar.quiet", quiet), ({ fromMs, untilMs }) => {
    const open =
      fromMs < untilMs
        ? [
            { fromMs: 0, untilMs: fromMs },
            { fromMs: untilMs, untilMs: dayMs }
          ]
        : [{ fromMs: untilMs, untilMs: fromMs }]
    const windows = open.filter((window) => window.fromMs < window.untilMs)
    return windows.length === 0 || fromMs === untilMs
      ? Result.fail(
          rejected("calendar.quiet", JSON.stringify(quiet), "it leaves no time open", "Give two times that differ")
        )
      : Result.succeed(windows)
  })

const windowOf = (field: string, hours: Hours): Result.Result<Window, RuleRejected> =>
  Result.gen(function* () {
    return {
      fromMs: yield* timeMsOf(`${field}.from`, hours?.from),
      untilMs: hours?.until === "24:00" ? dayMs : yield* timeMsOf(`${field}.until`, hours?.until)
    }
  })

const timePattern = /^([01]\d|2[0-3]):([0-5]\d)$/

/** A local time of day, in ms since midnight. */
export const timeMsOf = (field: string, text: string): Result.Result<number, RuleRejected> => {
  const [, hour, minute] = (typeof text === "string" && timePattern.exec(text)) || []
  return hour === undefined
    ? Result.fail(rejected(field, text, "it is no time of day", 'Give hours and minutes, as "09:00"'))
    : Result.succeed((Number(hour) * 60 + Number(minute)) * minuteMs)
}

export const timeOf = (timeMs: number): string =>
  `${String(Math.floor(timeMs / minuteMs / 60)).padStart(2, "0")}:${String((timeMs / minuteMs) % 60).padStart(2, "0")}`
