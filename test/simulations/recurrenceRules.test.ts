import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { compile, type Rule } from "../../src/core/recurrence/Rule.ts"
import { clocksGoBackMs, epochMs } from "../../src/testing/simulation/Kernel.ts"
import { calendars, instantsOf, isOpenAt, minuteRules, openedMs } from "../../simulations/world/recurrenceRules.ts"

const plainRules: ReadonlyArray<Rule> = [
  ...minuteRules.flatMap((planned): ReadonlyArray<Rule> => {
    if (!("cron" in planned)) return []
    const { cron, fold, gap, zone } = planned
    return [{ _tag: "Cron", expression: cron, zone, gap, fold }]
  }),
  { _tag: "Interval", everyMs: 1_500, anchorMs: 999 }
]
const rules: ReadonlyArray<Rule> = plainRules.flatMap((rule) =>
  calendars.flatMap((calendar) =>
    (["skip", "next", "previous"] as const).map((closed): Rule => ({ ...rule, open: { calendar, closed } }))
  )
)

/** A minute on both sides of what changes six seconds after a history begins. */
const [fromMs, untilMs] = [epochMs - 60_000, epochMs + 75_000]

describe("the oracle of simulated calendars", () => {
  it("has the instants that the product has, for each rule, calendar and policy", () => {
    for (const rule of rules) {
      const compiled = Result.getOrThrow(compile(rule))
      const expected = instantsOf(rule).filter((atMs) => atMs > fromMs && atMs <= untilMs)
      const found: Array<number> = []
      for (let atMs = compiled.next(fromMs); atMs !== null && atMs <= untilMs; atMs = compiled.next(atMs))
        found.push(atMs)
      assert.deepStrictEqual(found, expected, JSON.stringify(rule))
      for (let atMs = fromMs; atMs < untilMs; atMs += 7_777)
        assert.strictEqual(openedMs(rule, atMs), compiled.openedMs?.(atMs), JSON.stringify(rule))
    }
  })

  it("opens or closes each calendar six seconds after a history begins, when Berlin has two o'clock again", () => {
    const shut = calendars.map((calendar) => {
      const rule: Rule = { _tag: "Interval", everyMs: 1_000, anchorMs: 0, open: { calendar, closed: "skip" } }
      return [epochMs, clocksGoBackMs, clocksGoBackMs + 60_000].map((atMs) => isOpenAt(rule, atMs))
    })
    assert.deepStrictEqual(shut, [
      [false, true, true],
      [true, false, true],
      [false, true, true]
    ])
  })
})
