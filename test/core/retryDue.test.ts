import { assert, describe, it } from "@effect/vitest"
import { audit } from "../../src/core/audit.ts"
import type { RetryPolicy } from "../../src/core/RetryPolicy.ts"
import { latestRetryMs, retryDueAtMs } from "../../src/core/retryDue.ts"
import { claim, fail, noFence, schedule, start, startMs, TaskActor } from "./TaskActor.ts"

const hourMs = 3_600_000
/** The actor's life begins on Friday 2027-01-15 at 08:00Z, two hours before it closes. */
const calendar = { zone: "UTC", hours: { from: "06:00", until: "10:00" } }
const mondayMs = startMs + 70 * hourMs

const fixed = (delayMs: number): RetryPolicy => ({
  attemptsMax: 3,
  delay: { _tag: "Fixed", delayMs },
  jitter: "none",
  calendar
})
const failure = { _tag: "Fail", error: { name: "Error", message: "no" }, retryable: true, retryInMs: null } as const
const failed = (retry: RetryPolicy, ...given: ReadonlyArray<Partial<Extract<typeof fail, { _tag: "Fail" }>>>) =>
  new TaskActor({ retry }).lives(schedule(), claim, start, { ...fail, ...given[0] } as typeof fail)

describe("a retry by a calendar", () => {
  it("comes after the policy's delay, or at the next instant that is open", () => {
    const open = failed(fixed(hourMs))
    assert.strictEqual(open.state?.dueAtMs, open.nowMs + hourMs)
    assert.strictEqual(failed(fixed(2 * hourMs)).state?.dueAtMs, mondayMs)
  })

  it("spreads anew behind the opening what full jitter has spread over closed time, within what the audit allows", () => {
    const retry: RetryPolicy = { ...fixed(4 * hourMs), jitter: "full" }
    const { nowMs: atMs, policy, state } = new TaskActor({ retry }).lives(schedule(), claim, start)
    const dues = Array.from({ length: 200 }, (_, index) => {
      const fraction = Math.floor((index / 200) * 2 ** 32)
      const eventId = `00000000-0000-4000-8000-0000${fraction.toString(16).padStart(8, "0")}`
      return retryDueAtMs(state, { ...failure, atMs, eventId, fence: noFence, policy }) ?? 0
    })
    const moved = dues.filter((dueAtMs) => dueAtMs > startMs + 4 * hourMs)
    assert.closeTo(moved.length, 100, 5)
    assert.strictEqual(new Set(moved).size, moved.length)
    for (const dueAtMs of moved) assert.isAtLeast(dueAtMs, mondayMs)
    for (const dueAtMs of dues) assert.isAtMost(dueAtMs, latestRetryMs(retry, atMs, 1))
  })

  it("does not hold for a delay or an instant that the handler names", () => {
    const inHours = failed(fixed(1), { retryInMs: 5 * hourMs })
    assert.strictEqual(inHours.state?.dueAtMs, inHours.nowMs + 5 * hourMs)
    const atMs = startMs + 9 * hourMs
    assert.strictEqual(failed(fixed(1), { retryDue: { _tag: "At", atMs, calendar: null } }).state?.dueAtMs, atMs)
    const berlin = { ...calendar, zone: "Europe/Berlin" }
    const moved = failed(fixed(1), { retryDue: { _tag: "At", atMs, calendar: berlin } })
    assert.strictEqual(moved.state?.dueAtMs, mondayMs - hourMs)
  })

  it("is audited: moved as far as the calendar says, and not further", () => {
    const { policy, stream } = failed(fixed(2 * hourMs))
    const options = { policyOf: () => policy }
    assert.deepStrictEqual(audit([stream], options), [])
    const late = stream.events.map((event) =>
      event._tag === "AttemptFailed" ? { ...event, dueAtMs: mondayMs + 1_000 } : event
    )
    const found = audit([{ ...stream, events: late, projections: [] }], options)
    assert.include(
      found.map(({ invariant }) => invariant),
      "S12"
    )
  })
})
