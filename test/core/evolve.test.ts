import { assert, describe, it } from "@effect/vitest"
import { evolve } from "../../src/core/evolve.ts"
import { eventCodes, type EventBody, type TaskEvent } from "../../src/core/TaskEvent.ts"
import { stages, statusOf } from "../../src/core/TaskState.ts"
import { reached } from "./situations.ts"
import { startMs } from "./TaskActor.ts"

describe("evolve", () => {
  it("folds any event onto any state, and counts no charge below zero", () => {
    for (const [, , reach] of reached) {
      for (const body of bodies) {
        const before = reach().state
        const version = (before?.version ?? 0) + 1
        const event: TaskEvent = { ...body, taskId: "any", version, eventId: "any", atMs: startMs }
        const state = evolve(before, event)
        assert.include(stages, state.stage)
        assert.isAtLeast(state.charged, 0)
        assert.deepStrictEqual([state.version, state.eventId], [version, "any"])
      }
    }
  })

  it("knows a body for every event type", () => {
    assert.deepStrictEqual(new Set(bodies.map(({ _tag }) => _tag)), new Set(Object.keys(eventCodes)))
  })
})

describe("names that are stored", () => {
  it("keep their codes, for a stored event has nothing else", () => {
    assert.deepStrictEqual(eventCodes, {
      TaskScheduled: 1,
      TaskClaimed: 2,
      ClaimReleased: 3,
      AttemptStarted: 10,
      AttemptFailed: 11,
      AttemptSnoozed: 12,
      AttemptReleased: 13,
      AttemptExpired: 14,
      TaskParked: 15,
      TaskResumed: 20,
      TaskRedriven: 21,
      TaskRescheduled: 22,
      TaskReprioritised: 23,
      CancelRequested: 24,
      AttemptSucceeded: 30,
      TaskDeadLettered: 31,
      TaskCancelled: 32,
      TaskReconciled: 33,
      TaskExpired: 34
    })
  })

  it("give every stage one status word", () => {
    assert.deepStrictEqual(Object.keys(statusOf), [...stages])
  })
})

const error = { name: "Error", message: "no" }
const bodies: ReadonlyArray<EventBody> = [
  { _tag: "TaskExpired", error },
  { _tag: "TaskScheduled", kind: "k", priority: "low", dueAtMs: startMs, key: null, payload: null },
  { _tag: "TaskClaimed", sessionId: 1 },
  { _tag: "ClaimReleased", reason: "drained" },
  { _tag: "AttemptStarted", attempt: 1, sessionId: 1, deadlineAtMs: startMs, dispatchedAtMs: null },
  { _tag: "AttemptSucceeded", attempt: 1, result: null },
  { _tag: "AttemptFailed", attempt: 1, error, dueAtMs: startMs },
  { _tag: "AttemptSnoozed", attempt: 1, dueAtMs: startMs },
  { _tag: "AttemptReleased", attempt: 1, reason: "drained", dueAtMs: startMs },
  { _tag: "AttemptExpired", attempt: 1, reason: "deadline", dueAtMs: startMs },
  { _tag: "TaskParked", attempt: 1, reason: "deadline" },
  { _tag: "TaskResumed", reason: "run-now", dueAtMs: startMs },
  { _tag: "TaskReconciled", attempt: 1, result: null },
  { _tag: "TaskDeadLettered", attempt: 1, reason: "exhausted", error },
  { _tag: "TaskRedriven", dueAtMs: startMs },
  { _tag: "TaskRescheduled", dueAtMs: startMs },
  { _tag: "TaskReprioritised", priority: "low" },
  { _tag: "CancelRequested", reason: null },
  { _tag: "TaskCancelled", reason: null }
]
