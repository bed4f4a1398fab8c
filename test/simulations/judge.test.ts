import { assert, describe, it } from "@effect/vitest"
import { Judge, type Oracle, type Witnesses } from "../../simulations/chaos/judge.ts"
import { collectRepairs, type Repairs, summaryOf } from "../../simulations/chaos/repair.ts"
import type { EventBody, Json, TaskEvent } from "../../src/core/TaskEvent.ts"

const taskId = "01a20f2e-c1dd-73d0-918f-0daefd2379c8"

/** A history: bodies with the instants at which they were appended. */
const historyOf = (bodies: ReadonlyArray<readonly [atMs: number, body: EventBody]>): ReadonlyArray<TaskEvent> =>
  bodies.map(([atMs, body], index) => ({ ...body, taskId, version: index + 1, eventId: `event-${index + 1}`, atMs }))

const scheduled = (kind: string): EventBody => ({
  _tag: "TaskScheduled",
  kind,
  priority: "normal",
  dueAtMs: 1_000,
  key: null,
  payload: { workMs: 1, failures: 0, note: "given" }
})
const claimed: EventBody = { _tag: "TaskClaimed", sessionId: 1 }
const started = (attempt: number, sessionId = 2): EventBody => ({
  _tag: "AttemptStarted",
  attempt,
  sessionId,
  deadlineAtMs: 9_000,
  dispatchedAtMs: null
})
const succeeded = (attempt: number, result: Json = null): EventBody => ({ _tag: "AttemptSucceeded", attempt, result })
const failed = (attempt: number): EventBody => ({
  _tag: "AttemptFailed",
  attempt,
  error: { name: "Unlucky", message: "" },
  dueAtMs: 1_500
})
const expired = (attempt: number): EventBody => ({
  _tag: "AttemptExpired",
  attempt,
  reason: "session-lost",
  dueAtMs: 2_000
})
const dead = {
  _tag: "TaskDeadLettered",
  attempt: 1,
  reason: "exhausted",
  error: { name: "Unlucky", message: "" }
} as const satisfies EventBody

/** What is held against a task of this kind, with this history and these witnesses. */
const heldAgainst = (
  kind: string,
  bodies: ReadonlyArray<readonly [atMs: number, body: EventBody]>,
  witnesses: Partial<Witnesses> = {}
): ReadonlyArray<Oracle> => {
  const judge = new Judge({
    acknowledged: new Map([[taskId, kind]]),
    effects: new Map(),
    calls: new Map(),
    revisions: new Map(),
    ...witnesses
  })
  judge.judge({ taskId, events: historyOf([[0, scheduled(kind)], ...bodies]), projections: [] })
  judge.close()
  return judge.findings.map(({ oracle }) => oracle)
}

const once: ReadonlyArray<readonly [number, EventBody]> = [
  [500, claimed],
  [1_000, started(1)],
  [1_100, succeeded(1)]
]
/** The worker of the first attempt dies. */
const twice: ReadonlyArray<readonly [number, EventBody]> = [
  [500, claimed],
  [1_000, started(1)],
  [6_000, expired(1)],
  [6_100, claimed],
  [6_200, started(2)],
  [6_300, succeeded(2)]
]
const row = (...attempts: ReadonlyArray<number>) => ({ effects: new Map([[taskId, attempts]]) })
const calls = (...made: ReadonlyArray<readonly [attempt: number, fence: number]>) => ({
  calls: new Map([[taskId, made.map(([attempt, fence]) => ({ attempt, fence }))]])
})

describe("the judge of a chaos run", () => {
  it("counts what the outside found done as ended", () => {
    const parked: EventBody = { _tag: "TaskParked", attempt: 1, reason: "session-lost" }
    const done: EventBody = { _tag: "TaskReconciled", attempt: 1, result: null }
    const history = [
      [500, claimed],
      [1_000, started(1)],
      [6_000, parked],
      [6_100, done]
    ] as const
    assert.deepStrictEqual(heldAgainst("chaos.call-once", history, calls([1, 3])), [])
  })

  it("holds nothing against what is as promised", () => {
    assert.deepStrictEqual(heldAgainst("chaos.plain", once), [])
    assert.deepStrictEqual(heldAgainst("chaos.commit", once, row(1)), [])
    assert.deepStrictEqual(heldAgainst("chaos.commit", twice, row(2)), [])
    assert.deepStrictEqual(heldAgainst("chaos.call", twice, calls([1, 3], [2, 6])), [])
    assert.deepStrictEqual(
      heldAgainst("chaos.doomed", [
        [500, claimed],
        [1_000, started(1)],
        [1_100, dead]
      ]),
      []
    )
  })

  it("misses a task that was acknowledged and has no history, and one that never ended", () => {
    const judge = new Judge({
      acknowledged: new Map([[taskId, "chaos.plain"]]),
      effects: new Map(),
      calls: new Map(),
      revisions: new Map()
    })
    judge.close()
    assert.deepStrictEqual(
      judge.findings.map(({ oracle }) => oracle),
      ["lost"]
    )
    assert.deepStrictEqual(heldAgainst("chaos.plain", once.slice(0, 2)), ["lost"])
  })

  it("sees a task that nobody was told of", () => {
    assert.deepStrictEqual(heldAgainst("chaos.plain", once, { acknowledged: new Map() }), ["unknown"])
  })

  it("sees a row too few, a row too many, and the row of an attempt that did not succeed", () => {
    assert.deepStrictEqual(heldAgainst("chaos.commit", once), ["effects"])
    assert.deepStrictEqual(heldAgainst("chaos.commit", once, row(1, 1)), ["effects"])
    assert.deepStrictEqual(heldAgainst("chaos.commit", twice, row(1, 2)), ["effects"])
    assert.deepStrictEqual(heldAgainst("chaos.commit", twice, row(1)), ["effects"])
  })

  it("sees a call without a start, two calls of one attempt, and a repeated one that nothing explains", () => {
    assert.deepStrictEqual(heldAgainst("chaos.call", once, calls([1, 3], [2, 5])), ["calls", "calls"])
    assert.deepStrictEqual(heldAgainst("chaos.call", once, calls([1, 3], [1, 3])), ["calls"])
    assert.deepStrictEqual(heldAgainst("chaos.call", once, calls([1, 2])), ["calls"])
    assert.deepStrictEqual(heldAgainst("chaos.call", once), ["calls"])
    // Where the policy parks, an interrupted attempt is repeated by nobody but a person.
    assert.deepStrictEqual(heldAgainst("chaos.call-once", twice, calls([1, 3], [2, 6])), ["calls"])
  })

  it("sees what a revision of the kinds ran that it does not know, and what it ran as the other one would", () => {
    const ranBy = (revision: "present" | "before") => ({ revisions: new Map([[2, revision]]) })
    assert.deepStrictEqual(heldAgainst("chaos.fresh", once, ranBy("present")), [])
    assert.deepStrictEqual(heldAgainst("chaos.fresh", once, ranBy("before")), ["revisions"])
    const retried = [...twice.slice(0, 2), [1_100, failed(1)], ...twice.slice(3)] as typeof twice
    assert.deepStrictEqual(heldAgainst("chaos.fresh", retried, ranBy("present")), ["revisions"])
    const answered = (result: Json) => [...once.slice(0, 2), [1_100, succeeded(1, result)]] as typeof once
    assert.deepStrictEqual(heldAgainst("chaos.plain", answered("given"), ranBy("present")), [])
    assert.deepStrictEqual(heldAgainst("chaos.plain", answered("none"), ranBy("present")), ["revisions"])
    assert.deepStrictEqual(heldAgainst("chaos.plain", answered(null), ranBy("before")), [])
  })

  it("lets each revision decide by its own policy when a failure is the last", () => {
    /** Fails until the last attempt, which is dead; each attempt is run by the session of its number. */
    const doomed = (attempts: number): ReadonlyArray<readonly [number, EventBody]> =>
      Array.from({ length: attempts }, (_, index) => index + 1).flatMap((attempt) => [
        [1_500 + attempt, claimed] as const,
        [2_000 + attempt, started(attempt, attempt)] as const,
        [2_001 + attempt, attempt === attempts ? { ...dead, attempt } : failed(attempt)] as const
      ])
    const ranBy = (...revisions: ReadonlyArray<"present" | "before">) => ({
      revisions: new Map(revisions.map((revision, index) => [index + 1, revision]))
    })
    const three = ranBy("before", "present", "present")
    assert.deepStrictEqual(heldAgainst("chaos.doomed", doomed(3), three), [])
    assert.deepStrictEqual(heldAgainst("chaos.doomed", doomed(3), ranBy("present", "present", "before")), ["revisions"])
    const four = ranBy("present", "present", "before", "present")
    assert.deepStrictEqual(heldAgainst("chaos.doomed", doomed(4), four), [])
    const past = ranBy("present", "present", "present", "before")
    assert.deepStrictEqual(heldAgainst("chaos.doomed", doomed(4), past), ["revisions", "revisions"])
  })

  it("sees an early start, and a dead letter that had better succeeded", () => {
    assert.deepStrictEqual(
      heldAgainst("chaos.plain", [
        [500, claimed],
        [999, started(1)],
        [1_100, succeeded(1)]
      ]),
      ["early"]
    )
    assert.deepStrictEqual(
      heldAgainst("chaos.plain", [
        [500, claimed],
        [1_000, started(1)],
        [1_100, dead]
      ]),
      ["deadLetters"]
    )
  })
})

describe("the repair of what a killed process held", () => {
  const repairsOf = (bodies: ReadonlyArray<readonly [number, EventBody]>, killed: ReadonlyMap<number, number>) => {
    const repairs: Repairs = { attempts: [], claims: [] }
    collectRepairs(historyOf(bodies), killed, repairs)
    return repairs
  }

  it("lasts from the kill to the event that takes the attempt or the claim from it", () => {
    assert.deepStrictEqual(repairsOf(twice, new Map([[2, 1_500]])), { attempts: [4_500], claims: [] })
    assert.deepStrictEqual(repairsOf(twice, new Map([[1, 600]])), { attempts: [], claims: [400] })
  })

  it("counts nothing that had ended before the kill, or that its own last message ended", () => {
    assert.deepStrictEqual(repairsOf(twice, new Map([[2, 7_000]])), { attempts: [], claims: [] })
    assert.deepStrictEqual(repairsOf(once, new Map([[2, 1_050]])), { attempts: [], claims: [] })
  })

  it("is told as percentiles", () => {
    const samples = Array.from({ length: 100 }, (_, index) => 100 - index)
    assert.deepStrictEqual(summaryOf(samples), { count: 100, p50Ms: 50, p99Ms: 99, maxMs: 100 })
    assert.deepStrictEqual(summaryOf([]), { count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 })
  })
})
