import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Duetime, layerMemory, Recurrences, type RecurrenceOptions, Task } from "../../src/index.ts"
import { connect } from "../../src/promise/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const Report = Task.define("report", { payload: { customer: Schema.String }, priority: "high" })
const payload = { customer: "ada" }
const hourly = { every: "1 hour", payload } as const

const customers: Array<string> = []
const handled = Report.handle(({ customer }) => Effect.sync(() => void customers.push(customer)))
const withTest = <A, E>(program: Effect.Effect<A, E, Recurrences | Duetime | TestDuetime>) =>
  Effect.provide(program, TestDuetime.layer(handled))

describe("a recurrence", () => {
  it.effect("runs the kind's handler with its payload at each of its instants, in its zone", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const view = yield* recurrences.create(Report, "mornings", {
        cron: "0 9-11 * * *",
        zone: "Europe/Berlin",
        payload
      })
      assert.deepInclude(view, { name: "mornings", kind: "report", revision: 1, pausedAt: null })
      assert.deepStrictEqual(view.nextAt, new Date("1970-01-01T08:00:00Z"))
      yield* TestDuetime.pass("11 hours")
      assert.deepStrictEqual(customers.splice(0), ["ada", "ada", "ada"])
      const lines = yield* recurrences.ledger("mornings", 3)
      assert.deepStrictEqual(
        lines.map(({ fate, nominalAt }) => [nominalAt.toISOString(), fate]),
        [10, 9, 8].map((hour) => [`1970-01-01T${String(hour).padStart(2, "0")}:00:00.000Z`, "fired"])
      )
    }).pipe(withTest)
  )

  it.effect(
    "that a program declares is made once, changed by a new declaration, and not changed back by the old one",
    () =>
      Effect.gen(function* () {
        const recurrences = yield* Recurrences
        const declared = (options: RecurrenceOptions<{ readonly customer: string }>) =>
          Effect.andThen(Layer.build(Report.recur("declared", options)), recurrences.get("declared"))
        assert.strictEqual((yield* declared(hourly)).revision, 1)
        assert.strictEqual((yield* declared(hourly)).revision, 1)
        assert.strictEqual((yield* declared({ ...hourly, every: "2 hours" })).revision, 2)
        const again = yield* declared(hourly)
        assert.strictEqual(again.revision, 2)
        assert.deepInclude(again.rule, { everyMs: 7_200_000 })
        assert.strictEqual((yield* declared({ ...hourly, edition: 2 })).revision, 3)
        yield* recurrences.edit(Report, "declared", { ...hourly, every: "3 hours" })
        assert.deepInclude((yield* declared({ ...hourly, edition: 2 })).rule, { everyMs: 10_800_000 })
      }).pipe(Effect.scoped, withTest)
  )

  it.effect("has its tasks followed, those that run now included, until an edit without it", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const duetime = yield* Duetime
      const onSuccess = Report.follow({ customer: "bob" }, { in: "1 minute" })
      const options = { ...hourly, onSuccess }
      const view = yield* recurrences.create(Report, "followed", options)
      assert.deepInclude(view.onSuccess, { kind: "report", inMs: 60_000, payload: { customer: "bob" } })
      assert.deepStrictEqual(yield* recurrences.create(Report, "followed", options), view)
      yield* TestDuetime.pass("61 minutes")
      const { id } = yield* recurrences.runNow("followed")
      yield* TestDuetime.pass("1 minute")
      assert.deepStrictEqual(customers.splice(0), ["ada", "bob", "ada", "bob"])
      assert.strictEqual((yield* duetime.get(id)).followedBy.length, 1)
      assert.isNull((yield* recurrences.edit(Report, "followed", hourly)).onSuccess)
      const tooMany = { ...hourly, onDead: Report.follow(payload, { in: "367 days" }) }
      const refused = yield* Effect.flip(recurrences.edit(Report, "followed", tooMany))
      assert.strictEqual(refused._tag === "OptionsRejected" ? refused.field : refused._tag, "onDead.in")
    }).pipe(withTest)
  )

  it.effect("with the name of another one is refused, and with its own definition is the one that is there", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const first = yield* recurrences.create(Report, "taken", hourly)
      assert.deepStrictEqual(yield* recurrences.create(Report, "taken", hourly), first)
      const refused = yield* Effect.flip(recurrences.create(Report, "taken", { ...hourly, every: "2 hours" }))
      assert.strictEqual(refused._tag, "RecurrenceExists")
    }).pipe(withTest)
  )

  it.effect("can be paused, resumed, run now, and deleted", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      yield* recurrences.create(Report, "steered", hourly)
      const paused = yield* recurrences.pause("steered")
      assert.isNotNull(paused.pausedAt)
      yield* TestDuetime.pass("3 hours")
      assert.deepStrictEqual(customers.splice(0), [])
      const { id } = yield* recurrences.runNow("steered")
      yield* TestDuetime.untilEnded(id)
      assert.deepStrictEqual(customers.splice(0), ["ada"])
      assert.deepInclude(yield* (yield* Duetime).get(id), { kind: "report", priority: "high" })
      yield* recurrences.resume("steered")
      yield* TestDuetime.pass("1 hour")
      assert.deepStrictEqual(customers.splice(0), ["ada"])
      yield* recurrences.delete("steered")
      yield* TestDuetime.pass("2 hours")
      assert.deepStrictEqual(customers.splice(0), [])
      assert.strictEqual((yield* Effect.flip(recurrences.get("steered")))._tag, "RecurrenceNotFound")
    }).pipe(withTest)
  )

  it.effect("tells its next instants, and what an outage would do to them", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const daily = { cron: "30 2 * * *", zone: "Europe/Berlin", gap: "end" } as const
      yield* recurrences.create(Report, "told", {
        ...daily,
        payload,
        misfire: { run: "all", cap: 2, pace: "1 minute" }
      })
      const instants = ["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"]
      assert.deepStrictEqual(
        (yield* recurrences.preview("told", 2)).map((at) => at.toISOString()),
        instants
      )
      assert.deepStrictEqual(
        (yield* recurrences.previewOf(daily, 2)).instants.map((at) => at.toISOString()),
        instants
      )
      const outage = { from: "2026-04-01T12:00:00Z", until: "2026-04-05T12:00:00Z" }
      const fates = yield* recurrences.previewOutage("told", outage)
      assert.deepStrictEqual(
        fates.map(({ dueAt, fate, nominalAt }) => [
          nominalAt.toISOString().slice(0, 16),
          fate,
          dueAt?.toISOString().slice(11, 16)
        ]),
        [
          ["2026-04-02T00:30", "skipped-misfire", undefined],
          ["2026-04-04T00:30", "fired", "12:00"],
          ["2026-04-05T00:30", "fired", "12:01"]
        ]
      )
    }).pipe(
      Effect.provide(layerMemory),
      // Before there is anything that would live through the years.
      (told) => Effect.andThen(TestClock.setTime(Date.parse("2026-03-28T12:00:00Z")), told)
    )
  )

  it.effect("fires on the next banking day, and shows so in its preview and its rule", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const calendar = { zone: "Europe/Berlin", holidays: ["2026-05-01"] }
      const payout = { cron: "0 10 1 * *", zone: "Europe/Berlin", calendar, closed: "next" } as const
      const { rule } = yield* recurrences.create(Report, "payout", { ...payout, payload })
      assert.deepStrictEqual(rule.open, { calendar, closed: "next" })
      const instants = ["2026-04-01T08:00:00.000Z", "2026-05-04T08:00:00.000Z", "2026-06-01T08:00:00.000Z"]
      assert.deepStrictEqual(
        (yield* recurrences.preview("payout", 3)).map((at) => at.toISOString()),
        instants
      )
      const previewed = yield* recurrences.previewOf(payout, 3)
      assert.deepStrictEqual(
        previewed.instants.map((at) => at.toISOString()),
        instants
      )
      assert.match(previewed.words, /^At 10:00, on day 1 of the month, Europe\/Berlin; if closed, on the next open day/)
      const skipping = yield* recurrences.edit(Report, "payout", { ...payout, closed: "skip", payload })
      assert.strictEqual(skipping.revision, 2)
      assert.strictEqual(skipping.nextAt?.toISOString(), instants[0])
    }).pipe(Effect.provide(layerMemory), (told) =>
      Effect.andThen(TestClock.setTime(Date.parse("2026-03-28T12:00:00Z")), told)
    )
  )

  const wrong: ReadonlyArray<readonly [string, object, RegExp]> = [
    ["an impossible date", { cron: "0 9 30 2 *" }, /^OptionsRejected: expression\.day is "0 9 30 2 \*": .*never fire/],
    ["a field that is none", { cron: "0 25 * * *" }, /^OptionsRejected: expression\.hour is "25": .*0 to 23/],
    ["an unknown zone", { cron: "@daily", zone: "Europe/Atlantis" }, /^OptionsRejected: zone is "Europe\/Atlantis"/],
    ["an interval of nothing", { every: 0 }, /^OptionsRejected: every is 0\. Give a duration/],
    ["both cron and interval", { cron: "@daily", every: "1 hour" }, /^OptionsRejected: cron is '@daily'\. Give either/],
    ["a closed policy without a calendar", { every: "1 hour", closed: "next" }, /^OptionsRejected: closed is 'next'/],
    [
      "a calendar that is never open",
      { every: "1 hour", calendar: { zone: "UTC", weekdays: [] } },
      /^OptionsRejected: calendar\.weekdays is/
    ],
    [
      "a calendar that is closed whenever it fires",
      { cron: "0 3 * * *", calendar: { zone: "UTC", hours: { from: "09:00", until: "17:00" } } },
      /^OptionsRejected: calendar is .*never fire/
    ],
    [
      "an unknown closed policy",
      { every: "1 hour", calendar: { zone: "UTC" }, closed: "shift" },
      /^OptionsRejected: closed is "shift": .*skip, next, previous/
    ],
    ["neither", {}, /^OptionsRejected: cron is undefined\. Give either/],
    [
      "an unknown policy",
      { every: "1 hour", overlap: "queue" },
      /^OptionsRejected: overlap is "queue": .*allow, skip, cancel/
    ],
    ["a cap of none", { every: "1 hour", misfire: { run: "all", cap: 0 } }, /^OptionsRejected: misfire\.cap is "0"/],
    ["an unknown priority", { every: "1 hour", priority: "urgent" }, /^OptionsRejected: priority is 'urgent'/],
    [
      "a payload that does not fit",
      { every: "1 hour", payload: { customer: 7 } },
      /^PayloadRejected: .*at \$\.customer/
    ]
  ]
  it.effect.each(wrong)("is refused when it is made, with field, value and way out, for %s", ([, given, message]) =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const options: RecurrenceOptions<{ readonly customer: string }> = Object.assign({ payload }, given, {
        edition: 1
      } as never)
      const refused = yield* Effect.flip(recurrences.create(Report, "wrong", options))
      assert.match(refused.message, message)
      assert.strictEqual((yield* Effect.flip(recurrences.get("wrong")))._tag, "RecurrenceNotFound")
    }).pipe(withTest)
  )

  it.effect("has a name that can be one, and pages that are bounded", () =>
    Effect.gen(function* () {
      const recurrences = yield* Recurrences
      const messages = [
        yield* Effect.flip(recurrences.create(Report, "Not a name", hourly)),
        yield* Effect.flip(recurrences.list({ limit: 1_001 })),
        yield* Effect.flip(recurrences.previewOf(hourly, 0))
      ].map(({ message }) => message)
      assert.match(messages[0] ?? "", /^OptionsRejected: name is 'Not a name'/)
      assert.match(messages[1] ?? "", /^OptionsRejected: limit is 1001/)
      assert.match(messages[2] ?? "", /^OptionsRejected: count is 0/)
    }).pipe(withTest)
  )

  it("is the same for async and await", async () => {
    await using duetime = await connect({ layer: layerMemory })
    const { name } = await duetime.recurrences.create(Report, "promised", hourly)
    assert.strictEqual((await duetime.recurrences.pause(name)).revision, 2)
    assert.deepStrictEqual(
      (await duetime.recurrences.list()).map((view) => view.name),
      ["promised"]
    )
    await duetime.recurrences.delete(name)
  })
})
