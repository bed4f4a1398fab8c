import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import {
  compile,
  type Compiled,
  type CronRule,
  everyMsMax,
  preview,
  type Rule
} from "../../../src/core/recurrence/Rule.ts"

const cron = (expression: string, zone: string, policies: Partial<CronRule> = {}): CronRule => ({
  _tag: "Cron",
  expression,
  zone,
  gap: "shift",
  fold: "first",
  ...policies
})

const compiled = (rule: Rule): Compiled => Result.getOrThrow(compile(rule))

/** Every fire in `[from, before)`. */
const fires = (rule: Rule, from: string, before: string): ReadonlyArray<string> => {
  const { next } = compiled(rule)
  const found: Array<string> = []
  for (let at = next(Date.parse(from) - 1); at !== null && at < Date.parse(before); at = next(at))
    found.push(new Date(at).toISOString().replace(":00.000Z", "Z"))
  return found
}

describe("Europe/Berlin, where 2026-03-29 has no 02:00 to 03:00 and 2026-10-25 has it twice", () => {
  const springOf = (gap: CronRule["gap"]) =>
    fires(cron("30 2 * * *", "Europe/Berlin", { gap }), "2026-03-28T12:00Z", "2026-03-30T12:00Z")
  const autumnOf = (fold: CronRule["fold"]) =>
    fires(cron("30 2 * * *", "Europe/Berlin", { fold }), "2026-10-24T12:00Z", "2026-10-26T12:00Z")

  it("does not fire on the day without the time under skip", () => {
    assert.deepStrictEqual(springOf("skip"), ["2026-03-30T00:30Z"])
  })
  it("fires at 03:30 under shift", () => {
    assert.deepStrictEqual(springOf("shift"), ["2026-03-29T01:30Z", "2026-03-30T00:30Z"])
  })
  it("fires at 03:00 under end", () => {
    assert.deepStrictEqual(springOf("end"), ["2026-03-29T01:00Z", "2026-03-30T00:30Z"])
  })
  it("fires at the first 02:30, at the second, or at both", () => {
    assert.deepStrictEqual(autumnOf("first"), ["2026-10-25T00:30Z", "2026-10-26T01:30Z"])
    assert.deepStrictEqual(autumnOf("second"), ["2026-10-25T01:30Z", "2026-10-26T01:30Z"])
    assert.deepStrictEqual(autumnOf("both"), ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-26T01:30Z"])
  })
  it("runs */30 through both changes in real time, whatever the policies", () => {
    for (const gap of ["skip", "shift", "end"] as const)
      for (const fold of ["first", "second", "both"] as const) {
        const rule = cron("*/30 * * * *", "Europe/Berlin", { gap, fold })
        assert.deepStrictEqual(fires(rule, "2026-03-29T00:00Z", "2026-03-29T02:00Z"), [
          "2026-03-29T00:00Z",
          "2026-03-29T00:30Z",
          "2026-03-29T01:00Z",
          "2026-03-29T01:30Z"
        ])
        assert.deepStrictEqual(fires(rule, "2026-10-25T00:00Z", "2026-10-25T02:00Z"), [
          "2026-10-25T00:00Z",
          "2026-10-25T00:30Z",
          "2026-10-25T01:00Z",
          "2026-10-25T01:30Z"
        ])
      }
  })
  it("fires once where a shifted time meets one that was there", () => {
    assert.deepStrictEqual(
      fires(cron("30 2,3 * * *", "Europe/Berlin", { gap: "shift" }), "2026-03-29T00:00Z", "2026-03-30T00:00Z"),
      ["2026-03-29T01:30Z"]
    )
  })
  it("fires once at the end of a gap that left several times out", () => {
    assert.deepStrictEqual(
      fires(cron("0,20,40 2 * * *", "Europe/Berlin", { gap: "end" }), "2026-03-29T00:00Z", "2026-03-30T00:00Z"),
      ["2026-03-29T01:00Z"]
    )
  })
})

describe("Australia/Lord_Howe, whose clocks change by half an hour", () => {
  it("moves 02:15, which 2026-10-04 does not have, to 02:45 or to 02:30", () => {
    const of = (gap: CronRule["gap"]) =>
      fires(cron("15 2 * * *", "Australia/Lord_Howe", { gap }), "2026-10-03T12:00Z", "2026-10-04T12:00Z")
    assert.deepStrictEqual(of("skip"), [])
    assert.deepStrictEqual(of("shift"), ["2026-10-03T15:45Z"])
    assert.deepStrictEqual(of("end"), ["2026-10-03T15:30Z"])
  })
  it("has 01:45 of 2026-04-05 twice, half an hour apart", () => {
    const rule = cron("45 1 * * *", "Australia/Lord_Howe", { fold: "both" })
    assert.deepStrictEqual(fires(rule, "2026-04-04T12:00Z", "2026-04-05T12:00Z"), [
      "2026-04-04T14:45Z",
      "2026-04-04T15:15Z"
    ])
  })
})

describe("Pacific/Apia, which had no 2011-12-30", () => {
  const of = (gap: CronRule["gap"]) =>
    fires(cron("0 9 * * *", "Pacific/Apia", { gap }), "2011-12-29T12:00Z", "2012-01-01T00:00Z")
  it("skips the day under skip, and under shift meets 09:00 of the next", () => {
    const without = ["2011-12-29T19:00Z", "2011-12-30T19:00Z", "2011-12-31T19:00Z"]
    assert.deepStrictEqual(of("skip"), without)
    assert.deepStrictEqual(of("shift"), without)
  })
  it("fires at the first instant of 2011-12-31 under end", () => {
    assert.deepStrictEqual(of("end"), [
      "2011-12-29T19:00Z",
      "2011-12-30T10:00Z",
      "2011-12-30T19:00Z",
      "2011-12-31T19:00Z"
    ])
  })
})

describe("Africa/Casablanca, which goes back an hour for Ramadan", () => {
  it("has 02:30 of 2025-02-23 twice and none on 2025-04-06", () => {
    const rule = cron("30 2 * * *", "Africa/Casablanca", { fold: "both", gap: "end" })
    assert.deepStrictEqual(fires(rule, "2025-02-23T00:00Z", "2025-02-24T00:00Z"), [
      "2025-02-23T01:30Z",
      "2025-02-23T02:30Z"
    ])
    assert.deepStrictEqual(fires(rule, "2025-04-06T00:00Z", "2025-04-07T00:00Z"), ["2025-04-06T02:00Z"])
  })
})

describe("America/Santiago, whose clocks change at midnight", () => {
  it("has no midnight on 2025-09-07: none, 01:00 by shift, 01:00 by end", () => {
    const of = (gap: CronRule["gap"]) =>
      fires(cron("@daily", "America/Santiago", { gap }), "2025-09-06T12:00Z", "2025-09-08T12:00Z")
    assert.deepStrictEqual(of("skip"), ["2025-09-08T03:00Z"])
    assert.deepStrictEqual(of("shift"), ["2025-09-07T04:00Z", "2025-09-08T03:00Z"])
    assert.deepStrictEqual(of("end"), ["2025-09-07T04:00Z", "2025-09-08T03:00Z"])
  })
  it("has 23:30 of 2025-04-05 twice", () => {
    const rule = cron("30 23 * * *", "America/Santiago", { fold: "both" })
    assert.deepStrictEqual(fires(rule, "2025-04-05T12:00Z", "2025-04-06T12:00Z"), [
      "2025-04-06T02:30Z",
      "2025-04-06T03:30Z"
    ])
  })
})

describe("A cron expression", () => {
  const daysOf = (expression: string, month: string) =>
    fires(cron(expression, "UTC"), `${month}-01T00:00Z`, `${month}-28T00:00Z`).map((at) => Number(at.slice(8, 10)))

  it("takes day of month or day of week where both are named, as Vixie cron does", () => {
    assert.deepStrictEqual(daysOf("0 0 10 * mon", "2026-06"), [1, 8, 10, 15, 22])
  })
  it("takes both where one of them begins with a star", () => {
    assert.deepStrictEqual(daysOf("0 0 */2 * mon", "2026-06"), [1, 15])
  })
  it("takes 7 and 0 and sun for Sunday", () => {
    for (const sunday of ["7", "0", "sun", "SUN", "7-7"])
      assert.deepStrictEqual(daysOf(`0 0 * * ${sunday}`, "2026-06"), [7, 14, 21])
    assert.deepStrictEqual(daysOf("0 0 * * 5-7/2", "2026-06"), [5, 7, 12, 14, 19, 21, 26])
  })
  it("knows seconds, names, ranges with steps and macros", () => {
    assert.deepStrictEqual(fires(cron("5-30/10 0 12 1 JAN *", "UTC"), "2026-01-01T00:00Z", "2027-01-01T00:00Z"), [
      "2026-01-01T12:00:05.000Z",
      "2026-01-01T12:00:15.000Z",
      "2026-01-01T12:00:25.000Z"
    ])
    const macros = { hourly: 8_760, daily: 365, midnight: 365, weekly: 52, monthly: 12, yearly: 1, annually: 1 }
    for (const [name, count] of Object.entries(macros))
      assert.lengthOf(fires(cron(`@${name}`, "UTC"), "2026-01-01T00:00Z", "2027-01-01T00:00Z"), count, name)
  })
  it("finds a 29 February across a century without one, and ends with the year 2999", () => {
    const { next } = compiled(cron("0 0 29 2 *", "Europe/Berlin"))
    assert.strictEqual(next(Date.parse("2096-03-01")), Date.parse("2104-02-28T23:00Z"))
    assert.isNull(next(Date.parse("2999-01-01")))
    assert.isNull(next(Number.NaN))
  })
})

describe("A rule that makes no sense is rejected, with field, value and way out", () => {
  const rejections: ReadonlyArray<readonly [Rule, field: string, value: string]> = [
    [cron("0 0 30 2 *", "UTC"), "expression.day", "0 0 30 2 *"],
    [cron("0 0 31 4,6,9,11 *", "UTC"), "expression.day", "0 0 31 4,6,9,11 *"],
    [cron("60 * * * *", "UTC"), "expression.minute", "60"],
    [cron("* 24 * * *", "UTC"), "expression.hour", "24"],
    [cron("* * 0 * *", "UTC"), "expression.day", "0"],
    [cron("* * L * *", "UTC"), "expression.day", "l"],
    [cron("* * * foo *", "UTC"), "expression.month", "foo"],
    [cron("* * * * fri-mon", "UTC"), "expression.weekday", "fri-mon"],
    [cron("*/0 * * * *", "UTC"), "expression.minute", "*/0"],
    [cron("0x5 * * * *", "UTC"), "expression.minute", "0x5"],
    [cron("1, * * * *", "UTC"), "expression.minute", "1,"],
    [cron("99 * * * * *", "UTC"), "expression.second", "99"],
    [cron("* * * *", "UTC"), "expression", "* * * *"],
    [cron("", "UTC"), "expression", ""],
    [cron("@reboot", "UTC"), "expression", "@reboot"],
    [cron("@daily", "Mars/Olympus"), "zone", "Mars/Olympus"],
    [{ _tag: "Interval", everyMs: 0, anchorMs: 0 }, "everyMs", "0"],
    [{ _tag: "Interval", everyMs: -5_000, anchorMs: 0 }, "everyMs", "-5000"],
    [{ _tag: "Interval", everyMs: 999, anchorMs: 0 }, "everyMs", "999"],
    [{ _tag: "Interval", everyMs: 1_000.5, anchorMs: 0 }, "everyMs", "1000.5"],
    [{ _tag: "Interval", everyMs: everyMsMax + 1, anchorMs: 0 }, "everyMs", String(everyMsMax + 1)],
    [{ _tag: "Interval", everyMs: 1_000, anchorMs: Infinity }, "anchorMs", "Infinity"]
  ]
  it.each(rejections)("%j", (rule, field, value) => {
    const result = compile(rule)
    assert(Result.isFailure(result))
    assert.deepInclude(result.failure, { _tag: "RuleRejected", field, value })
    assert.isNotEmpty(result.failure.wayOut)
  })
})

describe("An interval", () => {
  it("keeps to its grid before and after its anchor", () => {
    const { next } = compiled({ _tag: "Interval", everyMs: 90_000, anchorMs: 1_000 })
    assert.strictEqual(next(0), 1_000)
    assert.strictEqual(next(1_000), 91_000)
    assert.strictEqual(next(-89_001), -89_000)
    assert.strictEqual(next(-89_000), 1_000)
  })
})

const anyRule: fc.Arbitrary<Rule> = fc.oneof(
  fc.record({
    _tag: fc.constant("Cron" as const),
    expression: fc.constantFrom(
      "30 2 * * *",
      "*/7 * * * *",
      "@daily",
      "15,45 0-3 * * *",
      "*/20 30 1 * * *",
      "0 2 1-7 * sun"
    ),
    zone: fc.constantFrom(
      "Europe/Berlin",
      "Australia/Lord_Howe",
      "Pacific/Apia",
      "Africa/Casablanca",
      "America/Santiago"
    ),
    gap: fc.constantFrom("skip" as const, "shift" as const, "end" as const),
    fold: fc.constantFrom("first" as const, "second" as const, "both" as const)
  }),
  fc.record({
    _tag: fc.constant("Interval" as const),
    everyMs: fc.integer({ min: 1_000, max: 86_400_000 }),
    anchorMs: fc.integer({ min: 0, max: 2_000_000_000 })
  })
)
const anyInstant = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2050, 0) })

describe("Whatever the rule", () => {
  it("a preview ascends, starts strictly after its instant, and goes on from any instant within as if it began there", () => {
    fc.assert(
      fc.property(anyRule, anyInstant, fc.nat(1_000), (rule, afterMs, share) => {
        const one = compiled(rule)
        const instants = preview(one, afterMs, 20)
        assert.lengthOf(instants, 20)
        for (const [index, at] of instants.entries()) {
          const before = instants[index - 1] ?? afterMs
          assert.isAbove(at, before)
          // Nothing lies between two of them: from anywhere between, the next is the later.
          assert.strictEqual(one.next(before + Math.floor(((at - 1 - before) * share) / 1_000)), at)
        }
      })
    )
  })
  it("an edit after the greatest decided instant leaves no instant to both revisions", () => {
    fc.assert(
      fc.property(anyRule, anyRule, anyInstant, fc.integer({ min: 1, max: 20 }), (old, edited, afterMs, count) => {
        const decided = preview(compiled(old), afterMs, count)
        const lastMs = decided.at(-1) ?? afterMs
        for (const at of preview(compiled(edited), lastMs, 20)) assert.isFalse(decided.includes(at))
        // The same rule again goes on as if nothing had been edited.
        const through = preview(compiled(old), afterMs, count + 5)
        assert.deepStrictEqual([...decided, ...preview(compiled(old), lastMs, 5)], through)
      })
    )
  })
})

describe("an offset in place of a zone", () => {
  it("is rejected with a way out, because PostgreSQL reads its sign the other way round", () => {
    for (const zone of ["+05:30", "-03", "05:30"]) {
      const found = compile(cron("0 9 * * *", zone))
      if (Result.isSuccess(found)) return assert.fail(`${zone} was accepted`)
      assert.strictEqual(found.failure.field, "zone")
      assert.include(found.failure.problem, "it is an offset")
      assert.include(found.failure.wayOut, "Etc/GMT-5")
    }
  })
  it("has a name in the IANA database that is accepted", () => {
    const { next } = compiled(cron("0 9 * * *", "Etc/GMT-5"))
    assert.strictEqual(next(Date.parse("2026-01-01T00:00Z")), Date.parse("2026-01-01T04:00Z"))
  })
})
