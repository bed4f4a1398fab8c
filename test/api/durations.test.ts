import { assert, describe, it } from "@effect/vitest"
import { Duration, Result } from "effect"
import { timestampMsMax } from "../../src/core/TaskId.ts"
import { durationMsOf } from "../../src/optionValues.ts"

describe("a duration that is none, or outside of its limits,", () => {
  const ranges: ReadonlyArray<readonly [minMs: number, maxMs: number, says: string]> = [
    [0, timestampMsMax, "from 0 ms to 8919 years"],
    [1, 86_400_000, "from 1 ms to 1 day"],
    [1_000, 3_660 * 86_400_000, "from 1 second to 3660 days"],
    [1_500, 36 * 3_600_000, "from 1500 ms to 36 hours"],
    [1_000, 60_000, "from 1 second to 1 minute"]
  ]
  it.each(ranges)("is refused with an example that works, and the limits in units: %d to %d", (minMs, maxMs, says) => {
    const read = durationMsOf("in", JSON.parse('"2s"'), { minMs, maxMs })
    assert.strictEqual(
      Result.isFailure(read) ? read.failure.message : read.success,
      `OptionsRejected: in is '2s'. Give a duration such as "2 seconds", or 2000 for milliseconds; ${says}`
    )
  })

  const spans: ReadonlyArray<readonly [Duration.Input, ms: number]> = [
    ["2 seconds", 2_000],
    [2_000, 2_000],
    [2_000_000n, 2],
    [[2, 500_000_000], 2_500],
    [{ hours: 1, minutes: 30 }, 5_400_000],
    [{ seconds: 0 }, 0],
    [Duration.seconds(2), 2_000]
  ]
  it.each(spans)("is not %s, which has %d ms", (input, ms) => {
    assert.deepStrictEqual(durationMsOf("in", input, { minMs: 0, maxMs: timestampMsMax }), Result.succeed(ms))
  })

  const none: ReadonlyArray<unknown> = [
    {},
    { hour: 2 },
    { hours: "2" },
    { hours: 2, minute: 5 },
    new Date(0),
    [],
    null,
    ""
  ]
  it.each(none)("is refused though Duration reads it as nothing: %s", (input) => {
    assert.isTrue(Result.isFailure(durationMsOf("in", input as Duration.Input, { minMs: 0, maxMs: 1_000 })))
  })

  it("is told with examples that are within the limits", () => {
    for (const [minMs, maxMs] of ranges) {
      for (const example of ["2 seconds", 2000] as const) {
        assert.deepStrictEqual(durationMsOf("in", example, { minMs, maxMs }), Result.succeed(2_000))
      }
    }
  })
})
