import { assert, describe, it } from "@effect/vitest"
import { auditStream, StreamAuditor } from "../../src/core/audit.ts"
import type { EventBody, TaskEvent } from "../../src/core/TaskEvent.ts"

const taskId = "01a3185c-5033-7854-8cb8-bc983bcd1fea"

const streamOf = (...bodies: ReadonlyArray<EventBody>): ReadonlyArray<TaskEvent> =>
  bodies.map((body, index) => ({ ...body, taskId, version: index + 1, eventId: `e${index}`, atMs: 1_000 + index }))

const born: EventBody = {
  _tag: "TaskScheduled",
  kind: "mail",
  priority: "normal",
  dueAtMs: 1_000,
  key: null,
  payload: null
}
const claim: EventBody = { _tag: "TaskClaimed", sessionId: 1 }
const start: EventBody = { _tag: "AttemptStarted", attempt: 1, sessionId: 1, deadlineAtMs: 9_000, dispatchedAtMs: null }
const success: EventBody = { _tag: "AttemptSucceeded", attempt: 1, result: null }

describe("an auditor of a growing stream", () => {
  it("finds nothing in a life that is whole", () => {
    const auditor = new StreamAuditor(taskId)
    for (const event of streamOf(born, claim, start, success)) assert.deepStrictEqual(auditor.append(event), [])
    assert.strictEqual(auditor.state?.stage, "succeeded")
  })

  it("says at the append which sentence breaks, and the same as an audit of the whole", () => {
    const events = streamOf(born, claim, start, start, success, success)
    const auditor = new StreamAuditor(taskId)
    const found = events.map((event) => auditor.append(event))
    assert.deepStrictEqual(
      found.map((violations) => violations.length > 0),
      [false, false, false, true, false, true]
    )
    const whole = auditStream({ taskId, events, projections: [] }).filter(({ invariant }) => invariant !== "S10")
    const text = (all: ReadonlyArray<object>) => all.map((violation) => JSON.stringify(violation)).toSorted()
    assert.deepStrictEqual(text(found.flat()), text(whole))
  })
})
