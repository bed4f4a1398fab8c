import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import type { Calendar } from "../../../src/core/calendar/Calendar.ts"
import type { Closed } from "../../../src/core/recurrence/openInstants.ts"
import { compile, type Rule } from "../../../src/core/recurrence/Rule.ts"
import { calendars, instants, zones } from "./calendars.ts"
import { opensBy, wallClock, weekdayOf } from "./wallClock.ts"

const cron = (expression: string, zone = "Europe/Berlin"): Rule => ({
  _tag: "Cron",
  expression,
  zone,
  gap: "shift",
  fold: "first"
})
const every = (everyMs: number, anchorMs = 0): Rule => ({ _tag: "Interval", everyMs, anchorMs })
const hourMs = 3_600_000
const minuteMs = 60_000
const dayMs = 86_400_000

const firesOf = (rule: Rule, calendar: Calendar, closed: Closed, from: string, count: number) => {
  const { next } = Result.getOrThrow(compile({ ...rule, open: { calendar, closed } }))
  const fires: Array<string> = []
  for (let atMs = next(Date.parse(from) - 1); atMs !== null && fires.length < count; atMs = next(atMs))
    fires.push(new Date(atMs).toISOString().slice(0, 16))
  return fires
}

const bank: Calendar = { zone: "Europe/Berlin", holidays: ["2026-05-01", "2026-12-25"] }
const office: Calendar = { ...bank, hours: { from: "09:00", until: "17:00" } }

describe("an instant on closed time", () => {
  it("is left out under skip", () => {
    const fires = firesOf(cron("0 10 1 * *"), bank, "skip", "2026-04-02T00:00:00Z", 3)
    assert.deepStrictEqual(fires, ["2026-06-01T08:00", "2026-07-01T08:00", "2026-09-01T08:00"])
  })

  it("keeps its time of day on the next open day under next", () => {
    const fires = firesOf(cron("0 10 1 * *"), bank, "next", "2026-04-02T00:00:00Z", 4)
    assert.deepStrictEqual(fires, ["2026-05-04T08:00", "2026-06-01T08:00", "2026-07-01T08:00", "2026-08-03T08:00"])
  })

  it("keeps its time of day on the previous open day under previous", () => {
    const fires = firesOf(cron("0 10 1 * *"), bank, "previous", "2026-04-02T00:00:00Z", 4)
    assert.deepStrictEqual(fires, ["2026-04-30T08:00", "2026-06-01T08:00", "2026-07-01T08:00", "2026-07-31T08:00"])
  })

  it("moves to the last second before the closing though an open instant lies within that second", () => {
    const daily: Calendar = { zone: "UTC", weekdays: [1, 2, 3, 4, 5, 6, 7], hours: { from: "09:00", until: "17:00" } }
    const { next } = Result.getOrThrow(compile({ ...every(1_500, 999), open: { calendar: daily, closed: "previous" } }))
    const fires: Array<string> = []
    for (let atMs = next(Date.parse("2026-07-02T16:59:57Z")); fires.length < 4 && atMs !== null; atMs = next(atMs))
      fires.push(new Date(atMs).toISOString().slice(11, 23))
    assert.deepStrictEqual(fires, ["16:59:57.999", "16:59:59.000", "16:59:59.499", "09:00:00.999"])
  })

  it("outside the hours of an open day moves to the next opening, or to the last second before the closing", () => {
    const evening = cron("0 20 * * 1-5")
    assert.deepStrictEqual(firesOf(evening, office, "next", "2026-07-02T00:00:00Z", 2), [
      "2026-07-02T07:00",
      "2026-07-03T07:00"
    ])
    const { next } = Result.getOrThrow(compile({ ...evening, open: { calendar: office, closed: "previous" } }))
    assert.strictEqual(
      new Date(next(Date.parse("2026-07-02T00:00:00Z")) ?? 0).toISOString(),
      "2026-07-02T14:59:59.000Z"
    )
  })

  it("is one with what it is moved onto", () => {
    assert.deepStrictEqual(firesOf(cron("0 10 * * *"), bank, "next", "2026-07-03T00:00:00Z", 3), [
      "2026-07-03T08:00",
      "2026-07-06T08:00",
      "2026-07-07T08:00"
    ])
    assert.deepStrictEqual(firesOf(cron("0 10 * * *"), bank, "previous", "2026-07-03T00:00:00Z", 2), [
      "2026-07-03T08:00",
      "2026-07-06T08:00"
    ])
  })

  describe("that moves onto the Sunday of a change of the clocks", () => {
    const sundays: Calendar = { zone: "Europe/Berlin", weekdays: [7] }
    const nextOf = (expression: string, after: string) => {
      const { next } = Result.getOrThrow(compile({ ...cron(expression), open: { calendar: sundays, closed: "next" } }))
      return new Date(next(Date.parse(after)) ?? 0).toISOString()
    }

    it("is at the end of the gap where its time does not come, asked from whenever", () => {
      const moved = "2026-03-29T01:00:00.000Z"
      for (const after of ["2026-03-27T00:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T00:59:59.999Z"])
        assert.strictEqual(nextOf("30 2 * * 6", after), moved)
      assert.strictEqual(nextOf("30 2 * * 6", moved), "2026-04-05T00:30:00.000Z")
    })

    it("is in the first pass of a time that comes twice, and those behind it are not lost in the second", () => {
      const times = "30 2,3 * * 6"
      assert.strictEqual(nextOf(times, "2026-10-25T00:00:00Z"), "2026-10-25T00:30:00.000Z")
      // 02:15 of the second pass: 02:30 has been.
      for (const after of ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z"])
        assert.strictEqual(nextOf(times, after), "2026-10-25T02:30:00.000Z")
    })
  })

  it("leaves an interval to business hours under skip", () => {
    assert.deepStrictEqual(firesOf(every(4 * hourMs), office, "skip", "2026-07-03T00:00:00Z", 4), [
      "2026-07-03T08:00",
      "2026-07-03T12:00",
      "2026-07-06T08:00",
      "2026-07-06T12:00"
    ])
  })

  it("costs about as much for a rule of every second as for any other", () => {
    const { next } = Result.getOrThrow(compile({ ...every(1_000), open: { calendar: office, closed: "next" } }))
    const startMs = performance.now()
    for (let count = 0; count < 1_000; count++) next(Date.parse("2026-07-04T12:00:00Z") + count * 977)
    assert.isBelow(performance.now() - startMs, 1_000)
  })
})

describe("a rule with a calendar", () => {
  it("that is closed at each of its instants is rejected when it is made", () => {
    const night = { ...cron("0 3 * * *"), open: { calendar: office, closed: "skip" } } as const
    const rejected = Result.getOrThrow(Result.flip(compile(night)))
    assert.strictEqual(rejected.field, "calendar")
    assert.isTrue(Result.isSuccess(compile({ ...night, open: { calendar: office, closed: "next" } })))
  })

  it("takes no other word for what becomes of closed instants", () => {
    const open = { calendar: bank, closed: "shift" as Closed }
    assert.strictEqual(Result.getOrThrow(Result.flip(compile({ ...cron("0 3 * * *"), open }))).field, "closed")
  })

  const rules = fc.tuple(
    fc.constantFrom("30 2 * * *", "0 10 1,15 * *", "15 0,23 * * *", "45 */9 * * *", "0 12 * * 1,6", "30 1 * * 7"),
    fc.constantFrom(...zones),
    fc.constantFrom<Rule>(every(7 * hourMs), every(13 * hourMs + 17_001), every(36 * hourMs, 1_234)),
    fc.boolean()
  )
  const rule = rules.map(([expression, zone, interval, isCron]) => (isCron ? cron(expression, zone) : interval))

  it(
    "fires where a person with a wall clock, a wall calendar and the plain rule's instants would move them to",
    () =>
      fc.assert(
        fc.property(
          rule,
          calendars,
          fc.constantFrom<Closed>("skip", "next", "previous"),
          instants,
          fc.array(fc.integer({ min: 0, max: 6 * dayMs }), { minLength: 20, maxLength: 20 }),
          (plain, calendar, closed, atMs, offsetsMs) => {
            const compiled = compile({ ...plain, open: { calendar, closed } })
            // A rule that never fires is told when it is made.
            if (Result.isFailure(compiled)) return
            const { next } = compiled.success
            const [fromMs, untilMs] = [atMs, atMs + 6 * dayMs]
            const expected = byHand(plain, calendar, closed, fromMs, untilMs)
            if (expected === null) return
            const found: Array<number> = []
            for (let fireMs = next(fromMs); fireMs !== null && fireMs <= untilMs; fireMs = next(fireMs))
              found.push(fireMs)
            const shown = (all: ReadonlyArray<number>) => all.map((fireMs) => new Date(fireMs).toISOString())
            assert.deepStrictEqual(shown(found), shown(expected))
            for (const offsetMs of offsetsMs) {
              const first = expected.find((fireMs) => fireMs > fromMs + offsetMs)
              const asked = next(fromMs + offsetMs)
              if (first === undefined) assert.isTrue(asked === null || asked > untilMs)
              else assert.strictEqual(asked, first)
            }
          }
        ),
        { numRuns: 150 }
      ),
    120_000
  )
})

const marginMs = 25 * dayMs

/** Every instant of the plain rule around `(fromMs, untilMs]`, moved one by one; null if something is closed for too long to tell. */
const byHand = (
  plain: Rule,
  calendar: Calendar,
  closed: Closed,
  fromMs: number,
  untilMs: number
): ReadonlyArray<number> | null => {
  const { next } = Result.getOrThrow(compile(plain))
  const [opens, clock] = [opensBy(calendar), wallClock(calendar.zone)]
  const weekdays = calendar.weekdays ?? (calendar.quiet === undefined ? [1, 2, 3, 4, 5] : [1, 2, 3, 4, 5, 6, 7])
  const moved = new Set<number>()
  for (let atMs = next(fromMs - marginMs); atMs !== null && atMs <= untilMs + marginMs; atMs = next(atMs)) {
    if (opens(atMs)) moved.add(atMs)
    if (opens(atMs) || closed === "skip") continue
    const step = closed === "next" ? 1 : -1
    const shown = clock(atMs)
    let date = shown.date
    const isDay = () =>
      weekdays.includes(weekdayOf(date)) &&
      !(calendar.holidays ?? []).includes(date) &&
      instantShowing(clock, date) !== null
    for (let count = 0; !isDay(); count++) {
      if (count === 40) return null
      date = new Date(Date.parse(`${date}T12:00:00Z`) + step * dayMs).toISOString().slice(0, 10)
    }
    let movedMs = date === shown.date ? atMs : atTime(clock, date, shown.time, atMs % minuteMs)
    if (!opens(movedMs)) {
      let walked = 0
      while (!opens(movedMs)) {
        if (walked++ === 40 * 1_440) return null
        movedMs =
          step === 1 ? (Math.floor(movedMs / minuteMs) + 1) * minuteMs : Math.floor(movedMs / minuteMs) * minuteMs - 1
      }
      if (step === -1) movedMs = movedMs + 1 - 1_000
    }
    moved.add(movedMs)
  }
  return [...moved].filter((atMs) => atMs > fromMs && atMs <= untilMs).toSorted((a, b) => a - b)
}

const instantShowing = (clock: ReturnType<typeof wallClock>, date: string): number | null => {
  for (
    let atMs = Date.parse(`${date}T00:00:00Z`) - 15 * hourMs;
    atMs < Date.parse(`${date}T00:00:00Z`) + 37 * hourMs;
    atMs += hourMs
  )
    if (clock(atMs).date === date) return atMs
  return null
}

/** The first instant at which the wall clock shows this time or, where it leaves it out, a later one. */
const atTime = (clock: ReturnType<typeof wallClock>, date: string, time: string, restMs: number): number => {
  const utcMs = Date.parse(`${date}T${time}:00Z`)
  for (let offsetMs = 15 * hourMs; offsetMs >= -13 * hourMs; offsetMs -= 15 * minuteMs) {
    const shown = clock(utcMs - offsetMs)
    if (shown.date === date && shown.time === time) return utcMs - offsetMs + restMs
  }
  for (let atMs = utcMs - 15 * hourMs; ; atMs += minuteMs) {
    const shown = clock(atMs)
    if (`${shown.date} ${shown.time}` > `${date} ${time}`) return atMs
  }
}
