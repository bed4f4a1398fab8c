import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { openTimes } from "../../src/core/calendar/Calendar.ts"
import { isOpen } from "../../src/core/calendar/open.ts"
import { Duetime } from "../../src/Duetime.ts"
import type { ScheduleOptions, When } from "../../src/ScheduleOptions.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import type { MemoryControl } from "../../src/store/MemoryStore.ts"
import * as Task from "../../src/Task.ts"

const Remind = Task.define("remind", { payload: { name: Schema.String } })
const client = Duetime.layer.pipe(Layer.provideMerge(MemoryStore.layer))
/** A Friday, 09:00 in Berlin and 03:00 in New York. */
const nowMs = Date.parse("2027-01-15T08:00:00Z")

const get = (id: string) => Duetime.use((duetime) => duetime.get(id))
const itAsks = <E>(name: string, test: Effect.Effect<void, E, Duetime | MemoryControl>) =>
  it.effect(name, () => Effect.andThen(TestClock.setTime(nowMs), Effect.provide(test, client)))

const bank = { zone: "Europe/Berlin", holidays: ["2027-01-18"], hours: { from: "09:00", until: "17:00" } }
const night = { zone: "America/New_York", quiet: { from: "22:00", until: "08:00" } }

describe("with a calendar a task is due", () => {
  const dues: ReadonlyArray<readonly [string, When, string]> = [
    ["now, where it is open", { calendar: bank }, "2027-01-15T08:00:00Z"],
    ["at the end of the customer's quiet hours", { calendar: night }, "2027-01-15T13:00:00Z"],
    ["at the time asked for, where that is open", { in: "1 hour", calendar: bank }, "2027-01-15T09:00:00Z"],
    ["on the next open day, after a span", { in: "9 hours", calendar: bank }, "2027-01-19T08:00:00Z"],
    ["on the next open day, at an instant", { at: "2027-01-16T12:00:00Z", calendar: bank }, "2027-01-19T08:00:00Z"],
    [
      "at 10:00 of the next business day",
      { in: { businessDays: 1, at: "10:00" }, calendar: bank },
      "2027-01-19T09:00Z"
    ],
    ["two business days later", { in: { businessDays: 2, at: "16:59" }, calendar: bank }, "2027-01-20T15:59:00Z"]
  ]
  for (const [name, options, due] of dues) {
    itAsks(
      name,
      Effect.gen(function* () {
        const { id } = yield* Remind.schedule({ name: "Ada" }, options)
        assert.strictEqual((yield* get(id)).dueAt.getTime(), Date.parse(due))
      })
    )
  }

  itAsks(
    "each by its own, where many are scheduled at once",
    Effect.gen(function* () {
      const receipts = yield* Remind.scheduleMany(
        ["Europe/Berlin", "America/New_York", "Asia/Tokyo"].map((zone) => ({
          payload: { name: zone },
          calendar: { ...night, zone }
        }))
      )
      const dues = yield* Effect.forEach(receipts, ({ id }) => Effect.map(get(id), ({ dueAt }) => dueAt.toISOString()))
      assert.deepStrictEqual(dues, ["2027-01-15T08:00:00.000Z", "2027-01-15T13:00:00.000Z", "2027-01-15T08:00:00.000Z"])
    })
  )

  itAsks(
    "where it is moved to",
    Effect.gen(function* () {
      const { id } = yield* Remind.schedule({ name: "Ada" }, { in: "1 day" })
      const when = { in: { businessDays: 1, at: "10:00" }, calendar: bank }
      const moved = yield* Duetime.use((duetime) => duetime.reschedule(id, when))
      assert.strictEqual(moved.dueAt.toISOString(), "2027-01-19T09:00:00.000Z")
    })
  )

  itAsks(
    "within open time however its kind's jitter falls, and is still spread",
    Effect.gen(function* () {
      const Spread = Task.define("spread", { payload: {}, dueJitter: { to: "1 hour" } })
      const tasks = Array.from({ length: 300 }, () => ({ payload: {}, at: "2027-01-15T15:30:00Z", calendar: bank }))
      const receipts = yield* Spread.scheduleMany(tasks)
      const open = Result.getOrThrow(openTimes(bank))
      const dues = yield* Effect.forEach(receipts, ({ id }) => Effect.map(get(id), ({ dueAt }) => dueAt.getTime()))
      assert.isTrue(dues.every((dueAtMs) => isOpen(open, dueAtMs)))
      const nextDay = dues.filter((dueAtMs) => dueAtMs > Date.parse("2027-01-16T00:00:00Z"))
      assert.isAbove(nextDay.length, 50)
      assert.isAbove(new Set(nextDay).size, 40)
    })
  )

  itAsks(
    "and its expiry counts from there",
    Effect.gen(function* () {
      const { id } = yield* Remind.schedule({ name: "Ada" }, { calendar: night, expiresIn: "1 hour" })
      const { dueAt, expiresAt } = yield* get(id)
      assert.strictEqual((expiresAt?.getTime() ?? 0) - dueAt.getTime(), 3_600_000)
      const early = Remind.schedule({ name: "Ada" }, { calendar: night, expiresAt: "2027-01-15T12:00:00Z" })
      assert.include((yield* Effect.flip(early)).message, "after the latest due time 2027-01-15T13:00:00.000Z")
    })
  )

  itAsks(
    "and its key makes it the same task wherever a calendar would put it now",
    Effect.gen(function* () {
      const options = { key: "k", in: { businessDays: 1, at: "10:00" }, calendar: bank }
      const first = yield* Remind.schedule({ name: "Ada" }, options)
      yield* TestClock.adjust("5 hours")
      const again = { ...options, calendar: { ...bank, zone: "Asia/Tokyo" } }
      assert.deepStrictEqual(yield* Remind.schedule({ name: "Ada" }, again), { id: first.id, created: false })
    })
  )
})

describe("what is refused before anything is stored", () => {
  const options: ReadonlyArray<readonly [string, unknown, string]> = [
    ["no object", { calendar: "Europe/Berlin" }, "calendar is 'Europe/Berlin'"],
    ["an unknown zone", { calendar: { zone: "Mars/Olympus" } }, 'calendar.zone is "Mars/Olympus"'],
    ["an offset", { calendar: { zone: "+01:00" } }, 'calendar.zone is "+01:00"'],
    ["30 February", { calendar: { ...bank, holidays: ["2026-02-30"] } }, 'calendar.holidays[0] is "2026-02-30"'],
    ["no open day", { calendar: { ...bank, weekdays: [] } }, "calendar.weekdays is"],
    ["business days without a calendar", { in: { businessDays: 1, at: "10:00" } }, "calendar is undefined"],
    ["no business day", { in: { businessDays: 0, at: "10:00" }, calendar: bank }, "in.businessDays is 0"],
    ["too many", { in: { businessDays: 251, at: "10:00" }, calendar: bank }, "in.businessDays is 251"],
    ["no time of day", { in: { businessDays: 1 }, calendar: bank }, 'in.at is "undefined"'],
    ["a time outside the hours", { in: { businessDays: 1, at: "20:00" }, calendar: bank }, "in.at is '20:00'"],
    ["both in and at", { in: { businessDays: 1, at: "10:00" }, at: 1, calendar: bank }, "at is 1"]
  ]
  for (const [name, given, says] of options) {
    itAsks(
      name,
      Effect.gen(function* () {
        const error = yield* Effect.flip(Remind.schedule({ name: "Ada" }, given as ScheduleOptions))
        assert.strictEqual(error._tag, "OptionsRejected")
        assert.include(error.message, says)
        assert.strictEqual((yield* Duetime.use((duetime) => duetime.find({ stage: "pending" }))).tasks.length, 0)
      })
    )
  }
})
