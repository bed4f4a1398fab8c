import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { allowanceOf, refilled, tokensMaxOf } from "../../src/core/pace.ts"

const anyRate = fc.double({ min: 0.01, max: 100_000, noNaN: true })

describe("The pace of a kind", () => {
  it("gives out at most a burst and the rate times the time that has passed, however claims come", () => {
    const anyClaims = fc.array(fc.record({ afterMs: fc.integer({ min: -50, max: 2_000 }), asked: fc.nat(5_000) }))
    fc.assert(
      fc.property(anyRate, anyClaims, (rate, claims) => {
        const caps = { concurrencyMax: null, startsPerSecondMax: rate }
        let tokens = tokensMaxOf(rate)
        let [passedMs, taken] = [0, 0]
        for (const { afterMs, asked } of claims) {
          // A clock that is set back gives nothing, and takes nothing away.
          tokens = refilled(tokens, afterMs, rate)
          passedMs += Math.max(0, afterMs)
          const { limit } = allowanceOf(caps, asked, 0, tokens)
          assert.isAtMost(limit, asked)
          tokens -= limit
          taken += limit
          assert.isAtLeast(tokens, -1e-9)
          assert.isAtMost(taken, tokensMaxOf(rate) + (passedMs * rate) / 1_000 + 1e-6 * (taken + 1))
        }
      })
    )
  })

  it("has a token for whoever asks again when it was told to, and tells nobody to come much later", () => {
    fc.assert(
      fc.property(anyRate, fc.double({ min: 0, max: 1, noNaN: true }), (rate, share) => {
        const caps = { concurrencyMax: null, startsPerSecondMax: rate }
        const tokens = tokensMaxOf(rate) * share
        const { cappedForMs, limit } = allowanceOf(caps, 1_000_000, 0, tokens)
        const inMs = cappedForMs(limit) ?? 0
        assert.isAtLeast(inMs, 1)
        assert.isAtMost(inMs, Math.ceil(1_000 / rate))
        assert.isAtLeast(allowanceOf(caps, 1, 0, refilled(tokens - limit, inMs, rate)).limit, 1)
      })
    )
  })

  it("leaves room up to the concurrency, none above it, and is told by whichever cap is tighter", () => {
    const caps = { concurrencyMax: 10, startsPerSecondMax: 100 }
    assert.strictEqual(allowanceOf(caps, 50, 0, 10).limit, 10)
    assert.strictEqual(allowanceOf(caps, 50, 7, 10).limit, 3)
    assert.strictEqual(allowanceOf(caps, 50, 12, 10).limit, 0)
    assert.strictEqual(allowanceOf(caps, 50, 7, 2.5).limit, 2)
    assert.strictEqual(allowanceOf(caps, 50, 7, 2.5).cappedForMs(2), 5)
    assert.strictEqual(allowanceOf(caps, 50, 9, 8).cappedForMs(1), 20)
  })

  it("did not cut a claim that found less than it left, or that asked for no more", () => {
    const caps = { concurrencyMax: 10, startsPerSecondMax: null }
    assert.isNull(allowanceOf(caps, 50, 4, 0).cappedForMs(5))
    assert.isNull(allowanceOf(caps, 6, 4, 0).cappedForMs(6))
    assert.isNotNull(allowanceOf(caps, 7, 4, 0).cappedForMs(6))
  })
})
