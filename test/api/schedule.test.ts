import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { nominalDueAtMsOf, slotOf } from "../../src/core/TaskId.ts"
import { Duetime } from "../../src/Duetime.ts"
import { PayloadBytesMax, type TaskEntry } from "../../src/Scheduling.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { MemoryControl } from "../../src/store/MemoryStore.ts"
import { batchSizeMax, TaskStore } from "../../src/store/TaskStore.ts"
import * as Task from "../../src/Task.ts"
import type { ScheduleOptions } from "../../src/ScheduleOptions.ts"

const Greet = Task.define("greet", { payload: { name: Schema.String }, priority: "high" })
const client = Duetime.layer.pipe(Layer.provideMerge(MemoryStore.layer))

const get = (id: string) => Duetime.use((duetime) => duetime.get(id))
const nowMs = 1_800_000_000_000

const itAsks = <E>(name: string, test: Effect.Effect<void, E, Duetime | MemoryControl>) =>
  // The clock is set before there is a store: a session renewed from 1970 on would take a while.
  it.effect(name, () => Effect.andThen(TestClock.setTime(nowMs), Effect.provide(test, client)))

describe("when a task is due", () => {
  const dues: ReadonlyArray<readonly [string, ScheduleOptions, number]> = [
    ["nothing: now", {}, nowMs],
    ["in a span", { in: "3 hours" }, nowMs + 10_800_000],
    ["in milliseconds", { in: 1_500 }, nowMs + 1_500],
    ["at a Date", { at: new Date(nowMs + 5) }, nowMs + 5],
    ["at a DateTime", { at: DateTime.makeUnsafe(nowMs + 6) }, nowMs + 6],
    ["at milliseconds", { at: nowMs + 7 }, nowMs + 7],
    ["at an instant with a fraction: the next millisecond", { at: nowMs + 7.2 }, nowMs + 8],
    ["at ISO text in UTC", { at: "2027-01-15T08:00:01Z" }, nowMs + 1_000],
    ["at ISO text with an offset", { at: "2027-01-15T09:00:01.500+01:00" }, nowMs + 1_500],
    ["at a past instant: now", { at: new Date(1_000) }, nowMs]
  ]
  for (const [name, options, dueAtMs] of dues) {
    itAsks(
      name,
      Effect.gen(function* () {
        const { id } = yield* Greet.schedule({ name: "Ada" }, options)
        assert.strictEqual((yield* get(id)).dueAt.getTime(), dueAtMs)
        assert.strictEqual(nominalDueAtMsOf(id), dueAtMs)
      })
    )
  }

  itAsks(
    "the kind's jitter moves the due time within its range, and not the day in the id",
    Effect.gen(function* () {
      const Spread = Task.define("spread", { payload: {}, dueJitter: { from: "1 second", to: "5 seconds" } })
      const receipts = yield* Spread.scheduleMany(Array.from({ length: 200 }, () => ({ payload: {}, in: "1 hour" })))
      const offsets = new Set<number>()
      for (const { id } of receipts) {
        assert.strictEqual(nominalDueAtMsOf(id), nowMs + 3_600_000)
        offsets.add((yield* get(id)).dueAt.getTime() - nowMs - 3_600_000)
      }
      for (const offset of offsets) assert.isTrue(offset >= 1_000 && offset <= 5_000)
      assert.isAbove(offsets.size, 150)
    })
  )

  itAsks(
    "tasks with one ordering key share a slot of the id space",
    Effect.gen(function* () {
      const slots = new Set<number>()
      for (let index = 0; index < 10; index++) {
        slots.add(slotOf((yield* Greet.schedule({ name: "Ada" }, { orderingKey: "customer 7" })).id))
      }
      assert.strictEqual(slots.size, 1)
    })
  )
})

describe("a key", () => {
  itAsks(
    "with a span, used again later, is the same task at its first due time",
    Effect.gen(function* () {
      const options = { key: "reminder of order 7", in: "3 hours" } as const
      const first = yield* Greet.schedule({ name: "Ada" }, options)
      assert.isTrue(first.created)
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* Greet.schedule({ name: "Ada" }, options), { id: first.id, created: false })
      assert.strictEqual((yield* get(first.id)).dueAt.getTime(), nowMs + 10_800_000)
    })
  )

  itAsks(
    "that expires is free again so long after the end of its task, and not a millisecond before",
    Effect.gen(function* () {
      const schedule = Greet.schedule({ name: "Ada" }, { key: { key: "k", expiresIn: "1 hour" }, in: "1 day" })
      const first = yield* schedule
      yield* TestClock.adjust("2 hours")
      assert.isFalse((yield* schedule).created)
      yield* Duetime.use((duetime) => duetime.cancel(first.id))
      yield* TestClock.adjust(3_599_999)
      assert.deepStrictEqual(yield* schedule, { id: first.id, created: false })
      yield* TestClock.adjust(1)
      const second = yield* schedule
      assert.isTrue(second.created)
      assert.notStrictEqual(second.id, first.id)
    })
  )
})

describe("an expiry", () => {
  itAsks(
    "counts from the due time, or is an instant, and is shown",
    Effect.gen(function* () {
      const inHours = yield* Greet.schedule({ name: "Ada" }, { in: "3 hours", expiresIn: "10 minutes" })
      const { dueAt, expiresAt } = yield* Duetime.use((duetime) => duetime.get(inHours.id))
      assert.strictEqual((expiresAt?.getTime() ?? 0) - dueAt.getTime(), 600_000)
      const at = new Date(dueAt.getTime() + 1)
      const named = yield* Greet.schedule({ name: "Ada" }, { at: dueAt, expiresAt: at })
      assert.deepStrictEqual((yield* Duetime.use((duetime) => duetime.get(named.id))).expiresAt, at)
      const never = yield* Greet.schedule({ name: "Ada" })
      assert.isNull((yield* Duetime.use((duetime) => duetime.get(never.id))).expiresAt)
    })
  )

  itAsks(
    "is not outlived by rescheduling",
    Effect.gen(function* () {
      const { id } = yield* Greet.schedule({ name: "Ada" }, { in: "3 hours", expiresIn: "10 minutes" })
      const error = yield* Effect.flip(Duetime.use((duetime) => duetime.reschedule(id, { in: "4 hours" })))
      assert.strictEqual(error._tag, "OptionsRejected")
      assert.include(error.message, "expiresAt is ")
    })
  )
})

describe("what is refused before anything is stored", () => {
  // JavaScript callers, task files and the terminal give what the types forbid.
  const options: ReadonlyArray<readonly [string, string]> = [
    ['{ "in": -1 }', "in is -1"],
    ['{ "in": "soon" }', "in is 'soon'"],
    ['{ "in": "Infinity" }', "in is 'Infinity'"],
    ['{ "in": null }', "in is null"],
    ['{ "in": 1e300 }', "in is 1e+300"],
    ['{ "at": "tomorrow" }', "at is 'tomorrow'"],
    ['{ "at": "2027-01-31T09:00:00" }', "at is '2027-01-31T09:00:00'"],
    ['{ "at": "2027-02-31T09:00:00Z" }', "at is '2027-02-31T09:00:00Z'"],
    ['{ "at": 1e300 }', "at is 1e+300"],
    ['{ "at": {} }', "at is {}"],
    ['{ "at": 1, "in": 1 }', "at is 1"],
    ['{ "key": "" }', "key is ''"],
    [`{ "key": "${"k".repeat(513)}" }`, "key is 'kkk"],
    ['{ "key": "a\\u0000b" }', "key is 'a\\x00b'"],
    ['{ "key": "\\ud800" }', "key is '\\ud800'"],
    ['{ "key": 7 }', "key is 7"],
    ['{ "key": { "key": "", "expiresIn": 1 } }', "key.key is ''"],
    ['{ "key": { "expiresIn": 1 } }', "key.key is undefined"],
    ['{ "key": { "key": "k" } }', "key.expiresIn is undefined"],
    ['{ "key": { "key": "k", "expiresIn": -1 } }', "key.expiresIn is -1"],
    ['{ "key": { "key": "k", "expiresIn": "31 days" } }', "key.expiresIn is '31 days'"],
    ['{ "key": ["k"] }', "key is [ 'k' ]"],
    ['{ "expiresIn": 0 }', "expiresIn is 0"],
    ['{ "expiresIn": "367 days" }', "expiresIn is '367 days'"],
    ['{ "expiresAt": "soon" }', "expiresAt is 'soon'"],
    ['{ "expiresAt": null }', "expiresAt is null"],
    ['{ "expiresAt": 1 }', "expiresAt is 1"],
    ['{ "in": "1 hour", "expiresAt": "2999-01-01T00:00:00Z" }', "expiresAt is '2999"],
    ['{ "expiresIn": 1, "expiresAt": 1 }', "expiresAt is 1"],
    ['{ "orderingKey": "" }', "orderingKey is ''"],
    ['{ "priority": "urgent" }', "priority is 'urgent'"]
  ]
  for (const [text, says] of options) {
    itAsks(
      `options ${text.slice(0, 60)}`,
      Effect.gen(function* () {
        const error = yield* Effect.flip(Greet.schedule({ name: "Ada" }, JSON.parse(text)))
        assert.strictEqual(error._tag, "OptionsRejected")
        assert.include(error.message, says)
        assert.isBelow(error.message.length, 400)
        assert.strictEqual(yield* countStored, 0)
      })
    )
  }

  itAsks(
    "an invalid Date",
    Effect.gen(function* () {
      const error = yield* Effect.flip(Greet.schedule({ name: "Ada" }, { at: new Date(Number.NaN) }))
      assert.include(error.message, "at is Invalid Date")
    })
  )

  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
  const payloads: ReadonlyArray<readonly [string, unknown, string]> = [
    ["U+0000 in a text", { a: ["x\u0000"] }, "$.a[0]"],
    ["U+0000 in a field name", { a: { "b\u0000": 1 } }, "U+0000"],
    ["a lone surrogate", { a: "\ud83d" }, "lone surrogate"],
    ["NaN", { a: Number.NaN }, "NaN is not a JSON number"],
    ["Infinity", { "odd name": Number.POSITIVE_INFINITY }, '$["odd name"]'],
    ["a bigint", { a: 1n }, "a bigint"],
    ["a function", { a: () => 1 }, "a function"],
    ["a symbol", { a: Symbol("s") }, "a symbol"],
    ["undefined", undefined, "undefined"],
    ["undefined in an array", [undefined], "$[0]"],
    ["a Date", { a: new Date(0) }, "a Date is not a plain object"],
    ["a Map", new Map(), "a Map"],
    ["101 levels", deep(101), "deeper than 100 levels"],
    ["ten thousand levels", deep(5_000), "deeper than 100 levels"],
    ["more than 256 KiB", "ä".repeat(131_072), "262146 bytes of JSON, over the limit of 262144"],
    [
      "a getter that throws",
      {
        get a() {
          throw new Error("no")
        }
      },
      "reading it threw"
    ]
  ]
  for (const [what, payload, says] of payloads) {
    itAsks(
      `a payload with ${what}`,
      Effect.gen(function* () {
        const duetime = yield* Duetime
        const good = { kind: "greet", payload: {} }
        const error = yield* Effect.flip(duetime.scheduleUntyped([good, { kind: "greet", payload }]))
        assert.strictEqual(error._tag, "PayloadRejected")
        assert.include(error.message, says)
        assert.isBelow(error.message.length, 500)
        assert.strictEqual(yield* countStored, 0)
      })
    )
  }

  itAsks(
    "a payload that does not fit the schema, with its place and at most some of its value",
    Effect.gen(function* () {
      const Strict = Task.define("strict", { payload: { user: Schema.Struct({ age: Schema.Int }) } })
      const error = yield* Effect.flip(Strict.schedule({ user: { age: 1.5 } }))
      assert.strictEqual(error._tag, "PayloadRejected")
      assert.include(error.message, "$.user.age")
      const long = yield* Effect.flip(Greet.schedule(JSON.parse(`{"name":["${"x".repeat(10_000)}"]}`)))
      assert.isBelow(long.message.length, 400)
    })
  )

  it.effect("a limit of the payload's size may be set", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Greet.schedule({ name: "x".repeat(100) }))
      assert.include(error.message, "over the limit of 100")
    }).pipe(Effect.provide(client), Effect.provideService(PayloadBytesMax, 100))
  )
})

describe("payloads", () => {
  it.effect("what is accepted comes back as it was, or as its JSON; all else is refused", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<Duetime>()
      const run = Effect.runPromiseWith(context)
      const anything = fc.anything({
        withNullPrototype: true,
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSparseArray: true
      })
      const hostile = fc.oneof(
        fc.jsonValue(),
        anything,
        fc.string({ unit: "binary" }),
        fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue())
      )
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(hostile, async (payload) => {
            await run(
              Effect.gen(function* () {
                const duetime = yield* Duetime
                const answer = yield* Effect.result(duetime.scheduleUntyped([{ kind: "any", payload }]))
                if (answer._tag === "Failure") {
                  assert.strictEqual(answer.failure._tag, "PayloadRejected")
                  return
                }
                const [receipt] = answer.success
                const view = yield* get(receipt?.id ?? "")
                assert.deepStrictEqual(JSON.parse(JSON.stringify(view.payload)), JSON.parse(JSON.stringify(payload)))
              })
            )
          }),
          { numRuns: 2_000, seed: 20_261_123 }
        )
      )
    }).pipe(Effect.provide(client))
  )

  itAsks(
    "a field called __proto__ is plain data",
    Effect.gen(function* () {
      const duetime = yield* Duetime
      const payload: unknown = JSON.parse('{"__proto__":{"admin":true},"constructor":1}')
      const [receipt] = yield* duetime.scheduleUntyped([{ kind: "any", payload }])
      const view = yield* get(receipt?.id ?? "")
      assert.strictEqual(JSON.stringify(view.payload), '{"__proto__":{"admin":true},"constructor":1}')
      assert.notProperty({}, "admin")
    })
  )

  itAsks(
    "a schema's values are stored as JSON",
    Effect.gen(function* () {
      const Rich = Task.define("rich", { payload: { at: Schema.Date, tags: Schema.ReadonlySet(Schema.String) } })
      const { id } = yield* Rich.schedule({ at: new Date(0), tags: new Set(["a"]) })
      assert.deepStrictEqual((yield* get(id)).payload, { at: "1970-01-01T00:00:00.000Z", tags: ["a"] })
    })
  )
})

describe("keys", () => {
  itAsks(
    "the same key and payload give the first task; another payload is a conflict that names it",
    Effect.gen(function* () {
      const first = yield* Greet.schedule({ name: "Ada" }, { key: "order 7" })
      assert.isTrue(first.created)
      const again = yield* Greet.schedule({ name: "Ada" }, { key: "order 7", in: "1 hour", priority: "low" })
      assert.deepStrictEqual(again, { id: first.id, created: false })
      const error = yield* Effect.flip(Greet.schedule({ name: "Bob" }, { key: "order 7" }))
      assert.strictEqual(error._tag, "KeyConflict")
      assert.include(error.message, "order 7")
      assert.include(error.message, first.id)
    })
  )

  itAsks(
    "many answer one by one, in order",
    Effect.gen(function* () {
      const { id } = yield* Greet.schedule({ name: "Ada" }, { key: "a" })
      const receipts = yield* Greet.scheduleMany([
        { payload: { name: "Ada" }, key: "a" },
        { payload: { name: "Bob" }, key: "a" },
        { payload: { name: "Bob" }, key: "b" }
      ])
      assert.deepStrictEqual(
        receipts.map(({ created, keyConflict }) => ({ created, keyConflict })),
        [
          { created: false, keyConflict: false },
          { created: false, keyConflict: true },
          { created: true, keyConflict: false }
        ]
      )
      assert.deepStrictEqual(
        receipts.slice(0, 2).map((receipt) => receipt.id),
        [id, id]
      )
    })
  )
})

describe("a store whose answer is lost", () => {
  itAsks(
    "is asked again with the same ids, so the task is there once",
    Effect.gen(function* () {
      const control = yield* MemoryControl
      yield* control.failNext("after", 2)
      const fiber = yield* Effect.forkChild(Greet.schedule({ name: "Ada" }))
      yield* TestClock.adjust("1 second")
      yield* Effect.yieldNow
      assert.isTrue(fiber.pollUnsafe() !== undefined)
      assert.strictEqual(yield* countStored, 1)
    })
  )

  itAsks(
    "or cannot be reached is the caller's to hear of",
    Effect.gen(function* () {
      const control = yield* MemoryControl
      yield* control.failNext("before")
      const error = yield* Effect.flip(Greet.schedule({ name: "Ada" }))
      assert.strictEqual(error._tag, "StoreUnavailable")
      assert.strictEqual(yield* countStored, 0)
    })
  )
})

itAsks(
  "more tasks than a batch are stored in batches, each with its own receipt",
  Effect.gen(function* () {
    const receipts = yield* Greet.scheduleMany(
      Array.from({ length: batchSizeMax * 2 + 1 }, (_, index) => ({ payload: { name: `n${index}` } }))
    )
    assert.strictEqual(new Set(receipts.map((receipt) => receipt.id)).size, batchSizeMax * 2 + 1)
    const last = receipts.at(-1)
    assert.deepStrictEqual((yield* get(last?.id ?? "")).payload, { name: `n${batchSizeMax * 2}` })
  })
)

describe("batches of one request", () => {
  const manyNames = Array.from({ length: batchSizeMax * 4 }, (_, index) => ({ payload: { name: `n${index}` } }))
  /** Batches that the store works on at the same time, each for a second. */
  const mostAtOnce = (entries: ReadonlyArray<TaskEntry<{ readonly name: string }>>) =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      let atOnce = 0
      let most = 0
      const slow = TaskStore.of({
        ...store,
        schedule: (batch) =>
          Effect.gen(function* () {
            most = Math.max(most, ++atOnce)
            yield* Effect.sleep("1 second")
            atOnce--
            return yield* store.schedule(batch)
          })
      })
      const onSlow = Duetime.layer.pipe(Layer.provide(Layer.succeed(TaskStore, slow)))
      const scheduling = yield* Effect.forkChild(Effect.provide(Greet.scheduleMany(entries), onSlow))
      yield* TestClock.adjust("1 minute")
      return { most, receipts: yield* Fiber.join(scheduling) }
    }).pipe(Effect.provide(MemoryStore.layer))

  it.effect("are stored two at a time, and answered in order", () =>
    Effect.gen(function* () {
      const { most, receipts } = yield* mostAtOnce(manyNames)
      assert.strictEqual(most, 2)
      assert.strictEqual(receipts.length, manyNames.length)
      assert.isTrue(receipts.every(({ created }) => created))
    })
  )

  it.effect("go one after another if some entry has a key: the first with it is the one that is stored", () =>
    Effect.gen(function* () {
      const { most, receipts } = yield* mostAtOnce([
        { payload: { name: "first" }, key: "once" },
        ...manyNames,
        { payload: { name: "last" }, key: "once" }
      ])
      assert.strictEqual(most, 1)
      assert.deepInclude(receipts.at(0), { created: true, keyConflict: false })
      assert.deepInclude(receipts.at(-1), { created: false, keyConflict: true })
    })
  )
})

const countStored = Effect.map(
  Duetime.use((duetime) => duetime.find({ stage: "pending", limit: 1_000 })),
  (found) => found.tasks.length
)
