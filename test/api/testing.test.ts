import { assert, it } from "@effect/vitest"
import { Cause, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { RetryPolicy, Task } from "../../src/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const SendReminder = Task.define("send-reminder", {
  payload: { email: Schema.String, text: Schema.String },
  retry: RetryPolicy.exponential({ base: "1 second", cap: "10 minutes", attemptsMax: 8 }),
  timeout: "30 seconds",
  priority: "high"
})

const reminders = SendReminder.handle(() => Effect.void)

it.effect("a task of three hours later starts on the millisecond, and its history says so", () =>
  Effect.gen(function* () {
    const { id } = yield* SendReminder.schedule({ email: "ada@example.com", text: "hi" }, { in: "3 hours" })
    yield* TestClock.adjust("3 hours")
    assert.deepStrictEqual(
      (yield* TestDuetime.history(id)).map((event) => event._tag),
      ["TaskScheduled", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"]
    )
    assert.deepStrictEqual(yield* TestDuetime.driftMs(id), [0])
  }).pipe(Effect.provide(TestDuetime.layer(reminders)))
)

it.live("TestDuetime cannot move a clock that runs by itself, and says what to do", () =>
  Effect.gen(function* () {
    const cause = yield* TestDuetime.pass("1 hour").pipe(Effect.sandbox, Effect.flip)
    assert.include(Cause.pretty(cause), "it.effect of @effect/vitest")
  }).pipe(Effect.provide(TestDuetime.layer(reminders)))
)

const Flaky = Task.define("flaky", {
  payload: {},
  retry: RetryPolicy.listed({ delays: ["1 minute", "10 minutes", "1 hour"] })
})

it.effect("untilEnded passes the delays between attempts, and every attempt starts when it is due", () => {
  const flaky = Flaky.handle((_, attempt) => (attempt.number < 4 ? Effect.fail("not yet") : Effect.void))
  return Effect.gen(function* () {
    const { id } = yield* Flaky.schedule({})
    assert.strictEqual(yield* TestDuetime.untilEnded(id), "succeeded")
    assert.deepStrictEqual(yield* TestDuetime.driftMs(id), [0, 0, 0, 0])
    assert.strictEqual(yield* TestClock.testClockWith((clock) => clock.currentTimeMillis), 4_260_000)
  }).pipe(Effect.provide(TestDuetime.layer(flaky)))
})

it.effect("runAllDue runs what is due within the limit, and nothing after it", () => {
  const ran: Array<string> = []
  const handlers = Layer.mergeAll(
    SendReminder.handle(({ text }) => Effect.sync(() => ran.push(text)).pipe(Effect.delay("10 seconds"))),
    Flaky.handle(() => Effect.void)
  )
  return Effect.gen(function* () {
    yield* SendReminder.schedule({ email: "ada@example.com", text: "evening" }, { in: "9 hours" })
    yield* SendReminder.schedule({ email: "ada@example.com", text: "now" })
    yield* SendReminder.schedule({ email: "ada@example.com", text: "next week" }, { in: "7 days" })
    yield* TestDuetime.runAllDue("1 day")
    assert.deepStrictEqual(ran, ["now", "evening"])
  }).pipe(Effect.provide(TestDuetime.layer(handlers)))
})

it.effect("untilEnded stops at a parked task, and a few seconds later its reconciler has been asked", () => {
  const Charge = Task.define("charge", { payload: {}, timeout: "1 second", onInterrupted: "park" })
  const charges = Charge.handle(() => Effect.never, { reconcile: () => Effect.succeed(Task.done()) })
  return Effect.gen(function* () {
    const { id } = yield* Charge.schedule({})
    assert.strictEqual(yield* TestDuetime.untilEnded(id), "parked")
    yield* TestDuetime.pass("5 seconds")
    assert.strictEqual(yield* TestDuetime.untilEnded(id), "succeeded")
  }).pipe(Effect.provide(TestDuetime.layer(charges)))
})
