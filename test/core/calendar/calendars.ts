import * as fc from "fast-check"
import type { Calendar } from "../../../src/core/calendar/Calendar.ts"

export const zones = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "Africa/Cairo",
  "Asia/Kathmandu",
  "America/Santiago"
]

/** Near changes of the clocks: Berlin, Lord Howe, New York, Santiago, Cairo, and the day that Apia never had. */
const changes = [
  "2026-03-29T01:00:00Z",
  "2026-10-25T01:00:00Z",
  "2026-04-04T15:00:00Z",
  "2026-10-03T15:30:00Z",
  "2026-03-08T07:00:00Z",
  "2026-04-05T03:00:00Z",
  "2026-04-23T22:00:00Z",
  "2011-12-30T10:00:00Z"
].map((text) => Date.parse(text))

export const instants = fc.oneof(
  fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -3 * 86_400_000, max: 3 * 86_400_000 }))
    .map(([atMs, byMs]) => atMs + byMs),
  fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) })
)

const time = fc
  .integer({ min: 0, max: 95 })
  .map((quarter) => `${String(quarter >> 2).padStart(2, "0")}:${String((quarter & 3) * 15).padStart(2, "0")}`)

const window = fc.tuple(time, fc.oneof(time, fc.constant("24:00"))).filter(([from, until]) => from < until)

const hours = fc.oneof(
  window.map(([from, until]) => ({ from, until })),
  fc
    .tuple(window, window)
    .filter(([[, until], [from]]) => until <= from)
    .map((both) => both.map(([from, until]) => ({ from, until })))
)

const dates = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 364 }).map((day) => new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10)),
    fc.constantFrom("2011-12-29", "2011-12-30", "2011-12-31", "2026-03-29", "2026-10-25")
  ),
  { maxLength: 60 }
)

const weekdays = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 7 })

const quiet = fc.tuple(time, time).filter(([from, until]) => from !== until)

export const calendars: fc.Arbitrary<Calendar> = fc.oneof(
  fc.record({ zone: fc.constantFrom(...zones), weekdays, holidays: dates, hours }, { requiredKeys: ["zone"] }),
  fc.record(
    {
      zone: fc.constantFrom(...zones),
      weekdays,
      holidays: dates,
      quiet: quiet.map(([from, until]) => ({ from, until }))
    },
    { requiredKeys: ["zone", "quiet"] }
  )
)
