/**
 * A recurrence's life as the stores lead it, in the smallest form: engines decide ahead, tasks start or do not, and people
 * edit, pause and resume in between. Whatever comes in whatever order, the ledger must prove every instant decided once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { type AuditedRevision, auditLedger, type Line } from "../../../src/core/recurrence/auditLedger.ts"
import { decideFates } from "../../../src/core/recurrence/fates.ts"
import { leadMsMax } from "../../../src/core/recurrence/occurrence.ts"
import { defaultPolicies, type Policies } from "../../../src/core/recurrence/Policies.ts"
import { revise, type Standing } from "../../../src/core/recurrence/revise.ts"
import { compile } from "../../../src/core/recurrence/Rule.ts"

const every = (everyMs: number, anchorMs = 0) =>
  Result.getOrThrow(compile({ _tag: "Interval", everyMs, anchorMs })).next
const standing = (everyMs: number, changes: Partial<Standing> = {}, anchorMs = 0): Standing => ({
  next: every(everyMs, anchorMs),
  policies: defaultPolicies,
  isPaused: false,
  ...changes
})

type OpenLine = Line & { readonly isStarted?: boolean }

class Life {
  standing: Standing
  settledUntilMs = 0
  nowMs = 0
  readonly revisions: Array<AuditedRevision> = []
  readonly ledger = new Map<number, OpenLine>()
  /** Tasks that were scheduled and not taken back: recurrence's instants that run, with their revisions. */
  readonly running = new Map<number, Array<number>>()

  constructor(first: Standing) {
    this.standing = first
    this.revisions.push({ ...first, revision: 1, fromMs: 0 })
  }

  get revision(): number {
    return this.revisions.length
  }

  settle(): void {
    if (this.standing.isPaused) return
    const untilMs = this.standing.policies.overlap === "allow" ? this.nowMs + leadMsMax : this.nowMs
    const decision = decideFates({
      ...this.standing,
      settledUntilMs: this.settledUntilMs,
      nowMs: this.nowMs,
      untilMs,
      isBusy: false
    })
    this.write(decision.decided)
    this.settledUntilMs = decision.settledUntilMs
  }

  revise(after: Standing): void {
    // As the stores do it: no revision begins before the one that it follows.
    const atMs = Math.max(this.nowMs, this.revisions.at(-1)?.fromMs ?? 0)
    const ahead = [...this.ledger.values()]
      .filter(({ untilMs }) => untilMs > atMs)
      .map(({ fate, isStarted, nominalAtMs, untilMs }) => ({ fate, nominalAtMs, untilMs, isFree: isStarted !== true }))
    for (const { isFree, nominalAtMs } of ahead) if (isFree) this.running.delete(nominalAtMs)
    const { settledUntilMs } = this
    const revised = revise({ before: this.standing, after, settledUntilMs, atMs, isBusy: false, ahead })
    this.write(revised.past)
    for (const { fate, nominalAtMs } of revised.dropped) {
      const line = this.ledger.get(nominalAtMs)
      if (line !== undefined) this.ledger.set(nominalAtMs, { ...line, fate })
    }
    this.revisions.push({ ...after, revision: this.revision + 1, fromMs: atMs })
    this.standing = after
    this.write(revised.taken)
    assert.isAtLeast(revised.settledUntilMs, this.settledUntilMs, "the watermark never goes back")
    this.settledUntilMs = revised.settledUntilMs
  }

  write(lines: ReturnType<typeof decideFates>["decided"]): void {
    for (const { fate, nominalAtMs, untilMs } of lines) {
      this.ledger.set(nominalAtMs, { nominalAtMs, untilMs, fate, revision: this.revision })
      if (fate === "fired") this.running.set(nominalAtMs, [...(this.running.get(nominalAtMs) ?? []), this.revision])
    }
  }

  audit() {
    const lines = [...this.ledger.values()].toSorted((a, b) => a.nominalAtMs - b.nominalAtMs)
    return auditLedger(this.revisions, lines, 0, this.settledUntilMs)
  }
}

describe("an edit", () => {
  it("in the last millisecond before an instant that both rules have lets it fire once, under the new one", () => {
    const life = new Life(standing(10_000))
    life.settle()
    life.nowMs = 9_999
    life.revise(standing(5_000))
    assert.deepStrictEqual(life.running.get(10_000), [2])
    assert.deepStrictEqual(life.audit(), [])
  })
  it("at the very instant leaves it to the old rule", () => {
    const life = new Life(standing(10_000))
    life.settle()
    life.nowMs = 10_000
    life.revise(standing(5_000))
    life.settle()
    assert.deepStrictEqual(life.running.get(10_000), [1])
    assert.deepStrictEqual(life.running.get(15_000), [2])
  })
  it("leaves an instant whose task was started before its time to the old rule, and does not fire it again", () => {
    const life = new Life(standing(10_000))
    life.settle()
    const line = life.ledger.get(10_000)
    if (line !== undefined) life.ledger.set(10_000, { ...line, isStarted: true })
    life.nowMs = 9_000
    life.revise(standing(5_000))
    assert.deepStrictEqual(life.running.get(10_000), [1])
    assert.deepStrictEqual(life.audit(), [])
  })
  it("takes back what the new rule does not have", () => {
    const life = new Life(standing(10_000))
    life.settle()
    life.nowMs = 9_000
    life.revise(standing(10_000, {}, 3_000))
    life.settle()
    assert.isUndefined(life.running.get(10_000))
    assert.strictEqual(life.ledger.get(10_000)?.fate, "cancelled-by-edit")
    assert.deepStrictEqual(life.running.get(13_000), [2])
  })
})

describe("a pause", () => {
  it("takes back what was decided ahead, and a resumption soon after gives it back", () => {
    const life = new Life(standing(5_000))
    life.settle()
    life.nowMs = 4_000
    life.revise({ ...life.standing, isPaused: true })
    assert.strictEqual(life.ledger.get(5_000)?.fate, "skipped-paused")
    life.nowMs = 6_000
    life.revise({ ...life.standing, isPaused: false })
    assert.deepStrictEqual([...life.running.keys()], [10_000, 15_000])
    assert.deepStrictEqual(life.audit(), [])
  })
  it("leaves alone what was missed by a clock that has been set back since", () => {
    const life = new Life(standing(1_000, { policies: { ...defaultPolicies, misfire: "skip", misfireGraceMs: 0 } }))
    life.nowMs = 62_000
    life.settle()
    life.nowMs = 45_000
    life.revise({ ...life.standing, isPaused: true })
    assert.deepStrictEqual(life.audit(), [])
  })
  it("of a year is one line", () => {
    const life = new Life(standing(1_000))
    life.revise({ ...life.standing, isPaused: true })
    life.nowMs = 365 * 86_400_000
    life.revise({ ...life.standing, isPaused: false })
    assert.strictEqual(life.ledger.size, 1)
    assert.strictEqual(life.ledger.get(1_000)?.untilMs, life.nowMs)
  })
})

type Step =
  | { readonly tag: "pass"; readonly ms: number }
  | { readonly tag: "settle" }
  /** The database's clock is set back. */
  | { readonly tag: "back"; readonly ms: number }
  | { readonly tag: "start" }
  | { readonly tag: "edit"; readonly everyMs: number; readonly anchorMs: number; readonly policies: Policies }
  | { readonly tag: "pause" | "resume" }

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ tag: fc.constant("pass" as const), ms: fc.oneof(fc.nat(3_000), fc.nat(120_000)) })
  },
  { weight: 4, arbitrary: fc.record({ tag: fc.constant("settle" as const) }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant("back" as const), ms: fc.nat(60_000) }) },
  { weight: 1, arbitrary: fc.record({ tag: fc.constantFrom("start" as const, "pause" as const, "resume" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      tag: fc.constant("edit" as const),
      everyMs: fc.integer({ min: 1_000, max: 20_000 }),
      anchorMs: fc.nat(20_000),
      policies: fc.record({
        misfire: fc.constantFrom("skip" as const, "last" as const, "all" as const),
        misfireGraceMs: fc.nat(30_000),
        misfireCap: fc.integer({ min: 1, max: 20 }),
        misfirePaceMs: fc.nat(5_000),
        maxLatenessMs: fc.option(fc.nat(60_000)),
        overlap: fc.constantFrom("allow" as const, "skip" as const, "cancel" as const)
      })
    })
  }
)

describe("any life of a recurrence", () => {
  it("decides every instant once, and runs none under two revisions", () =>
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        const life = new Life(standing(1_000))
        for (const step of steps) {
          switch (step.tag) {
            case "pass":
              life.nowMs += step.ms
              break
            case "back":
              life.nowMs = Math.max(0, life.nowMs - step.ms)
              break
            case "settle":
              life.settle()
              break
            case "start": {
              const line = [...life.ledger.values()].find(
                ({ fate, isStarted }) => fate === "fired" && isStarted !== true
              )
              if (line !== undefined) life.ledger.set(line.nominalAtMs, { ...line, isStarted: true })
              break
            }
            case "edit":
              life.revise({
                next: every(step.everyMs, step.anchorMs),
                policies: step.policies,
                isPaused: life.standing.isPaused
              })
              break
            case "pause":
            case "resume":
              life.revise({ ...life.standing, isPaused: step.tag === "pause" })
          }
        }
        assert.deepStrictEqual(life.audit(), [])
        assert.isTrue([...life.running.values()].every((revisions) => revisions.length === 1))
      }),
      { numRuns: 1_000 }
    ))
})

describe("the audit of a ledger", () => {
  const revisions: ReadonlyArray<AuditedRevision> = [
    { revision: 1, fromMs: 0, next: every(1_000), isPaused: false },
    { revision: 2, fromMs: 3_000, next: every(1_000), isPaused: true }
  ]
  const fired = (nominalAtMs: number, revision = 1): Line => ({
    nominalAtMs,
    untilMs: nominalAtMs,
    fate: "fired",
    revision
  })
  const paused: Line = { nominalAtMs: 4_000, untilMs: 5_000, fate: "skipped-paused", revision: 2 }
  const laws = (lines: ReadonlyArray<Line>) =>
    auditLedger(revisions, lines, 0, 5_000).map(({ law, nominalAtMs }) => `${law}: ${nominalAtMs}`)

  it("finds nothing in a whole one", () => {
    assert.deepStrictEqual(laws([fired(1_000), fired(2_000), fired(3_000), paused]), [])
  })
  it("finds what is missing, double, invented, and fired while paused", () => {
    assert.deepStrictEqual(laws([fired(1_000), fired(3_000), paused]), ["none missing: 2000"])
    assert.deepStrictEqual(laws([fired(1_000), fired(2_000), fired(3_000), paused, fired(5_000)]), [
      "none double: 5000"
    ])
    assert.deepStrictEqual(laws([fired(1_000), fired(1_500), fired(2_000), fired(3_000), paused]), [
      "none invented: 1500"
    ])
    assert.deepStrictEqual(
      laws([fired(1_000), fired(2_000), fired(3_000), fired(4_000, 2), { ...paused, nominalAtMs: 5_000 }]),
      ["none while paused: 4000"]
    )
  })
})
