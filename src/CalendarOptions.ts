import { type Duration, Predicate, Result } from "effect"
import { type Calendar, timeMsOf } from "./core/calendar/Calendar.ts"
import { businessDaysMax, type Due } from "./core/calendar/Due.ts"
import { openTimesOf, readCalendar } from "./core/calendar/openTimesOf.ts"
import { namesOf } from "./core/unknownName.ts"
import { asOption, durationMsOf, type InstantInput, instantMsOf, rejected, unknownOption } from "./optionValues.ts"
import type { OptionsRejected } from "./DuetimeError.ts"

/** `{ businessDays: 1, at: "10:00" }`: 10:00 on the next open day after today, in the zone of the calendar beside it. */
export type BusinessDays = {
  /** Open days after today, 1 to 250. */
  readonly businessDays: number
  /** Local time of that day, within the calendar's open hours. */
  readonly at: string
}

const businessDaysNames = namesOf<BusinessDays>({ businessDays: true, at: true })
const calendarNames = namesOf<Calendar>({ zone: true, weekdays: true, holidays: true, hours: true, quiet: true })

type Checked<A> = Result.Result<A, OptionsRejected>

/** The calendar alone, for it is stored: without fields that are undefined. */
export const calendarOf = (input: Calendar): Checked<Calendar> => {
  if (!Predicate.isObject(input))
    return Result.fail(rejected("calendar", input, 'Give an object with a zone, such as { zone: "Europe/Berlin" }'))
  const unknown = unknownOption(input, calendarNames, "calendar")
  if (unknown !== null) return Result.fail(unknown)
  const { holidays, hours, quiet, weekdays, zone } = input
  const calendar: Calendar = {
    zone,
    ...(weekdays === undefined ? {} : { weekdays }),
    ...(holidays === undefined ? {} : { holidays }),
    ...(hours === undefined ? {} : { hours }),
    ...(quiet === undefined ? {} : { quiet })
  }
  return Result.mapError(readCalendar(calendar), asOption)
}

export const isBusinessDays = (input: unknown): input is BusinessDays =>
  typeof input === "object" && input !== null && "businessDays" in input

/** A due time that a calendar has a say in; now, if neither `in` nor `at` is given. */
export const dueByCalendar = (
  when: {
    readonly in?: Duration.Input | BusinessDays | undefined
    readonly at?: InstantInput | undefined
    readonly calendar?: Calendar | undefined
  },
  inLimits: { readonly minMs: number; readonly maxMs: number },
  inField = "in"
): Checked<Due> =>
  Result.gen(function* () {
    const calendar = when.calendar === undefined ? null : yield* calendarOf(when.calendar)
    if (when.at !== undefined) return { _tag: "At", atMs: yield* instantMsOf("at", when.at), calendar }
    if (!isBusinessDays(when.in))
      return { _tag: "In", inMs: yield* durationMsOf(inField, when.in ?? 0, inLimits), calendar }
    if (calendar === null)
      return yield* Result.fail(
        rejected("calendar", when.calendar, `Give the calendar whose open days \`${inField}\` counts`)
      )
    const unknown = unknownOption(when.in, businessDaysNames, inField)
    if (unknown !== null) return yield* Result.fail(unknown)
    const { at, businessDays: days } = when.in
    if (!Number.isInteger(days) || days < 1 || days > businessDaysMax)
      return yield* Result.fail(
        rejected(`${inField}.businessDays`, days, `Give a whole number from 1 to ${businessDaysMax}`)
      )
    const timeMs = yield* Result.mapError(timeMsOf(`${inField}.at`, at), asOption)
    const { windows } = yield* Result.mapError(openTimesOf(calendar), asOption)
    if (!windows.some(({ fromMs, untilMs }) => fromMs <= timeMs && timeMs < untilMs))
      return yield* Result.fail(
        rejected(`${inField}.at`, at, "The calendar is closed then on every day: give a time within its open hours")
      )
    return { _tag: "BusinessDays", days, timeMs, calendar }
  })
