import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Duetime, type FollowOptions, type FollowUp, RetryPolicy, Task } from "../../src/index.ts"
import { followUpDepthMax } from "../../src/FollowUp.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { payloadBytesMaxDefault } from "../../src/store/TaskStore.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const Charge = Task.define("charge", { payload: { cents: Schema.Int }, retry: RetryPolicy.never })
const Receipt = Task.define("receipt", { payload: { to: Schema.String }, priority: "low" })
const Alert = Task.define("alert", { payload: { text: Schema.String } })

const client = Duetime.layer.pipe(Layer.provideMerge(MemoryStore.layer))

const scheduled = (options: FollowOptions) => Charge.schedule({ cents: 1 }, options)
const errorOf = (options: FollowOptions) => Effect.flip(scheduled(options))

describe("a task with follow-ups", () => {
  const ran: Array<string> = []
  const handlers = Layer.mergeAll(
    Charge.handle(({ cents }) => (cents < 0 ? Effect.fail("no money") : Effect.succeed(cents))),
    Receipt.handle(({ to }) => Effect.sync(() => ran.push(`receipt to ${to}`))),
    Alert.handle(({ text }) => Effect.sync(() => ran.push(text)))
  )
  const followUps = {
    onSuccess: Receipt.follow({ to: "ada@example.com" }),
    onDead: Alert.follow({ text: "a charge is dead" }, { in: "5 minutes", priority: "critical" })
  }

  it.effect("runs the one of its end, in the millisecond that it is due", () =>
    Effect.gen(function* () {
      const good = yield* Charge.schedule({ cents: 1 }, { in: "1 hour", ...followUps })
      const bad = yield* Charge.schedule({ cents: -1 }, { in: "2 hours", ...followUps })
      yield* TestDuetime.pass("1 hour")
      assert.deepStrictEqual(ran, ["receipt to ada@example.com"])
      yield* TestDuetime.pass("1 hour")
      yield* TestDuetime.pass("299 seconds")
      assert.strictEqual(ran.length, 1)
      yield* TestDuetime.pass("1 second")
      assert.deepStrictEqual(ran.slice(1), ["a charge is dead"])
      const get = (id: string) => Duetime.use((duetime) => duetime.get(id))
      for (const { id } of [good, bad]) {
        const view = yield* get(id)
        const [followerId = ""] = view.followedBy
        const follower = yield* get(followerId)
        assert.deepStrictEqual([view.followedBy.length, follower.follows, follower.stage], [1, id, "succeeded"])
        assert.deepStrictEqual(yield* TestDuetime.driftMs(followerId), [0])
        assert.strictEqual(follower.priority, id === good.id ? "low" : "critical")
        assert.deepStrictEqual([view.onSuccess?.kind, view.onDead?.inMs], ["receipt", 300_000])
      }
    }).pipe(Effect.provide(TestDuetime.layer(handlers)))
  )
})

const refusals: ReadonlyArray<readonly [what: string, options: () => unknown, field: string]> = [
  ["a delay that is none", () => ({ onSuccess: Receipt.follow({ to: "a" }, { in: "soon" as never }) }), "onSuccess.in"],
  ["a delay over a year", () => ({ onDead: Receipt.follow({ to: "a" }, { in: "367 days" }) }), "onDead.in"],
  [
    "a priority that is none, however deep",
    () => ({
      onSuccess: Receipt.follow({ to: "a" }, { onDead: Alert.follow({ text: "a" }, { priority: "x" as never }) })
    }),
    "onSuccess.onDead.priority"
  ],
  ["what no kind has made", () => ({ onSuccess: { kind: "receipt", payload: {} } }), "onSuccess"],
  ["null", () => ({ onDead: null }), "onDead"]
]

describe("scheduling refuses, with nothing stored,", () => {
  const refused = (what: string, test: Effect.Effect<void, unknown, Duetime>) =>
    it.effect(what, () =>
      Effect.gen(function* () {
        yield* test
        const found = yield* Duetime.use((duetime) => duetime.find({ stage: "pending" }))
        assert.deepStrictEqual(found.tasks, [])
      }).pipe(Effect.provide(client))
    )

  for (const [what, options, field] of refusals) {
    refused(
      what,
      Effect.gen(function* () {
        const error = yield* errorOf(options() as FollowOptions)
        assert.deepStrictEqual(error._tag === "OptionsRejected" ? error.field : error._tag, field)
      })
    )
  }

  refused(
    "a payload that the follow-up's kind does not know, in the words of that kind",
    Effect.gen(function* () {
      const error = yield* errorOf({ onSuccess: Receipt.follow({ to: 1 as never }) })
      assert.deepStrictEqual(error._tag === "PayloadRejected" ? [error.kind, error.path] : [error._tag], [
        "receipt",
        "$.to"
      ])
    })
  )

  refused(
    "more follow-ups one after another than the limit",
    Effect.gen(function* () {
      let chain: FollowUp = Receipt.follow({ to: "last" })
      for (let depth = 1; depth < followUpDepthMax + 1; depth++)
        chain = Receipt.follow({ to: "a" }, { onSuccess: chain })
      const error = yield* errorOf({ onDead: chain })
      const field = ["onDead", ...Array.from({ length: followUpDepthMax }, () => "onSuccess")].join(".")
      assert.deepStrictEqual(error._tag === "OptionsRejected" ? error.field : error._tag, field)
    })
  )

  refused(
    "payloads that are too large together, though each by itself is not",
    Effect.gen(function* () {
      const half = "x".repeat(payloadBytesMaxDefault / 2)
      const options = { onSuccess: Receipt.follow({ to: half }, { onSuccess: Receipt.follow({ to: half }) }) }
      const error = yield* errorOf(options)
      assert.deepStrictEqual(error._tag === "OptionsRejected" ? [error.field, error.value] : [error._tag], [
        "onSuccess.onSuccess",
        `'${payloadBytesMaxDefault + 18} bytes of payloads'`
      ])
    })
  )
})
