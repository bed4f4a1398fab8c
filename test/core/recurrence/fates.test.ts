import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import {
  type Decided,
  decideFates,
  type Fate,
  fateCodes,
  fateOf,
  instantsMax,
  lastInstants
} from "../../../src/core/recurrence/fates.ts"
import { decideAtMsOf, leadMsMax, leadMsMin, occurrenceTaskId } from "../../../src/core/recurrence/occurrence.ts"
import { checkPolicies, defaultPolicies, type Policies } from "../../../src/core/recurrence/Policies.ts"
import { compile } from "../../../src/core/recurrence/Rule.ts"
import { isTaskId, nominalDueAtMsOf } from "../../../src/core/TaskId.ts"

const every = (everyMs: number, anchorMs = 0) =>
  Result.getOrThrow(compile({ _tag: "Interval", everyMs, anchorMs })).next
const cron = (expression: string) =>
  Result.getOrThrow(compile({ _tag: "Cron", expression, zone: "UTC", gap: "shift", fold: "first" })).next
const at = (text: string) => Date.parse(`2026-06-01T${text}Z`)

const minute = every(60_000)
/** Ten minutes nobody looked: 12:00 was the last one decided, and engines are back at 12:10:30. */
const afterOutage = (policies: Partial<Policies>, isBusy = false) =>
  decideFates({
    next: minute,
    policies: { ...defaultPolicies, ...policies },
    settledUntilMs: at("12:00"),
    nowMs: at("12:10:30"),
    untilMs: at("12:10:30"),
    isBusy
  })
const told = (decided: ReadonlyArray<Decided>) =>
  decided.map(({ dueAtMs, fate, nominalAtMs, untilMs }) => {
    const clock = (ms: number) => new Date(ms).toISOString().slice(11, 19)
    const span = untilMs === nominalAtMs ? clock(nominalAtMs) : `${clock(nominalAtMs)} to ${clock(untilMs)}`
    return `${span} ${fate}${dueAtMs === null ? "" : ` due ${clock(dueAtMs)}`}`
  })

describe("ten minutes of outage", () => {
  it("skip every missed instant under skip, in one line", () => {
    const { cancelsPrevious: _, decided, ...rest } = afterOutage({ misfire: "skip" })
    assert.deepStrictEqual(told(decided), ["12:01:00 to 12:10:19 skipped-misfire"])
    assert.deepStrictEqual(rest, { settledUntilMs: at("12:10:20") - 1, nextAtMs: at("12:11") })
  })
  it("make up for the last one under last, due at once", () => {
    assert.deepStrictEqual(told(afterOutage({ misfire: "last" }).decided), [
      "12:01:00 to 12:09:59 skipped-misfire",
      "12:10:00 fired due 12:10:30"
    ])
  })
  it("make up where the rule's calendar is open, at the pace, and skip what is too late then", () => {
    const late = (maxLatenessMs: number | null) =>
      decideFates({
        next: minute,
        openedMs: (atMs) => Math.max(atMs, at("12:20")),
        policies: { ...defaultPolicies, misfire: "all", misfireCap: 2, misfirePaceMs: 5_000, maxLatenessMs },
        settledUntilMs: at("12:08"),
        nowMs: at("12:10:30"),
        untilMs: at("12:10:30"),
        isBusy: false
      }).decided
    assert.deepStrictEqual(told(late(null)), ["12:09:00 fired due 12:20:00", "12:10:00 fired due 12:20:05"])
    assert.deepStrictEqual(told(late(300_000)), ["12:09:00 skipped-too-late", "12:10:00 skipped-too-late"])
  })
  it("make up for the latest ones up to the cap under all, at the pace", () => {
    assert.deepStrictEqual(told(afterOutage({ misfire: "all", misfireCap: 3, misfirePaceMs: 5_000 }).decided), [
      "12:01:00 to 12:07:59 skipped-misfire",
      "12:08:00 fired due 12:10:30",
      "12:09:00 fired due 12:10:35",
      "12:10:00 fired due 12:10:40"
    ])
  })
  it("skip what would run later than it is worth, the time of its turn included", () => {
    const policies = { misfire: "all", misfireCap: 4, misfirePaceMs: 60_000, maxLatenessMs: 200_000 } as const
    assert.deepStrictEqual(told(afterOutage(policies).decided), [
      "12:01:00 to 12:06:59 skipped-too-late",
      "12:07:00 skipped-too-late",
      "12:08:00 fired due 12:10:30",
      "12:09:00 fired due 12:11:30",
      "12:10:00 fired due 12:12:30"
    ])
  })
  it("run an instant that is late within the grace whatever the policy says of missed ones", () => {
    const policies = { misfire: "skip", misfireGraceMs: 30_000 } as const
    assert.deepStrictEqual(told(afterOutage(policies).decided), [
      "12:01:00 to 12:09:59 skipped-misfire",
      "12:10:00 fired due 12:10:00"
    ])
  })
  it("run one and skip the others while it runs under overlap skip, and none while an earlier one does", () => {
    const policies = { misfire: "all", misfireCap: 2, overlap: "skip" } as const
    assert.deepStrictEqual(told(afterOutage(policies).decided).slice(1), [
      "12:09:00 fired due 12:10:30",
      "12:10:00 skipped-overlap"
    ])
    assert.deepStrictEqual(told(afterOutage(policies, true).decided).slice(1), [
      "12:09:00 skipped-overlap",
      "12:10:00 skipped-overlap"
    ])
  })
  it("run the last one only under overlap cancel, and ask the one before the outage to end", () => {
    const decision = afterOutage({ misfire: "all", misfireCap: 2, misfirePaceMs: 0, overlap: "cancel" }, true)
    assert.deepStrictEqual(told(decision.decided).slice(1), ["12:09:00 skipped-overlap", "12:10:00 fired due 12:10:30"])
    assert.isTrue(decision.cancelsPrevious)
    assert.isFalse(afterOutage({ overlap: "cancel" }, false).cancelsPrevious)
  })
})

describe("deciding", () => {
  it("ahead schedules for the instants themselves", () => {
    const decision = decideFates({
      next: every(5_000),
      policies: defaultPolicies,
      settledUntilMs: at("12:00"),
      nowMs: at("12:00:01"),
      untilMs: at("12:00:16"),
      isBusy: false
    })
    assert.deepStrictEqual(told(decision.decided), [
      "12:00:05 fired due 12:00:05",
      "12:00:10 fired due 12:00:10",
      "12:00:15 fired due 12:00:15"
    ])
    assert.strictEqual(decision.nextAtMs, at("12:00:20"))
  })

  it("takes no longer for thirty years than for a day, even where instants crowd in one hour of a year", () => {
    const crowded = cron("* * 3 1 1 *")
    let asked = 0
    const next = (afterMs: number) => {
      asked++
      return crowded(afterMs)
    }
    const decide = (years: number) =>
      decideFates({
        next,
        policies: { ...defaultPolicies, misfire: "all", misfireCap: 10 },
        settledUntilMs: Date.UTC(2026 - years, 0, 2),
        nowMs: Date.UTC(2026, 5, 1),
        untilMs: Date.UTC(2026, 5, 1),
        isBusy: false
      })
    const { decided } = decide(30)
    assert.deepStrictEqual(
      decided.slice(1).map(({ nominalAtMs }) => new Date(nominalAtMs).toISOString().slice(0, 19)),
      Array.from({ length: 10 }, (_, second) => `2026-01-01T03:59:${50 + second}`)
    )
    assert.isBelow(asked, 2_000)
  })

  const anyRule = fc.oneof(
    fc.tuple(fc.integer({ min: 1_000, max: 100_000 }), fc.nat(100_000)).map(([step, anchor]) => every(step, anchor)),
    fc.constantFrom("* * * * * *", "*/7 * * * *", "10-20 5 * * * *", "0 30 */2 * * *").map(cron)
  )
  const anyPolicies: fc.Arbitrary<Policies> = fc.record({
    misfire: fc.constantFrom("skip", "last", "all"),
    misfireGraceMs: fc.nat(60_000),
    misfireCap: fc.integer({ min: 1, max: 40 }),
    misfirePaceMs: fc.nat(5_000),
    maxLatenessMs: fc.option(fc.nat(600_000)),
    overlap: fc.constantFrom("allow", "skip", "cancel")
  })
  const anySituation = fc.record({
    next: anyRule,
    policies: anyPolicies,
    settledUntilMs: fc.nat(10_000_000),
    missedMs: fc.nat(900_000),
    aheadMs: fc.nat(20_000),
    isBusy: fc.boolean()
  })

  it("gives every instant up to the new watermark exactly one fate, in order, and leaves the first one after it as the next", () =>
    fc.assert(
      fc.property(anySituation, ({ aheadMs, missedMs, settledUntilMs, ...situation }) => {
        const { next, policies } = situation
        const nowMs = settledUntilMs + missedMs
        const decision = decideFates({ ...situation, settledUntilMs, nowMs, untilMs: nowMs + aheadMs })
        const fatesOf = new Map<number, Array<Fate>>()
        for (let ms = next(settledUntilMs); ms !== null && ms <= decision.settledUntilMs; ms = next(ms))
          fatesOf.set(
            ms,
            decision.decided.flatMap((one) => (one.nominalAtMs <= ms && ms <= one.untilMs ? [one.fate] : []))
          )
        assert.isTrue([...fatesOf.values()].every((fates) => fates.length === 1))
        assert.strictEqual(decision.nextAtMs, next(decision.settledUntilMs))
        const left = decision.nextAtMs
        assert.isTrue(left === null || left > nowMs + aheadMs || decision.decided.length >= instantsMax)
        for (const { dueAtMs, fate, nominalAtMs, untilMs } of decision.decided) {
          assert.strictEqual(next(nominalAtMs - 1), nominalAtMs)
          assert.strictEqual(fate === "fired", dueAtMs !== null)
          if (dueAtMs === null) continue
          assert.strictEqual(untilMs, nominalAtMs)
          assert.isTrue(dueAtMs >= nominalAtMs || dueAtMs >= nowMs)
          const lateMs = Math.max(dueAtMs, nowMs) - nominalAtMs
          assert.isTrue(policies.maxLatenessMs === null || lateMs <= policies.maxLatenessMs)
        }
        const missed = decision.decided.filter(
          ({ fate, nominalAtMs }) => fate === "fired" && nowMs - nominalAtMs > policies.misfireGraceMs
        )
        assert.isAtMost(missed.length, { skip: 0, last: 1, all: policies.misfireCap }[policies.misfire])
      }),
      { numRuns: 2_000 }
    ))

  it("finds the latest instants that a walk over all of them ends with", () =>
    fc.assert(
      fc.property(anyRule, fc.nat(1_000_000), fc.nat(1_000_000), fc.nat(30), (next, afterMs, spanMs, count) => {
        const all: Array<number> = []
        for (let ms = next(afterMs); ms !== null && ms <= afterMs + spanMs; ms = next(ms)) all.push(ms)
        assert.deepStrictEqual(
          lastInstants(next, afterMs, afterMs + spanMs, count),
          count === 0 ? [] : all.slice(-count)
        )
      })
    ))
})

describe("the task of an instant", () => {
  it("has an id that follows from recurrence, revision and instant, with the instant in front", () => {
    const id = occurrenceTaskId(7, 2, at("12:00"))
    assert.isTrue(isTaskId(id))
    assert.strictEqual(nominalDueAtMsOf(id), at("12:00"))
    assert.strictEqual(occurrenceTaskId(7, 2, at("12:00")), id)
    const others = new Set<string>()
    for (let recurrenceId = 1; recurrenceId <= 200; recurrenceId++)
      for (let revision = 1; revision <= 50; revision++)
        others.add(occurrenceTaskId(recurrenceId, revision, at("12:00")))
    assert.strictEqual(others.size, 10_000)
  })
  it("is decided 5 to 15 seconds ahead, and not by all recurrences in the same moment", () => {
    const leads = Array.from({ length: 1_000 }, (_, id) => -decideAtMsOf(id, 0, true))
    assert.isAtLeast(Math.min(...leads), leadMsMin)
    assert.isBelow(Math.max(...leads), leadMsMax)
    assert.isAbove(new Set(leads.map((ms) => Math.floor(ms / 1_000))).size, 8)
    assert.strictEqual(decideAtMsOf(7, 1_000, false), 1_000)
  })

  it("are decided together with others, four times a second at most", () => {
    const decides = Array.from({ length: 10_000 }, (_, id) => decideAtMsOf(id, 1_000_000 + ((id * 7) % 1_000), true))
    assert.isAtMost(new Set(decides).size, (4 * leadMsMax) / 1_000)
  })
})

describe("policies", () => {
  it("that make no sense are rejected with field, value and way out", () => {
    const refused = (policies: Record<string, unknown>) => {
      const given: Policies = { ...defaultPolicies, ...policies }
      return Result.match(checkPolicies(given), { onFailure: ({ message }) => message, onSuccess: () => "accepted" })
    }
    assert.strictEqual(refused({}), "accepted")
    assert.strictEqual(
      refused({ misfireCap: 0 }),
      'RuleRejected: misfire.cap is "0": it makes no sense here. Give whole instants from 1 to 1000'
    )
    assert.strictEqual(
      refused({ overlap: "queue" }),
      'RuleRejected: overlap is "queue": there is no such policy. Give allow, skip, cancel'
    )
    for (const wrong of [
      { misfire: "some" },
      { misfireGraceMs: -1 },
      { misfireGraceMs: 3_600_001 },
      { misfirePaceMs: 0.5 },
      { maxLatenessMs: Number.NaN }
    ])
      assert.include(refused(wrong), "RuleRejected")
  })
})

describe("codes of fates", () => {
  it("read back as what they were", () => {
    for (const [fate, code] of Object.entries(fateCodes)) assert.strictEqual(fateOf(code), fate)
    assert.throws(() => fateOf(99), /no fate/)
  })
})
