import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  defaultRetryPolicy,
  delayCeilingMs,
  delayMsAfter,
  isExhausted,
  type RetryPolicy
} from "../../src/core/RetryPolicy.ts"

const exponential = { _tag: "Exponential", baseMs: 1_000, factor: 2, capMs: 10_000 } as const

const anyDelay: fc.Arbitrary<RetryPolicy["delay"]> = fc.oneof(
  fc.record({
    _tag: fc.constant("Exponential" as const),
    baseMs: fc.integer({ min: 0, max: 3_600_000 }),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
    capMs: fc.integer({ min: 0, max: 86_400_000 })
  }),
  fc.record({ _tag: fc.constant("Fixed" as const), delayMs: fc.integer({ min: 0, max: 86_400_000 }) }),
  fc.record({
    _tag: fc.constant("Listed" as const),
    delaysMs: fc.array(fc.integer({ min: 0, max: 86_400_000 }), { maxLength: 20 })
  })
)
const anyPolicy = fc.record({
  attemptsMax: fc.integer({ min: 1, max: 1_000 }),
  delay: anyDelay,
  jitter: fc.constantFrom("full" as const, "none" as const)
})

describe("a retry's delay", () => {
  it("doubles from its base up to the cap", () => {
    const policy: RetryPolicy = { attemptsMax: 8, delay: exponential, jitter: "none" }
    const delaysMs = [1, 2, 3, 4, 5, 6, 1_000].map((charged) => delayMsAfter(policy, charged, eventIdAt(0.5)))
    assert.deepStrictEqual(delaysMs, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  })

  it("follows its list, whose last entry repeats, and is 0 of an empty one", () => {
    const listed = (delaysMs: ReadonlyArray<number>): RetryPolicy => ({
      attemptsMax: 8,
      delay: { _tag: "Listed", delaysMs },
      jitter: "none"
    })
    const ask = (policy: RetryPolicy) => [1, 2, 3, 4].map((charged) => delayMsAfter(policy, charged, eventIdAt(0)))
    assert.deepStrictEqual(ask(listed([10, 20, 30])), [10, 20, 30, 30])
    assert.deepStrictEqual(ask(listed([])), [0, 0, 0, 0])
  })

  it("of an attempt that was given back is the first one's", () => {
    assert.strictEqual(delayCeilingMs({ attemptsMax: 3, delay: exponential, jitter: "none" }, 0), 1_000)
  })

  it("is whole milliseconds between 0 and its ceiling, whatever the policy", () => {
    fc.assert(
      fc.property(anyPolicy, fc.integer({ min: 0, max: 1_001 }), fc.uuid(), (policy, charged, eventId) => {
        const delayMs = delayMsAfter(policy, charged, eventId)
        const ceilingMs = delayCeilingMs(policy, charged)
        assert.isTrue(Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= Math.round(ceilingMs))
        if (policy.delay._tag === "Exponential") assert.isAtMost(ceilingMs, policy.delay.capMs)
        if (policy.jitter === "none") assert.strictEqual(delayMs, Math.round(ceilingMs))
      }),
      { numRuns: 2_000, seed: 1 }
    )
  })

  it("is decided by the event's id alone: asked again it is the same", () => {
    const eventId = "0190f000-0000-4000-8000-0123456789ab"
    const delayMs = delayMsAfter(defaultRetryPolicy, 5, eventId)
    assert.strictEqual(delayMs, Math.round(16_000 * (0x456789ab / 2 ** 32)))
    assert.strictEqual(delayMsAfter(defaultRetryPolicy, 5, eventId), delayMs)
  })

  it("with full jitter is spread evenly over the whole range", () => {
    const bins = Array.from({ length: 10 }, () => 0)
    const drawsCount = 20_000
    const policy: RetryPolicy = { attemptsMax: 8, delay: { _tag: "Fixed", delayMs: 1_000_000 }, jitter: "full" }
    const random = xorshift(20_261_123)
    for (let draw = 0; draw < drawsCount; draw++) {
      const bin = Math.floor(delayMsAfter(policy, 1, eventIdAt(random())) / 100_000)
      bins[bin] = (bins[bin] ?? 0) + 1
    }
    const expected = drawsCount / bins.length
    const chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    // 9 degrees of freedom: an even spread exceeds 27.9 once in a thousand seeds, and this seed is fixed.
    assert.strictEqual(bins.length, 10)
    assert.isBelow(chiSquare, 27.9)
  })
})

describe("attempts", () => {
  it("are exhausted at the limit, not before and not only behind it", () => {
    const policy: RetryPolicy = { ...defaultRetryPolicy, attemptsMax: 3 }
    assert.deepStrictEqual(
      [0, 1, 2, 3, 4].map((charged) => isExhausted(policy, charged)),
      [false, false, false, true, true]
    )
  })
})

/** An event id whose jitter is the given fraction. */
const eventIdAt = (fraction: number): string =>
  `00000000-0000-4000-8000-0000${Math.floor(fraction * 2 ** 32)
    .toString(16)
    .padStart(8, "0")}`

/** xorshift32 (Marsaglia 2003), in [0, 1). */
const xorshift = (seed: number) => {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
