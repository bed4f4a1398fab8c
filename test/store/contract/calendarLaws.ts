import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Calendar } from "../../../src/core/calendar/Calendar.ts"
import type { Due } from "../../../src/core/calendar/Due.ts"
import type { RetryPolicy } from "../../../src/core/RetryPolicy.ts"
import { batchSizeMax, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  claimed,
  failure,
  finish,
  finished,
  newEventId,
  only,
  policyOf,
  running,
  servedKind,
  start,
  startedOf,
  stateOf,
  StoreControl,
  storeNowMs,
  succeed,
  withOwnDelays,
  type Law
} from "./world.ts"

const dayMs = 86_400_000
const minuteMs = 60_000

/** Closed today and tomorrow, with the instant at which it opens. */
const closedNow = Effect.map(storeNowMs, (nowMs) => {
  const today = Math.floor(nowMs / dayMs)
  const weekday = new Date((today + 2) * dayMs).getUTCDay() || 7
  const calendar: Calendar = { zone: "UTC", weekdays: [weekday], hours: { from: "09:00", until: "17:00" } }
  return { calendar, opensMs: (today + 2) * dayMs + 9 * 60 * minuteMs }
})

const alwaysOpen: Calendar = { zone: "UTC", weekdays: [1, 2, 3, 4, 5, 6, 7] }

const minuteLater = (calendar: Calendar): RetryPolicy => ({
  attemptsMax: 3,
  delay: { _tag: "Fixed", delayMs: minuteMs },
  jitter: "none",
  calendar
})

const dueOf = (taskId: string) => Effect.map(stateOf(taskId), ({ dueAtMs }) => dueAtMs)

export const calendarLaws = (law: Law): void => {
  law("a retry on closed time is due when the policy's calendar is open again", () =>
    Effect.gen(function* () {
      const { calendar, opensMs } = yield* closedNow
      const kind = yield* servedKind({ retry: minuteLater(calendar) })
      const { taskId } = yield* finished(yield* running(kind), failure, "pending")
      assert.strictEqual(yield* dueOf(taskId), opensMs)
      const { tasks } = yield* (yield* TaskStore).find({ stage: "pending", kind, limit: 10 })
      assert.deepStrictEqual(tasks, [yield* stateOf(taskId)])
    })
  )

  law("a retry on open time is due after its delay, as without a calendar", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind({ retry: minuteLater(alwaysOpen) })
      const { taskId } = yield* finished(yield* running(kind), failure, "pending")
      const event = (yield* (yield* TaskStore).history(taskId)).at(-1)
      // By an estimate of the database's clock.
      assert.closeTo(yield* dueOf(taskId), (event?.atMs ?? 0) + minuteMs, 250)
    })
  )

  law("so is the retry of an attempt whose worker has died, which the store decides by the announced policy", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const { calendar, opensMs } = yield* closedNow
      const kind = yield* servedKind({ retry: minuteLater(calendar) })
      const sessionId = yield* control.secondSession
      const { taskId } = startedOf(yield* start(yield* claimed(kind), { sessionId }))
      yield* control.killSession(sessionId)
      yield* (yield* TaskStore).expire(batchSizeMax)
      const { dueAtMs, stage } = yield* stateOf(taskId)
      assert.deepStrictEqual([stage, dueAtMs], ["pending", opensMs])
    })
  )

  law("so is the retry of a parked attempt that has done nothing", () =>
    Effect.gen(function* () {
      const [control, store] = [yield* StoreControl, yield* TaskStore]
      const { calendar, opensMs } = yield* closedNow
      const kind = yield* servedKind({ retry: minuteLater(calendar), onInterrupted: "park" })
      const sessionId = yield* control.secondSession
      const { taskId } = startedOf(yield* start(yield* claimed(kind), { sessionId }))
      yield* control.killSession(sessionId)
      yield* store.expire(batchSizeMax)
      yield* control.hastenAsk(taskId)
      const { fence } = only(yield* store.takeParked({ kinds: [kind], limit: 10 }))
      const answer = { _tag: "NotDone" } as const
      yield* store.reconcile({ taskId, fence, answer, policy: policyOf(kind), eventId: yield* newEventId })
      const { dueAtMs, stage } = yield* stateOf(taskId)
      assert.deepStrictEqual([stage, dueAtMs], ["pending", opensMs])
    })
  )

  law("a handler names the instant itself, by a calendar of its own or without one, whatever the policy says", () =>
    Effect.gen(function* () {
      const { calendar, opensMs } = yield* closedNow
      const kind = yield* servedKind({ retry: minuteLater(alwaysOpen) })
      yield* withOwnDelays(kind)
      const retried = Effect.fnUntraced(function* (retryDue: Due) {
        const { taskId } = yield* finished(yield* running(kind), { ...failure, retryDue }, "pending")
        return yield* dueOf(taskId)
      })
      assert.strictEqual(yield* retried({ _tag: "At", atMs: opensMs + 7, calendar: null }), opensMs + 7)
      assert.strictEqual(yield* retried({ _tag: "At", atMs: opensMs - dayMs, calendar }), opensMs)
      assert.strictEqual(yield* retried({ _tag: "In", inMs: minuteMs, calendar }), opensMs)
      const tenOClock = { _tag: "BusinessDays", days: 1, timeMs: 600 * minuteMs, calendar } as const
      assert.strictEqual(yield* retried(tenOClock), opensMs + 60 * minuteMs)
      assert.strictEqual(yield* retried({ ...tenOClock, days: 2 }), opensMs + 60 * minuteMs + 7 * dayMs)
      const pastMs = yield* retried({ _tag: "At", atMs: 1_000, calendar: null })
      assert.closeTo(pastMs, yield* storeNowMs, 5_000)
    })
  )

  law("outcomes of all sorts are recorded in one batch, each with its own due time", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const { calendar, opensMs } = yield* closedNow
      const [plain, moved] = [yield* servedKind(), yield* servedKind({ retry: minuteLater(calendar) })]
      yield* withOwnDelays(plain)
      const attempts = [yield* running(plain), yield* running(moved), yield* running(plain)] as const
      const outcomes = [{ ...failure, retryInMs: 5_000 }, failure, succeed] as const
      const eventIds = [yield* newEventId, yield* newEventId, yield* newEventId]
      const requests = attempts.map((started, index) => ({
        started,
        outcome: outcomes[index] ?? succeed,
        eventId: eventIds[index] ?? "",
        policy: policyOf(started.kind)
      }))
      const answers = yield* store.finish(requests)
      assert.deepStrictEqual(
        answers.map((answer) => answer._tag === "Recorded" && answer.stage),
        ["pending", "pending", "succeeded"]
      )
      const event = (yield* store.history(attempts[0].taskId)).at(-1)
      assert.strictEqual(yield* dueOf(attempts[0].taskId), Math.ceil((event?.atMs ?? 0) + 5_000))
      assert.strictEqual(yield* dueOf(attempts[1].taskId), opensMs)
      assert.deepStrictEqual(yield* store.finish(requests), answers)
    })
  )

  law("a task that expires before its calendar opens is not tried again", () =>
    Effect.gen(function* () {
      const { calendar, opensMs } = yield* closedNow
      const kind = yield* servedKind({ retry: minuteLater(calendar) })
      const early = yield* running(kind, { expiresAtMs: opensMs })
      assert.deepStrictEqual(yield* finish(early, failure), { _tag: "Recorded", stage: "expired" })
      const late = yield* running(kind, { expiresAtMs: opensMs + 1 })
      assert.deepStrictEqual(yield* finish(late, failure), { _tag: "Recorded", stage: "pending" })
    })
  )
}
