import { createRequire } from "node:module"
import { holidaysMax } from "../core/calendar/Calendar.ts"
import { namesOf } from "../core/unknownName.ts"
import { ConfigInvalid } from "../DuetimeError.ts"
import { rejected, throwUnknownOption } from "../optionValues.ts"
import type Library from "date-holidays"
import type { HolidaysTypes } from "date-holidays"

/**
 * Dates for a calendar, from the data of the library `date-holidays`, an optional peer that nothing else here imports. The dates
 * are a snapshot: they are stored with what uses them, and another version of the library changes nothing that is stored.
 *
 * ```ts
 * const banking: Calendar = {
 *   zone: "Europe/Berlin",
 *   holidays: [...holidays({ country: "DE", region: "BE", years: [2026, 2027] }), "2026-12-24"]
 * }
 * ```
 */
export type HolidayOptions = {
  /** ISO 3166-1, as `DE`. */
  readonly country: string
  /** ISO 3166-2 without the country, as `BE`; a part of it behind a dot, as `BY.A`. Without: what the whole country has. */
  readonly region?: string
  /** Years of the zone's calendar, 1 to 20 of them, from 1970 to 2100. */
  readonly years: ReadonlyArray<number>
  /** Default `public` and `bank`. */
  readonly types?: ReadonlyArray<HolidayType>
}
export type HolidayType = "public" | "bank" | "optional" | "school" | "observance"

export const yearsMax = 20
const [yearMin, yearMax] = [1970, 2100]
const types: ReadonlyArray<HolidayType> = ["public", "bank", "optional", "school", "observance"]
const names = namesOf<HolidayOptions>({ country: true, region: true, years: true, types: true })
/** The version that is tested here. */
const install = "npm install --save-exact date-holidays@3.37.0"
const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * Ascending, each date once. A date counts if more than half of it is a holiday, so that 24 December from 14:00 on does not.
 *
 * Throws `OptionsRejected` for a place, year or type that there is not, and `ConfigInvalid` without the library.
 */
export const holidays = (options: HolidayOptions): ReadonlyArray<string> => {
  throwUnknownOption(options, names)
  const wanted = typesOf(options.types ?? ["public", "bank"])
  const years = yearsOf(options.years)
  const found = placeOf(libraryFrom(loadLibrary), options)
  const dates = new Set<string>()
  for (const year of years)
    for (const holiday of found.getHolidays(year))
      if (wanted.includes(holiday.type)) for (const date of datesOf(holiday)) dates.add(date)
  if (dates.size > holidaysMax)
    throw rejected("years", options.years, `Give fewer: a calendar holds ${holidaysMax} dates`)
  return [...dates].toSorted()
}

type Places = typeof Library

/** @internal Apart, for a test that has the library. */
export const libraryFrom = (load: () => Places): Places => {
  try {
    return load()
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "MODULE_NOT_FOUND")) throw error
    throw new ConfigInvalid({
      name: "date-holidays",
      problem: "is not installed, and holidays of a country are read from it",
      wayOut: `Run \`${install}\`, or give the calendar a list of dates of your own`
    })
  }
}

const loadLibrary = (): Places => createRequire(import.meta.url)("date-holidays")

const placeOf = (Holidays: Places, { country, region }: HolidayOptions): Library => {
  const all = new Holidays()
  const countries = Object.keys(all.getCountries() ?? {})
  if (!countries.includes(country))
    throw rejected("country", country, `Give a code of ISO 3166-1, one of ${countries.length}, such as DE, GB or US`)
  if (region === undefined) return new Holidays(country)
  const [state = "", part] = typeof region === "string" ? region.split(".") : []
  const states = Object.keys(all.getStates(country) ?? {})
  if (!states.includes(state))
    throw rejected(
      "region",
      region,
      states.length === 0 ? `${country} has none here: leave it out` : `Give one of ${states.join(", ")}`
    )
  if (part === undefined) return new Holidays(country, state)
  const parts = Object.keys(all.getRegions(country, state) ?? {})
  if (!parts.includes(part))
    throw rejected(
      "region",
      region,
      parts.length === 0 ? `${state} has no parts here: leave it out` : `Give ${state}. and one of ${parts.join(", ")}`
    )
  return new Holidays(country, state, part)
}

const typesOf = (given: ReadonlyArray<HolidayType>): ReadonlyArray<string> => {
  if (!Array.isArray(given) || given.length === 0 || !given.every((type) => types.includes(type)))
    throw rejected("types", given, `Give some of ${types.join(", ")}`)
  return given
}

const yearsOf = (years: ReadonlyArray<number>): ReadonlyArray<number> => {
  const isYear = (year: unknown) =>
    typeof year === "number" && Number.isInteger(year) && year >= yearMin && year <= yearMax
  if (!Array.isArray(years) || years.length === 0 || years.length > yearsMax || !years.every(isYear))
    throw rejected("years", years, `Give 1 to ${yearsMax} years from ${yearMin} to ${yearMax}`)
  return years
}

/** Local, with the hours that its day begins before midnight: "2026-03-20 00:00:00 -0600" begins at 18:00 on the 19th. */
const startPattern = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?: ([-+]\d{2})\d{2})?$/

const datesOf = ({ date, end, start }: HolidaysTypes.Holiday): ReadonlyArray<string> => {
  const [, day, time, shift = "0"] = startPattern.exec(date) ?? []
  if (day === undefined) return []
  const fromMs = Date.parse(`${day}T${time}Z`) + Number(shift) * hourMs
  const untilMs = fromMs + end.getTime() - start.getTime()
  const dates: Array<string> = []
  for (let dayAtMs = Math.floor(fromMs / dayMs) * dayMs; dayAtMs < untilMs; dayAtMs += dayMs) {
    const coveredMs = Math.min(untilMs, dayAtMs + dayMs) - Math.max(fromMs, dayAtMs)
    if (coveredMs > dayMs / 2) dates.push(new Date(dayAtMs).toISOString().slice(0, 10))
  }
  return dates
}
