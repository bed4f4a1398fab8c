import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Duetime } from "../../src/Duetime.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import { errorMessageLengthMax } from "../../src/worker/errorText.ts"
import { itRuns, passMs } from "./process.ts"

const Work = Task.define("work", {
  payload: { name: Schema.String },
  retry: RetryPolicy.fixed({ delay: "1 second", attemptsMax: 3 })
})

/** The view of the only task of a test after some time. */
const viewAfter = (ms: number, payload = { name: "one" }) =>
  Effect.gen(function* () {
    const { id } = yield* Work.schedule(payload)
    yield* passMs(ms)
    return yield* Duetime.use((duetime) => duetime.get(id))
  })

const tagsOf = (id: string) =>
  Effect.map(
    Duetime.use((duetime) => duetime.history(id)),
    (history) => history.map((event) => event._tag)
  )

describe("what a handler's end becomes", () => {
  itRuns("a result is kept as JSON", () => ({
    handlers: Work.handle(({ name }) => Effect.succeed({ hello: name, at: undefined })),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(10)
      assert.strictEqual(view.stage, "succeeded")
      assert.deepStrictEqual(view.result, { hello: "one" })
    })
  }))

  for (const [what, result] of [
    ["a function", () => 1],
    ["a text with U+0000", "a\u0000b"],
    ["a bigint", 1n],
    ["a class instance", new Map([["a", 1]])],
    ["more than 64 KiB", "x".repeat(65 * 1024)]
  ] as const) {
    itRuns(`a result that is ${what} is recorded as null, because a retry would repeat the effects`, () => ({
      handlers: Work.handle(() => Effect.succeed(result)),
      test: Effect.gen(function* () {
        const view = yield* viewAfter(10)
        assert.strictEqual(view.stage, "succeeded")
        assert.strictEqual(view.attempts, 1)
        assert.strictEqual(view.result, null)
      })
    }))
  }

  itRuns("a failure is retried by the policy until the attempts are used up, with the last error kept", () => ({
    handlers: Work.handle((_, { number }) => Effect.fail(new Error(`broken ${number}`))),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(2_000)
      assert.strictEqual(view.stage, "dead")
      assert.strictEqual(view.deadReason, "exhausted")
      assert.strictEqual(view.lastError?.message, "broken 3")
      const attempt = ["TaskClaimed", "AttemptStarted", "AttemptFailed"]
      const last = ["TaskClaimed", "AttemptStarted", "TaskDeadLettered"]
      assert.deepStrictEqual(yield* tagsOf(view.id), ["TaskScheduled", ...attempt, ...attempt, ...last])
    })
  }))

  itRuns("snooze tries again later and gives the attempt back", () => ({
    handlers: Work.handle((_, { number }) => (number <= 5 ? Task.snooze("1 minute") : Effect.void)),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(5 * 60_000)
      // Five snoozes, although the policy has three attempts.
      assert.strictEqual(view.stage, "succeeded")
      assert.strictEqual(view.attempts, 6)
    })
  }))

  itRuns("discard makes a dead letter that says why", () => ({
    handlers: Work.handle(() => Effect.fail(Task.discard("the customer is gone"))),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(10)
      assert.strictEqual(view.deadReason, "discarded")
      assert.strictEqual(view.lastError?.message, "the customer is gone")
    })
  }))

  itRuns("fatal makes a dead letter at the first attempt", () => ({
    handlers: Work.handle(() => Effect.fail(Task.fatal(new Error("card is stolen")))),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(10)
      assert.strictEqual(view.attempts, 1)
      assert.strictEqual(view.deadReason, "not-retryable")
      assert.strictEqual(view.lastError?.message, "card is stolen")
    })
  }))

  itRuns("retryIn replaces the policy's delay for one failure", () => ({
    handlers: Work.handle((_, { number }) =>
      number === 1 ? Effect.fail(Task.retryIn("10 seconds", new Error("503"))) : Effect.void
    ),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(9_999)
      assert.strictEqual(view.stage, "claimed")
      assert.strictEqual(view.lastError?.message, "503")
      yield* passMs(1)
      assert.strictEqual((yield* Duetime.use((duetime) => duetime.get(view.id))).stage, "succeeded")
    })
  }))

  itRuns("retryIn and retryAt take a calendar: the next business day at 10:00, the end of the quiet hours", () => ({
    handlers: Work.handle(({ name }) =>
      Effect.fail(
        name === "one"
          ? Task.retryIn({ businessDays: 1, at: "10:00" }, "declined", { calendar: { zone: "Europe/Berlin" } })
          : Task.retryAt(Date.parse("1970-01-01T23:30:00Z"), "asleep", {
              calendar: { zone: "UTC", quiet: { from: "22:00", until: "08:00" } }
            })
      )
    ),
    test: Effect.gen(function* () {
      // The test's clock begins on Thursday 1970-01-01, at 01:00 in Berlin.
      assert.strictEqual((yield* viewAfter(10)).dueAt.toISOString(), "1970-01-02T09:00:00.000Z")
      assert.strictEqual((yield* viewAfter(10, { name: "two" })).dueAt.toISOString(), "1970-01-02T08:00:00.000Z")
    })
  }))

  for (const [word, signal, stage] of [
    ["snooze", () => Task.snooze("1 hour"), "pending"],
    ["discard", () => Task.discard("gone"), "dead"],
    ["fatal", () => Task.fatal("stolen"), "dead"],
    ["retryIn", () => Task.retryIn("1 hour", "503"), "pending"],
    ["retryAt", () => Task.retryAt("2999-01-01T00:00:00Z", "503"), "pending"]
  ] as const) {
    itRuns(`an async function says ${word} by throwing it, with the same effect`, () => ({
      handlers: Work.handleAsync(async () => {
        throw signal()
      }),
      test: Effect.gen(function* () {
        const { id } = yield* Work.schedule({ name: "one" })
        // Promises are no work that the virtual clock sees.
        yield* passMs(0)
        yield* Effect.promise(() => Promise.resolve())
        yield* passMs(0)
        const view = yield* Duetime.use((duetime) => duetime.get(id))
        assert.strictEqual(view.stage, stage)
        assert.strictEqual(view.attempts, 1)
      })
    }))
  }
})

describe("what a broken handler does to others", () => {
  const overflow = (): number => overflow() + 1
  const unreadable = new Proxy(new Error("x"), {
    get: () => {
      throw new Error("no")
    }
  })
  const failures: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
    ["throws", Effect.sync(() => JSON.parse("{"))],
    ["throws undefined", Effect.sync(() => throwing(undefined))],
    ["throws a text", Effect.sync(() => throwing("plain"))],
    ["overflows the stack", Effect.sync(overflow)],
    ["fails with an unreadable error", Effect.fail(unreadable)],
    ["fails with a symbol", Effect.fail(Symbol("odd"))],
    ["fails with U+0000 and a lone surrogate", Effect.fail(new Error("a\u0000b\ud800"))],
    ["fails with a megabyte", Effect.fail(new Error("x".repeat(1_000_000)))],
    ["interrupts itself", Effect.interrupt]
  ]
  const throwing = (value: unknown) => {
    throw value
  }

  for (const [what, failure] of failures) {
    itRuns(`a handler that ${what} fails its own attempt and no other`, () => ({
      handlers: Work.handle(({ name }) => (name === "broken" ? failure : Effect.succeed("fine"))),
      test: Effect.gen(function* () {
        const broken = yield* Work.schedule({ name: "broken" })
        const sound = yield* Work.scheduleMany(["a", "b", "c"].map((name) => ({ payload: { name } })))
        yield* passMs(5_000)
        const duetime = yield* Duetime
        for (const { id } of sound) assert.strictEqual((yield* duetime.get(id)).stage, "succeeded")
        const view = yield* duetime.get(broken.id)
        assert.strictEqual(view.stage, "dead")
        assert.strictEqual(view.attempts, 3)
        assert.isTrue(view.lastError?.message.isWellFormed())
        assert.notInclude(view.lastError?.message, "\u0000")
        assert.isAtMost(view.lastError?.message.length ?? 0, errorMessageLengthMax)
      })
    }))
  }
})

describe("a payload that no longer fits its schema", () => {
  const Strict = Task.define("work", { payload: { name: Schema.Number } })

  itRuns("is a dead letter at once, with the schema's complaint and without a call of the handler", () => ({
    handlers: Strict.handle(() => Effect.die("called")),
    test: Effect.gen(function* () {
      const view = yield* viewAfter(10, { name: "not a number" })
      assert.strictEqual(view.deadReason, "not-retryable")
      assert.strictEqual(view.attempts, 1)
      assert.strictEqual(view.lastError?.name, "PayloadUnfit")
      assert.include(view.lastError?.message, 'does not fit the schema of kind "work"')
      assert.include(view.lastError?.message, "name")
    })
  }))
})

describe("a handler that returns what cannot be run", () => {
  let calls = 0
  const returned: ReadonlyArray<readonly [string, () => unknown, string]> = [
    [
      "a promise",
      async () => ++calls,
      'the handler of "work" returned a promise, not an Effect; give async functions to handleAsync'
    ],
    ["a promise that rejects", () => Promise.reject(new Error("unheard")), "returned a promise, not an Effect"],
    ["nothing", () => undefined, 'the handler of "work" returned undefined, not an Effect'],
    ["a generator", function* () {}, "returned a generator, not an Effect; wrap it in Effect.fn or Effect.gen"],
    ["a text", () => "done", "returned a string, not an Effect"],
    ["an object", () => new Map(), "returned an object of class Map, not an Effect"],
    ["a function", () => () => Effect.void, "returned a function, not an Effect"]
  ]
  for (const [what, handler, says] of returned) {
    itRuns(`instead of an Effect, ${what}, makes a dead letter at once that says so`, () => ({
      handlers: Work.handle(handler as never),
      test: Effect.gen(function* () {
        calls = 0
        const view = yield* viewAfter(5_000)
        assert.strictEqual(view.deadReason, "not-retryable")
        assert.strictEqual(view.attempts, 1)
        assert.strictEqual(view.lastError?.name, "HandlerUnfit")
        assert.include(view.lastError?.message, says)
        assert.isAtMost(calls, 1)
      })
    }))
  }

  /** Promises are no work that the virtual clock sees. */
  const viewAfterPromises = Effect.gen(function* () {
    const { id } = yield* Work.schedule({ name: "one" })
    yield* passMs(0)
    yield* Effect.promise(() => Promise.resolve())
    yield* passMs(0)
    return yield* Duetime.use((duetime) => duetime.get(id))
  })

  itRuns("instead of a result, an Effect that nobody runs, makes a dead letter at once that says so", () => ({
    handlers: Work.handleAsync(async () => Effect.sync(() => "never")),
    test: Effect.gen(function* () {
      const view = yield* viewAfterPromises
      assert.strictEqual(view.deadReason, "not-retryable")
      assert.include(
        view.lastError?.message,
        'the handler of "work" returned an Effect that nobody runs; give it to handle'
      )
    })
  }))

  itRuns("but an Exit is a result: what was to be run has run", () => ({
    handlers: Work.handleAsync(async () => Exit.succeed(1)),
    test: Effect.gen(function* () {
      assert.strictEqual((yield* viewAfterPromises).stage, "succeeded")
    })
  }))
})
