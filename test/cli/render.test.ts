import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import type { EventBody, TaskEvent } from "../../src/core/TaskEvent.ts"
import { attemptsOf } from "../../src/cli/attempts.ts"
import { lateMsMin, latenessOf } from "../../src/cli/lateness.ts"
import { paintFor } from "../../src/cli/render/paint.ts"
import { oneLine } from "../../src/cli/render/text.ts"
import { fromNow, localInstant, offset, span } from "../../src/cli/render/time.ts"
import { timeline } from "../../src/cli/render/timeline.ts"
import { millisecondsOf } from "../../src/cli/span.ts"
import { viewOf } from "../../src/TaskView.ts"

const taskId = "019ab1d6-9c00-7a1b-8c2d-0123456789ab"
const dueAtMs = Date.UTC(2026, 10, 23, 9)

const historyOf = (...steps: ReadonlyArray<readonly [afterDueMs: number, body: EventBody]>): ReadonlyArray<TaskEvent> =>
  steps.map(([afterDueMs, body], index) => ({
    ...body,
    taskId,
    version: index + 1,
    eventId: `00000000-0000-4000-8000-00000000000${index}`,
    atMs: dueAtMs + afterDueMs
  }))

const started = (attempt: number, dispatchedAfterDueMs: number | null): EventBody => ({
  _tag: "AttemptStarted",
  attempt,
  sessionId: 7,
  deadlineAtMs: dueAtMs + 60_000,
  dispatchedAtMs: dispatchedAfterDueMs === null ? null : dueAtMs + dispatchedAfterDueMs
})

const payload = { email: "ada@example.com" }
const history = historyOf(
  [-10_800_000, { _tag: "TaskScheduled", kind: "send-reminder", priority: "high", dueAtMs, key: "order-7", payload }],
  [12, { _tag: "TaskClaimed", sessionId: 2 }],
  [41, started(1, 21)],
  [
    1_200,
    {
      _tag: "AttemptFailed",
      attempt: 1,
      error: { name: "Mailer", message: "503\n\u001B[2Jtry later" },
      dueAtMs: dueAtMs + 3_300
    }
  ],
  [2_000, { _tag: "TaskClaimed", sessionId: 2 }],
  [3_302.5, started(2, null)],
  [3_390.5, { _tag: "AttemptSucceeded", attempt: 2, result: { sent: true } }]
)

describe("an instant by the clocks of a zone", () => {
  it.each([
    ["2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25 02:30:00.000 +02:00 Europe/Berlin"],
    ["2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25 02:30:00.000 +01:00 Europe/Berlin"],
    ["2026-01-01T01:00:00Z", "America/St_Johns", "2025-12-31 21:30:00.000 -03:30 America/St_Johns"],
    ["2026-01-01T20:00:00Z", "Asia/Kathmandu", "2026-01-02 01:45:00.000 +05:45 Asia/Kathmandu"],
    ["2026-01-01T20:00:00Z", "Nowhere/Land", ""]
  ])("%s in %s says which of two equal times it is", (at, zone, shown) => {
    assert.strictEqual(localInstant(new Date(at), zone), shown)
  })
})

describe("a task's timeline", () => {
  it("says what was asked for, how late each attempt was and where the time went", () => {
    const view = viewOf(history)
    assert.isNotNull(view)
    assert.strictEqual(
      view === null ? "" : timeline(view, history, paintFor(false)),
      `${taskId}  send-reminder  high  SUCCEEDED on attempt 2
  payload    {"email":"ada@example.com"}
  key        order-7
  due        2026-11-23 09:00:00.000 UTC

  scheduled  -3 h
  claimed    +12 ms          session 2
  started    +41 ms     #1   session 7; drift 41 ms = claim 12 ms + dispatch 9 ms + delivery 20 ms
  failed     +1.2 s     #1   took 1.2 s; Mailer: 503 \\u001b[2Jtry later; due in 2.1 s
  claimed    +2 s            session 2
  started    +3.3 s     #2   session 7; drift 2.5 ms = pull 2.5 ms
  succeeded  +3.4 s     #2   took 88 ms; result {"sent":true}

  7 events, version 7`
    )
  })

  it("says of a late start which part of it was the longest, and what that means", () => {
    const scheduled = (dueAfterMs: number): EventBody => ({
      _tag: "TaskScheduled",
      kind: "charge",
      priority: "high",
      dueAtMs: dueAtMs + dueAfterMs,
      key: null,
      payload: null
    })
    const claimed: EventBody = { _tag: "TaskClaimed", sessionId: 2 }
    const released: EventBody = { _tag: "ClaimReleased", reason: "drained" }
    const lateOf = (...steps: ReadonlyArray<readonly [afterDueMs: number, body: EventBody]>) => {
      const events = historyOf(...steps)
      return attemptsOf(events).map((attempt) => latenessOf(events, attempt))
    }
    const [none] = lateOf([-10, scheduled(0)], [1, claimed], [lateMsMin - 1, started(1, 5)])
    assert.isNull(none)
    const lates = [
      lateOf([5_000, scheduled(0)], [5_001, claimed], [5_002, started(1, 5_001)]),
      lateOf([-10, scheduled(0)], [4_000, claimed], [4_005, started(1, 4_001)]),
      lateOf([-10, scheduled(0)], [1, claimed], [900, released], [2_000, claimed], [2_005, started(1, 2_001)]),
      lateOf([-10, scheduled(0)], [1, claimed], [3_000, started(1, 2_990)]),
      lateOf([-10, scheduled(0)], [1, claimed], [3_000, started(1, 10)]),
      lateOf([-10, scheduled(0)], [1, claimed], [700, started(1, null)])
    ].flat()
    assert.deepStrictEqual(
      lates.map((late) => [late?.part, late?.partMs]),
      [
        ["asked", 5_000],
        ["claim", 4_000],
        ["claim", 2_000],
        ["dispatch", 2_989],
        ["delivery", 2_990],
        ["delivery", 699]
      ]
    )
    assert.match(lates[2]?.sentence ?? "", /given back before \(drained\)/)
    assert.match(lates[5]?.sentence ?? "", /until one pulled it/)
  })

  it("says what follows a task, and what it follows", () => {
    const follows = { taskId: "019ab1d6-9c00-7a1b-8c2d-999999999999", version: 4 }
    const common = { priority: "high", dueJitter: null, payload: 1 } as const
    const linked = historyOf(
      [
        0,
        {
          _tag: "TaskScheduled",
          kind: "charge",
          priority: "high",
          dueAtMs,
          key: null,
          payload: null,
          follows,
          onSuccess: { ...common, kind: "receipt", inMs: 0 },
          onDead: { ...common, kind: "alert", inMs: 300_000 }
        }
      ],
      [1, { _tag: "TaskClaimed", sessionId: 2 }],
      [2, started(1, 2)],
      [5, { _tag: "AttemptSucceeded", attempt: 1, result: null }]
    )
    const view = viewOf(linked)
    const [followerId] = view?.followedBy ?? []
    const lines = view === null ? [] : timeline(view, linked, paintFor(false)).split("\n")
    assert.includeMembers(lines, [
      `  follows     ${follows.taskId}`,
      "  on success  receipt, 1",
      "  on death    alert in 5 min, 1",
      `  followed    +5 ms           by ${followerId}, receipt`
    ])
  })

  it("says who let a parked task go on, and what the outside knew of it", () => {
    const parked = historyOf(
      [0, { _tag: "TaskScheduled", kind: "charge", priority: "high", dueAtMs, key: null, payload: null }],
      [1, { _tag: "TaskClaimed", sessionId: 2 }],
      [2, started(1, 2)],
      [9_000, { _tag: "TaskParked", attempt: 1, reason: "session-lost" }],
      [10_000, { _tag: "TaskResumed", reason: "not-done", dueAtMs: dueAtMs + 11_000 }],
      [11_000, { _tag: "TaskClaimed", sessionId: 2 }],
      [11_001, started(2, 11_001)],
      [20_000, { _tag: "TaskParked", attempt: 2, reason: "deadline" }],
      [21_000, { _tag: "TaskReconciled", attempt: 2, result: { chargeId: "ch_1" } }]
    )
    const view = viewOf(parked)
    const lines = (view === null ? "" : timeline(view, parked, paintFor(false))).split("\n")
    assert.strictEqual(lines[0], `${taskId}  charge  high  SUCCEEDED on attempt 2`)
    assert.include(lines, "  resumed     +10 s           not-done; due in 1 s")
    assert.include(lines, '  reconciled  +21 s      #2   done; result {"chargeId":"ch_1"}')
  })

  it("has the same words without colours", () => {
    const view = viewOf(history)
    const colored = view === null ? "" : timeline(view, history, paintFor(true))
    assert.include(colored, "\u001B[32m")
    const escape = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g")
    assert.strictEqual(colored.replaceAll(escape, ""), view === null ? "" : timeline(view, history, paintFor(false)))
  })

  it("splits the drift of every attempt into parts that add up", () => {
    for (const { claimLagMs, deliveryLagMs, dispatchLagMs, driftMs } of attemptsOf(history)) {
      assert.approximately(claimLagMs + (dispatchLagMs ?? 0) + deliveryLagMs, driftMs, 0.001)
    }
  })

  it("ends an attempt only with what ended it", () => {
    const running = historyOf(
      [0, { _tag: "TaskScheduled", kind: "k", priority: "low", dueAtMs, key: null, payload: null }],
      [1, { _tag: "TaskClaimed", sessionId: 1 }],
      [2, started(1, 1)],
      [5, { _tag: "CancelRequested", reason: null }]
    )
    assert.deepStrictEqual(
      attemptsOf(running).map(({ ended }) => ended),
      [null]
    )
    const cancelled = [
      ...running,
      ...historyOf([9, { _tag: "TaskCancelled", reason: null }]).map((event) => ({ ...event, version: 5 }))
    ]
    assert.deepStrictEqual(
      attemptsOf(cancelled).map(({ ended }) => ended),
      [{ event: "TaskCancelled", atMs: dueAtMs + 9, tookMs: 7 }]
    )
  })
})

describe("text of others", () => {
  it("cannot move the cursor, recolour or hide: control and formatting characters are shown", () => {
    assert.strictEqual(oneLine("a\u001B[31m\u0007\u202Eb\u009Bc"), "a\\u001b[31m\\u0007\\u202eb\\u009bc")
    assert.strictEqual(oneLine("two\r\nlines\tand 👩‍🔧"), "two lines and 👩‍🔧")
  })
  it("is cut to its limit", () => {
    assert.strictEqual(oneLine("x".repeat(300)).length, 200)
  })
})

describe("spans", () => {
  it("are shown with two units at most, without rounding up to a unit they do not reach", () => {
    const shown = [
      0, 0.42, 9.96, 41, 999.6, 1_000, 59_949, 59_960, 125_000, 3_599_000, 3_600_000, 11_400_000, 187_200_000
    ]
    assert.deepStrictEqual(shown.map(span), [
      "0 ms",
      "0.4 ms",
      "10 ms",
      "41 ms",
      "1 s",
      "1 s",
      "59.9 s",
      "1 min",
      "2 min 5 s",
      "59 min 59 s",
      "1 h",
      "3 h 10 min",
      "2 d 4 h"
    ])
    assert.deepStrictEqual(
      [offset(-1_400), offset(41), fromNow(60_000), fromNow(-2_100)],
      ["-1.4 s", "+41 ms", "in 1 min", "2.1 s ago"]
    )
  })
  it("are read as people write them, and nothing else is", () => {
    const read = ["500ms", "90s", "1h30m", "2 days", "250 millis", "1.5 h", "1 Week"].map((text) =>
      Option.getOrNull(millisecondsOf(text))
    )
    assert.deepStrictEqual(read, [500, 90_000, 5_400_000, 172_800_000, 250, 5_400_000, 604_800_000])
    for (const text of ["", "90", "soon", "-5s", "5x", "1h 30", "Infinity", "1e3s"])
      assert.isTrue(Option.isNone(millisecondsOf(text)), text)
  })
})
