import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import {
  type Calendar,
  closedDaysMax,
  holidaysMax,
  openTimes,
  windowsMax
} from "../../../src/core/calendar/Calendar.ts"
import { businessDaysLaterMs, dueAtMsOf } from "../../../src/core/calendar/Due.ts"
import { isOpen, lastOpenMs, nextOpenMs, searchDaysMax } from "../../../src/core/calendar/open.ts"
import { calendars, instants } from "./calendars.ts"
import { opensBy, wallClock, weekdayOf } from "./wallClock.ts"

const read = (calendar: Calendar) => Result.getOrThrow(openTimes(calendar))
const nextOf = (calendar: Calendar, at: string) => {
  const atMs = nextOpenMs(read(calendar), Date.parse(at))
  return atMs === null ? null : new Date(atMs).toISOString()
}
const lastOf = (calendar: Calendar, at: string) => {
  const atMs = lastOpenMs(read(calendar), Date.parse(at))
  return atMs === null ? null : new Date(atMs).toISOString()
}

describe("a calendar", () => {
  it("is open from Monday to Friday all day, if nothing else is said", () => {
    const calendar = { zone: "Europe/Berlin" }
    assert.strictEqual(nextOf(calendar, "2026-07-03T21:59:59.999Z"), "2026-07-03T21:59:59.999Z")
    assert.strictEqual(nextOf(calendar, "2026-07-03T22:00:00Z"), "2026-07-05T22:00:00.000Z")
  })

  it("has quiet hours that go over midnight, every day", () => {
    const calendar = { zone: "America/New_York", quiet: { from: "22:00", until: "08:00" } }
    assert.strictEqual(nextOf(calendar, "2026-07-04T03:30:00Z"), "2026-07-04T12:00:00.000Z")
    assert.strictEqual(nextOf(calendar, "2026-07-04T11:59:59.999Z"), "2026-07-04T12:00:00.000Z")
    assert.strictEqual(nextOf(calendar, "2026-07-05T01:59:59.999Z"), "2026-07-05T01:59:59.999Z")
  })

  it("is closed on the holidays it names", () => {
    const calendar = { zone: "Europe/Berlin", holidays: ["2026-12-25"], hours: { from: "09:00", until: "17:00" } }
    assert.strictEqual(nextOf(calendar, "2026-12-24T16:00:00Z"), "2026-12-28T08:00:00.000Z")
    assert.strictEqual(lastOf(calendar, "2026-12-28T07:59:59Z"), "2026-12-24T15:59:59.999Z")
  })

  it("begins at the end of the gap where a window begins in it: Berlin on 2026-03-29", () => {
    const calendar = { zone: "Europe/Berlin", weekdays: [7], hours: { from: "02:30", until: "04:00" } }
    assert.strictEqual(nextOf(calendar, "2026-03-29T00:00:00Z"), "2026-03-29T01:00:00.000Z")
  })

  it("has no window that lies in the gap as a whole", () => {
    const calendar = { zone: "Europe/Berlin", weekdays: [7], hours: { from: "02:00", until: "03:00" } }
    assert.strictEqual(nextOf(calendar, "2026-03-28T12:00:00Z"), "2026-04-05T00:00:00.000Z")
  })

  it("is open in both passes of a time that comes twice: Berlin on 2026-10-25", () => {
    const calendar = { zone: "Europe/Berlin", weekdays: [7], hours: { from: "02:00", until: "02:30" } }
    assert.strictEqual(nextOf(calendar, "2026-10-24T22:00:00Z"), "2026-10-25T00:00:00.000Z")
    assert.strictEqual(nextOf(calendar, "2026-10-25T00:30:00Z"), "2026-10-25T01:00:00.000Z")
  })

  it("knows Lord Howe's half hour", () => {
    const calendar = { zone: "Australia/Lord_Howe", weekdays: [7], hours: { from: "02:00", until: "03:00" } }
    // 02:00 to 02:30 does not come on 2026-10-04: 15:30Z is 02:30 at once.
    assert.strictEqual(nextOf(calendar, "2026-10-03T15:00:00Z"), "2026-10-03T15:30:00.000Z")
  })

  it("does not open on the day that Apia never had", () => {
    const fridays = { zone: "Pacific/Apia", weekdays: [5], hours: { from: "09:00", until: "17:00" } }
    assert.strictEqual(nextOf(fridays, "2011-12-29T12:00:00Z"), "2012-01-05T19:00:00.000Z")
    const open = read({ zone: "Pacific/Apia", weekdays: [5] })
    const laterMs = businessDaysLaterMs(open, Date.parse("2011-12-29T12:00:00Z"), 1, 36_000_000)
    assert.strictEqual(new Date(laterMs ?? 0).toISOString(), "2012-01-05T20:00:00.000Z")
  })

  it("opens when a wall clock in its zone says so, and not a millisecond before or after", () => {
    const walkMs = 8 * 86_400_000
    fc.assert(
      fc.property(calendars, instants, (calendar, atMs) => {
        const [open, opens] = [read(calendar), opensBy(calendar)]
        assert.strictEqual(isOpen(open, atMs), opens(atMs))
        const nextMs = nextOpenMs(open, atMs)
        let walkedMs = atMs
        while (!opens(walkedMs) && walkedMs < atMs + walkMs) walkedMs = (Math.floor(walkedMs / 60_000) + 1) * 60_000
        if (walkedMs < atMs + walkMs) assert.strictEqual(nextMs, walkedMs)
        else assert.isTrue(nextMs !== null && nextMs >= walkedMs && opens(nextMs) && !opens(nextMs - 1))
        const lastMs = lastOpenMs(open, atMs)
        let backMs = atMs
        while (!opens(backMs) && backMs > atMs - walkMs) backMs = Math.floor(backMs / 60_000) * 60_000 - 1
        if (backMs > atMs - walkMs) assert.strictEqual(lastMs, backMs)
        else assert.isTrue(lastMs !== null && lastMs <= backMs && opens(lastMs) && !opens(lastMs + 1))
      }),
      { numRuns: 300 }
    )
  }, 60_000)
})

describe("a due time", () => {
  it("stays where it was, and is not lost, where a calendar cannot be read any more or opens too late", () => {
    const atMs = Date.parse("2026-07-04T12:00:00Z")
    const gone = { zone: "Europe/Atlantis" }
    assert.strictEqual(dueAtMsOf({ _tag: "At", atMs: atMs + 5, calendar: gone }, atMs), atMs + 5)
    assert.strictEqual(dueAtMsOf({ _tag: "In", inMs: 60_000, calendar: gone }, atMs), atMs + 60_000)
    const later = { _tag: "BusinessDays", days: 1, timeMs: 0, calendar: gone } as const
    assert.strictEqual(dueAtMsOf(later, atMs), atMs + 86_400_000)
    const beyondMs = Date.UTC(3000, 0, 4)
    assert.strictEqual(dueAtMsOf({ _tag: "At", atMs: beyondMs, calendar: { zone: "UTC" } }, atMs), beyondMs)
  })
})

describe("business days", () => {
  const bank = { zone: "Europe/Berlin", holidays: ["2026-12-25", "2026-12-26", "2027-01-01"] }
  const later = (calendar: Calendar, at: string, days: number, time: string) => {
    const [hour = 0, minute = 0] = time.split(":").map(Number)
    const due = { _tag: "BusinessDays", days, timeMs: (hour * 60 + minute) * 60_000, calendar } as const
    return new Date(dueAtMsOf(due, Date.parse(at))).toISOString()
  }

  it("count from the day after today in the calendar's zone, whatever the time is", () => {
    assert.strictEqual(later(bank, "2026-07-01T00:00:00Z", 1, "10:00"), "2026-07-02T08:00:00.000Z")
    // Already Thursday in Berlin.
    assert.strictEqual(later(bank, "2026-07-01T22:30:00Z", 1, "10:00"), "2026-07-03T08:00:00.000Z")
  })

  it("pass over weekends and holidays", () => {
    assert.strictEqual(later(bank, "2026-07-03T18:00:00Z", 1, "10:00"), "2026-07-06T08:00:00.000Z")
    assert.strictEqual(later(bank, "2026-12-24T18:00:00Z", 1, "10:00"), "2026-12-28T09:00:00.000Z")
    assert.strictEqual(later(bank, "2026-12-24T18:00:00Z", 5, "10:00"), "2027-01-04T09:00:00.000Z")
  })

  it("take the end of the gap for a time that does not come, and the first of two", () => {
    const everyDay = { ...bank, weekdays: [1, 2, 3, 4, 5, 6, 7] }
    assert.strictEqual(later(everyDay, "2026-03-28T12:00:00Z", 1, "02:30"), "2026-03-29T01:00:00.000Z")
    assert.strictEqual(later(everyDay, "2026-10-24T12:00:00Z", 1, "02:30"), "2026-10-25T00:30:00.000Z")
  })

  it("are as many as a person counts who turns the leaves of a wall calendar", () =>
    fc.assert(
      fc.property(calendars, instants, fc.integer({ min: 1, max: 10 }), (calendar, atMs, days) => {
        const { hours: _hours, quiet: _quiet, ...byDay } = calendar
        const clock = wallClock(calendar.zone)
        const weekdays = calendar.weekdays ?? [1, 2, 3, 4, 5]
        const laterMs = businessDaysLaterMs(read(byDay), atMs, days, 720 * 60_000)
        const seen: Array<string> = []
        const today = clock(atMs).date
        for (let walkMs = atMs; seen.length < days; walkMs += 3_600_000) {
          const { date } = clock(walkMs)
          if (date <= today || seen.at(-1) === date) continue
          if (weekdays.includes(weekdayOf(date)) && !(calendar.holidays ?? []).includes(date)) seen.push(date)
        }
        assert.deepStrictEqual(clock(laterMs ?? 0), { date: seen.at(-1) ?? "", time: "12:00" })
      }),
      { numRuns: 100 }
    ))
})

describe("a calendar that makes no sense is rejected with field, value and way out:", () => {
  const day = (index: number) => new Date(Date.UTC(2026, 0, 1 + index)).toISOString().slice(0, 10)
  const closedFor = (days: number) => Array.from({ length: days }, (_, index) => day(index))
  const cases: ReadonlyArray<readonly [string, unknown, string]> = [
    ["an unknown zone", { zone: "Europe/Atlantis" }, "calendar.zone"],
    ["an offset", { zone: "+02:00" }, "calendar.zone"],
    ["no zone", {}, "calendar.zone"],
    ["30 February", { zone: "UTC", holidays: ["2026-01-01", "2026-02-30"] }, "calendar.holidays[1]"],
    ["a date as people write it", { zone: "UTC", holidays: ["25.12.2026"] }, "calendar.holidays[0]"],
    ["a Date", { zone: "UTC", holidays: [new Date(0)] }, "calendar.holidays[0]"],
    ["too many holidays", { zone: "UTC", holidays: closedFor(holidaysMax + 1) }, "calendar.holidays"],
    ["no open weekday", { zone: "UTC", weekdays: [] }, "calendar.weekdays"],
    ["an eighth day", { zone: "UTC", weekdays: [8] }, "calendar.weekdays"],
    ["a year of holidays", { zone: "UTC", weekdays: [1], holidays: closedFor(closedDaysMax) }, "calendar.holidays"],
    ["an empty window", { zone: "UTC", hours: { from: "09:00", until: "09:00" } }, "calendar.hours"],
    ["hours over midnight", { zone: "UTC", hours: { from: "22:00", until: "06:00" } }, "calendar.hours"],
    ["no window", { zone: "UTC", hours: [] }, "calendar.hours"],
    ["25 o'clock", { zone: "UTC", hours: { from: "25:00", until: "26:00" } }, "calendar.hours.from"],
    ["a number for a time", { zone: "UTC", hours: { from: "09:00", until: 17 } }, "calendar.hours.until"],
    [
      "windows that overlap",
      {
        zone: "UTC",
        hours: [
          { from: "09:00", until: "12:00" },
          { from: "11:00", until: "17:00" }
        ]
      },
      "calendar.hours[1]"
    ],
    [
      "too many windows",
      { zone: "UTC", hours: Array.from({ length: windowsMax + 1 }, () => ({ from: "09:00", until: "12:00" })) },
      "calendar.hours"
    ],
    ["quiet hours that are all day", { zone: "UTC", quiet: { from: "00:00", until: "24:00" } }, "calendar.quiet"],
    ["quiet hours that are none", { zone: "UTC", quiet: { from: "08:00", until: "08:00" } }, "calendar.quiet"],
    [
      "hours and quiet hours",
      { zone: "UTC", quiet: { from: "22:00", until: "08:00" }, hours: { from: "09:00", until: "12:00" } },
      "calendar.quiet"
    ]
  ]
  for (const [name, calendar, field] of cases) {
    it(name, () => {
      const rejected = Result.getOrThrow(Result.flip(openTimes(calendar as Calendar)))
      assert.strictEqual(rejected.field, field)
      assert.isAbove(rejected.wayOut.length, 0)
    })
  }

  it("but a day less than a year of holidays is a calendar, and what is open after it is found", () => {
    const calendar = { zone: "UTC", weekdays: [1, 2, 3, 4, 5, 6, 7], holidays: closedFor(closedDaysMax - 1) }
    assert.strictEqual(nextOf(calendar, "2026-01-01T00:00:00Z"), `${day(closedDaysMax - 1)}T00:00:00.000Z`)
    assert.isBelow(closedDaysMax, searchDaysMax)
  })
})
