import { assert, describe, it } from "@effect/vitest"
import { ClaimMarks } from "../../../src/store/postgres/claimMarks.ts"

const nowMs = 1_800_000_000_000
const kinds = [1, 2]
const ranks = [0, 3]

/** Marks of lanes that were swept at `nowMs`, in `tookMs`, with nothing left before `leftFromMs`. */
const swept = (leftFromMs = nowMs, tookMs = 1) => {
  const marks = new ClaimMarks()
  marks.look(kinds, ranks, nowMs).ended(leftFromMs, tookMs)
  return marks
}
const fromMs = (marks: ClaimMarks, inMs: number) => marks.look(kinds, ranks, nowMs + inMs).fromMs
const beginningMs = new ClaimMarks().look(kinds, ranks, nowMs).fromMs

describe("a claim looks back", () => {
  it("to the beginning the first time, and then two seconds behind the last one, for five seconds", () => {
    assert.isBelow(beginningMs, Date.UTC(1970, 0))
    const marks = swept()
    assert.strictEqual(fromMs(marks, 4_999), nowMs - 2_000)
    assert.strictEqual(fromMs(marks, 5_000), beginningMs)
  })

  it("behind what it has left when its limit cut it, and sweeps no more often for it", () => {
    assert.strictEqual(fromMs(swept(nowMs - 60_000), 100), nowMs - 62_000)
    // Left is what is due within the look-ahead: it is not skipped, and what has come since is not either.
    assert.strictEqual(fromMs(swept(nowMs + 1_000), 100), nowMs - 2_000)
  })

  it("to the beginning less often the longer that takes, half a minute at most", () => {
    const slow = swept(nowMs, 500)
    assert.strictEqual(fromMs(slow, 9_999), nowMs - 2_000)
    assert.strictEqual(fromMs(slow, 10_000), beginningMs)
    assert.strictEqual(fromMs(swept(nowMs, 10_000), 29_999), nowMs - 2_000)
    assert.strictEqual(fromMs(swept(nowMs, 10_000), 30_000), beginningMs)
  })

  it("at least to what somebody has told of, also while it is under way", () => {
    const marks = swept()
    marks.lower(nowMs - 30_000)
    assert.strictEqual(fromMs(marks, 100), nowMs - 30_000)
    const look = marks.look(kinds, ranks, nowMs + 100)
    marks.lower(nowMs - 40_000)
    look.ended(nowMs + 100, 1)
    assert.strictEqual(fromMs(marks, 200), nowMs - 40_000)
  })

  it("to the beginning in lanes that nobody asked for yet, and when the clock was set back", () => {
    const marks = swept()
    assert.strictEqual(marks.look([3], ranks, nowMs + 100).fromMs, beginningMs)
    assert.strictEqual(fromMs(marks, -1), beginningMs)
  })
})
