import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, type Layer, Schema } from "effect"
import { defaultRetryPolicy } from "../../src/core/RetryPolicy.ts"
import type { Duetime } from "../../src/Duetime.ts"
import type { Receipt, ScheduleError } from "../../src/Scheduling.ts"
import type { HandlerConflict, KeyConflict } from "../../src/DuetimeError.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import type { Attempt, Handlers, Interrupted } from "../../src/worker/Handlers.ts"

describe("a kind's policy", () => {
  it("has defaults that are good enough to leave it out", () => {
    assert.deepStrictEqual(Task.define("a", { payload: {} }).policy, {
      kind: "a",
      queue: "default",
      priority: "normal",
      retry: defaultRetryPolicy,
      timeoutMs: 60_000,
      dueJitter: null,
      onInterrupted: "retry",
      deathsMax: 3,
      caps: null
    })
  })

  it("holds what was asked for, as plain data in milliseconds", () => {
    const kind = Task.define("billing.charge-card_2", {
      payload: {},
      queue: "billing",
      retry: RetryPolicy.listed({ delays: ["1 minute", "1 hour", "1 day"] }),
      timeout: "5 minutes",
      priority: "critical",
      dueJitter: { from: "1 second", to: "5 seconds" },
      onInterrupted: "park",
      deathsMax: 5,
      caps: { concurrency: 10, perSecond: 0.5 }
    })
    assert.deepStrictEqual(kind.policy, {
      kind: "billing.charge-card_2",
      queue: "billing",
      priority: "critical",
      retry: { attemptsMax: 4, delay: { _tag: "Listed", delaysMs: [60_000, 3_600_000, 86_400_000] }, jitter: "none" },
      timeoutMs: 300_000,
      dueJitter: { fromMs: 1_000, toMs: 5_000 },
      onInterrupted: "park",
      deathsMax: 5,
      caps: { concurrencyMax: 10, startsPerSecondMax: 0.5 }
    })
  })

  const unread = (text: string) => JSON.parse(text)
  const mistakes: ReadonlyArray<readonly [string, () => unknown]> = [
    ["kind is ''", () => Task.define("", { payload: {} })],
    ["kind is 'Send'", () => Task.define("Send", { payload: {} })],
    ["kind is '1st'", () => Task.define("1st", { payload: {} })],
    ["kind is 'a b'", () => Task.define("a b", { payload: {} })],
    ["kind is 'aaa", () => Task.define("a".repeat(101), { payload: {} })],
    ["queue is 'a/b'", () => Task.define("a", { payload: {}, queue: "a/b" })],
    ["priority is 'urgent'", () => Task.define("a", { payload: {}, ...unread('{"priority":"urgent"}') })],
    ["onInterrupted is 'skip'", () => Task.define("a", { payload: {}, ...unread('{"onInterrupted":"skip"}') })],
    ["deathsMax is 0", () => Task.define("a", { payload: {}, deathsMax: 0 })],
    ["deathsMax is 1001", () => Task.define("a", { payload: {}, deathsMax: 1_001 })],
    ["deathsMax is 2.5", () => Task.define("a", { payload: {}, deathsMax: 2.5 })],
    ["deathsMax is '3'", () => Task.define("a", { payload: {}, ...unread('{"deathsMax":"3"}') })],
    ["timeout is 0", () => Task.define("a", { payload: {}, timeout: 0 })],
    ["timeout is '2 days'", () => Task.define("a", { payload: {}, timeout: "2 days" })],
    ["timeout is NaN", () => Task.define("a", { payload: {}, timeout: Number.NaN })],
    ["timeout is 'Infinity'", () => Task.define("a", { payload: {}, timeout: "Infinity" })],
    ["dueJitter.to is '1 second'", () => Task.define("a", { payload: {}, dueJitter: { from: 2_000, to: "1 second" } })],
    ["dueJitter.to is '2 days'", () => Task.define("a", { payload: {}, dueJitter: { to: "2 days" } })],
    ["retry.attemptsMax is 0", () => RetryPolicy.fixed({ delay: 1, attemptsMax: 0 })],
    ["retry.attemptsMax is 1001", () => RetryPolicy.fixed({ delay: 1, attemptsMax: 1_001 })],
    ["retry.attemptsMax is 1.5", () => RetryPolicy.fixed({ delay: 1, attemptsMax: 1.5 })],
    ["retry.delay is -1", () => RetryPolicy.fixed({ delay: -1 })],
    ["retry.delays is []", () => RetryPolicy.listed({ delays: [] })],
    ["retry.delays[1] is '400 days'", () => RetryPolicy.listed({ delays: [1, "400 days"] })],
    ["retry.cap is '1 second'", () => RetryPolicy.exponential({ base: "2 seconds", cap: "1 second" })],
    ["retry.factor is 0.5", () => RetryPolicy.exponential({ base: 1, cap: 2, factor: 0.5 })],
    ["caps is {}", () => Task.define("a", { payload: {}, caps: {} })],
    ["caps.concurrency is 0", () => Task.define("a", { payload: {}, caps: { concurrency: 0 } })],
    ["caps.concurrency is 1.5", () => Task.define("a", { payload: {}, caps: { concurrency: 1.5 } })],
    ["caps.concurrency is 100001", () => Task.define("a", { payload: {}, caps: { concurrency: 100_001 } })],
    ["caps.concurrency is '10'", () => Task.define("a", { payload: {}, ...unread('{"caps":{"concurrency":"10"}}') })],
    ["caps.perSecond is 0", () => Task.define("a", { payload: {}, caps: { perSecond: 0 } })],
    ["caps.perSecond is NaN", () => Task.define("a", { payload: {}, caps: { concurrency: 1, perSecond: Number.NaN } })],
    ["caps.perSecond is 100001", () => Task.define("a", { payload: {}, caps: { perSecond: 100_001 } })],
    [
      'onInterrupted is \'retry\'. A reconciler is asked about parked tasks: define "a" with onInterrupted: "park"',
      () =>
        Task.define("a", { payload: {} }).handle(() => Effect.void, { reconcile: () => Effect.succeed(Task.done()) })
    ],
    [
      "onInterrupted is 'retry'. A reconciler",
      () => Task.define("a", { payload: {} }).handleAsync(async () => {}, { reconcile: async () => Task.done() })
    ],
    [
      "reconcile is true",
      () =>
        Task.define("a", { payload: {}, onInterrupted: "park" }).handleAsync(
          async () => {},
          unread('{"reconcile":true}')
        )
    ],
    ["snooze is -1", () => Task.snooze(-1)],
    ["retryIn is NaN", () => Task.retryIn(Number.NaN, "x")],
    ["retryIn is '400 days'", () => Task.retryIn("400 days", "x", { calendar: { zone: "UTC" } })],
    ["calendar is undefined", () => Task.retryIn({ businessDays: 1, at: "10:00" }, "x")],
    ["at is 'tomorrow'", () => Task.retryAt("tomorrow", "x")],
    ['calendar.zone is "Mars": ', () => Task.retryAt(0, "x", { calendar: { zone: "Mars" } })],
    ["calendar.weekdays is ", () => RetryPolicy.fixed({ delay: 1, calendar: { zone: "UTC", weekdays: [] } })]
  ]
  for (const [says, make] of mistakes) {
    it(`is refused at once when ${says}`, () => {
      assert.throws(make, `OptionsRejected: ${says}`)
    })
  }
})

describe("retry policies", () => {
  it("never has one attempt", () => {
    assert.strictEqual(RetryPolicy.never.attemptsMax, 1)
  })

  it("exponential doubles with full jitter unless told otherwise", () => {
    assert.deepStrictEqual(RetryPolicy.exponential({ base: "1 second", cap: "10 minutes" }), defaultRetryPolicy)
  })
})

describe("types", () => {
  class Mailer extends Context.Service<Mailer, { readonly send: (to: string) => Effect.Effect<void, Error> }>()(
    "test/Mailer"
  ) {}
  const Mail = Task.define("mail", {
    onInterrupted: "park",
    payload: { to: Schema.String, copies: Schema.optionalKey(Schema.Int) },
    result: Schema.Struct({ messageId: Schema.String })
  })
  const Plain = Task.define("plain", { payload: Schema.Array(Schema.Date), onInterrupted: "park" })

  it("a payload is what its fields or its schema say", () => {
    expectTypeOf(Mail.schedule).parameter(0).toEqualTypeOf<{ readonly to: string; readonly copies?: number }>()
    expectTypeOf(Plain.schedule).parameter(0).toEqualTypeOf<ReadonlyArray<Date>>()
    // @ts-expect-error a field is missing
    assert.isDefined(Mail.schedule({}))
    // @ts-expect-error a field has the wrong type
    assert.isDefined(Mail.schedule({ to: 7 }))
    // @ts-expect-error a field is not known
    assert.isDefined(Mail.schedule({ to: "a", cc: "b" }))
  })

  it("scheduling asks for the client and names what can go wrong", () => {
    expectTypeOf(Mail.schedule({ to: "a" })).toEqualTypeOf<
      Effect.Effect<Receipt, ScheduleError | KeyConflict, Duetime>
    >()
  })

  it("a handler gets the payload and the attempt, and its needs become the layer's", () => {
    const layer = Mail.handle((payload, attempt) => {
      expectTypeOf(payload).toEqualTypeOf<{ readonly to: string; readonly copies?: number }>()
      expectTypeOf(attempt).toEqualTypeOf<Attempt<{ readonly messageId: string }>>()
      return Effect.as(
        Mailer.use((mailer) => mailer.send(payload.to)),
        { messageId: "1" }
      )
    })
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<never, HandlerConflict, Handlers | Mailer>>()
    const scoped = Plain.handle(() => Effect.addFinalizer(() => Effect.void))
    expectTypeOf(scoped).toEqualTypeOf<Layer.Layer<never, HandlerConflict, Handlers>>()
  })

  it("a handler of a kind with a result schema must return it", () => {
    // @ts-expect-error nothing is no result
    assert.isDefined(Mail.handle(() => Effect.void))
    // @ts-expect-error nothing is no result
    assert.isDefined(Mail.handleAsync(async () => {}))
    assert.isDefined(Plain.handleAsync(async () => {}))
    assert.isDefined(Mail.handleAsync(async () => ({ messageId: "1" })))
    // @ts-expect-error what is committed is the result
    assert.isDefined(Mail.handle((_, attempt) => attempt.commit(() => Effect.succeed({ messageId: 1 }))))
  })

  it("a reconciler gets the payload and the interrupted attempt, answers with the result, and its needs join the layer's", () => {
    const layer = Mail.handle(() => Effect.succeed({ messageId: "1" }), {
      reconcile: (payload, interrupted) => {
        expectTypeOf(payload).toEqualTypeOf<{ readonly to: string; readonly copies?: number }>()
        expectTypeOf(interrupted).toEqualTypeOf<Interrupted>()
        return Effect.as(
          Mailer.use((mailer) => mailer.send(payload.to)),
          interrupted.ask > 3 ? Task.unknown : Task.done({ messageId: "1" })
        )
      }
    })
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<never, HandlerConflict, Handlers | Mailer>>()
    const sent = async () => ({ messageId: "1" })
    assert.isDefined(Mail.handleAsync(sent, { reconcile: async () => Task.notDone }))
    assert.isDefined(Plain.handleAsync(async () => {}, { reconcile: async () => Task.done() }))
    // @ts-expect-error done without the result that the kind has
    assert.isDefined(Mail.handleAsync(sent, { reconcile: async () => Task.done() }))
    // @ts-expect-error another result
    assert.isDefined(Mail.handleAsync(sent, { reconcile: async () => Task.done({ messageId: 1 }) }))
    // @ts-expect-error the result itself is no answer
    assert.isDefined(Mail.handleAsync(sent, { reconcile: sent }))
    // @ts-expect-error nothing is no answer
    assert.isDefined(Plain.handle(() => Effect.void, { reconcile: () => Effect.void }))
  })

  it("a schema that needs services cannot be a payload: neither a client nor a worker has them", () => {
    expectTypeOf<Schema.Codec<string, string, Mailer, never>>().not.toExtend<Task.PlainSchema>()
    expectTypeOf<Schema.Codec<string, string, never, Mailer>>().not.toExtend<Task.PlainSchema>()
    expectTypeOf<Schema.Codec<string, string>>().toExtend<Task.PlainSchema>()
  })
})
