import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { tasks } from "../../examples/tasks.ts"
import { DeadLetters, Duetime, Engine, layerFromEnv, RetryPolicy, Task, Worker } from "../../src/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"

/** The code of the shorter guides: all of it is compiled here, and what can run in memory is run. */
const SendReminder = Task.define("send-reminder", {
  payload: { email: Schema.String, text: Schema.String },
  retry: RetryPolicy.exponential({ base: "1 second", cap: "10 minutes", attemptsMax: 8 }),
  timeout: "30 seconds",
  priority: "high"
})

const sent: Array<string> = []
class Mailer extends Context.Service<
  Mailer,
  { readonly send: (email: string, text: string) => Effect.Effect<void, Error> }
>()("test/docs/guides/Mailer") {
  static readonly layer = Layer.succeed(Mailer, {
    send: (email) => Effect.sync(() => void sent.push(email))
  })
}

describe("docs/start.md", () => {
  const mailer = { send: (email: string, _text: string) => Effect.sync(() => void sent.push(email)) }
  const reminders = SendReminder.handle(({ email, text }) => mailer.send(email, text))

  it.effect("schedules, handles and awaits", () =>
    Effect.gen(function* () {
      // prettier-ignore
      const { id } = yield* SendReminder.schedule({ email: "ada@example.com", text: "Shipped?" }, { in: "3 hours", key: "order-7" })
      yield* Duetime.use((duetime) => duetime.runNow(id))
      yield* TestDuetime.untilEnded(id)
      const end = yield* Duetime.use((duetime) => duetime.awaitEnd(id, { timeout: "10 seconds" }))
      assert.strictEqual(end._tag, "Succeeded")
      assert.deepStrictEqual(sent.splice(0), ["ada@example.com"])
    }).pipe(Effect.provide(TestDuetime.layer(reminders)))
  )

  it.effect("has a module for duetime dev", () =>
    Effect.gen(function* () {
      const Greet = Task.define("greet", { payload: { name: Schema.String } })
      const { id } = yield* Greet.schedule({ name: "Ada" })
      assert.strictEqual(yield* TestDuetime.untilEnded(id), "succeeded")
    }).pipe(Effect.provide(TestDuetime.layer(Layer.mergeAll(Layer.empty, ...tasks))))
  )

  it("has a program that needs nothing but the environment", () => {
    const main = () =>
      Layer.mergeAll(reminders, Engine.layer).pipe(
        Layer.provide(Worker.layer({ concurrency: 50 })),
        Layer.provide(layerFromEnv),
        Layer.launch,
        NodeRuntime.runMain
      )
    assert.isFunction(main)
  })
})

describe("docs/guide/handlers.md", () => {
  const reminders = SendReminder.handle(({ email, text }) => Mailer.use((mailer) => mailer.send(email, text)))
  const url = "http://127.0.0.1:1/mail"
  const plainReminders = SendReminder.handleAsync(async ({ email }, { signal, idempotencyKey }) => {
    await fetch(url, { method: "POST", body: email, signal, headers: { "idempotency-key": idempotencyKey } })
  })

  const BuildReport = Task.define("build-report", { payload: { month: Schema.String } })
  const compute = (month: string) => Effect.succeed({ month, total: 0 })
  const reports =
    //
    BuildReport.handle(({ month }, attempt) =>
      Effect.gen(function* () {
        const report = yield* compute(month)
        yield* attempt.commit((sql) => sql`INSERT INTO report ${sql.insert(report)}`)
      })
    )

  const charge = async () => ({ chargeId: "ch_1" })
  const provider = {
    find: async (_key: string, _options: { readonly signal: AbortSignal }) => null as { readonly id: string } | null
  }
  const parking = () => {
    const ChargeCard = Task.define("charge-card", {
      payload: { orderId: Schema.String },
      result: Schema.Struct({ chargeId: Schema.String }),
      onInterrupted: "park"
    })
    const payments = ChargeCard.handleAsync(charge, {
      reconcile: async ({ orderId }, { idempotencyKey, signal }) => {
        assert.isString(orderId)
        const found = await provider.find(idempotencyKey, { signal })
        return found === null ? Task.notDone : Task.done({ chargeId: found.id })
      }
    })
    return payments
  }
  // prettier-ignore
  const ChargeCard = Task.define("charge-card", { payload: { orderId: Schema.String }, caps: { concurrency: 10, perSecond: 50 } })

  it.effect("has handlers that a worker takes, by service and by promise, with commits, reconcilers and caps", () =>
    Effect.gen(function* () {
      const { id } = yield* SendReminder.schedule({ email: "ada@example.com", text: "hi" })
      assert.strictEqual(yield* TestDuetime.untilEnded(id), "succeeded")
      assert.deepStrictEqual(sent.splice(0), ["ada@example.com"])
      assert.deepStrictEqual(ChargeCard.policy.caps, { concurrencyMax: 10, startsPerSecondMax: 50 })
      assert.isTrue(Layer.isLayer(plainReminders))
    }).pipe(
      Effect.provide(TestDuetime.layer(Layer.mergeAll(reminders.pipe(Layer.provide(Mailer.layer)), reports, parking())))
    )
  )
})

describe("docs/guide/retries.md", () => {
  it("has the policies that it says", () => {
    const policies = [
      RetryPolicy.exponential({ base: "1 second", cap: "10 minutes", attemptsMax: 8 }),
      RetryPolicy.fixed({ delay: "30 seconds", attemptsMax: 5 }),
      RetryPolicy.listed({ delays: ["1 second", "1 minute", "1 hour"] }),
      RetryPolicy.never
    ]
    const Transcode = Task.define("transcode", { payload: { video: Schema.String }, deathsMax: 5 })
    assert.strictEqual(Transcode.policy.deathsMax, 5)
    assert.deepStrictEqual(
      policies.map(({ attemptsMax }) => attemptsMax),
      [8, 5, 4, 1]
    )
  })

  it.effect("lets a code that is too late expire", () => {
    const SendCode = Task.define("send-code", { payload: { phone: Schema.String, code: Schema.String } })
    const [phone, code] = ["+49 30 1", "1234"]
    return Effect.gen(function* () {
      yield* Duetime.use((duetime) => duetime.pause({ kind: "send-code" }))
      const { id } =
        //
        yield* SendCode.schedule({ phone, code }, { expiresIn: "2 minutes" })
      yield* TestDuetime.pass("3 minutes")
      assert.strictEqual((yield* Duetime.use((duetime) => duetime.get(id))).stage, "expired")
    }).pipe(Effect.provide(TestDuetime.layer(SendCode.handle(() => Effect.void))))
  })
})

describe("docs/guide/following.md", () => {
  const Charge = Task.define("charge", { payload: { orderId: Schema.String } })
  const Receipt = Task.define("receipt", { payload: { orderId: Schema.String } })
  const Alert = Task.define("alert", { payload: { text: Schema.String } })
  const orderId = "order-7"

  it.effect("names what follows a success and a death", () =>
    Effect.gen(function* () {
      const scheduled = Effect.gen(function* () {
        // prettier-ignore
        return (
          yield* Charge.schedule({ orderId }, {
            onSuccess: Receipt.follow({ orderId }),
            onDead: Alert.follow({ text: `nobody was charged for ${orderId}` }, { in: "5 minutes", priority: "high" })
          })
        )
      })
      const { id } = yield* scheduled
      yield* TestDuetime.untilEnded(id)
      const { followedBy } = yield* Duetime.use((duetime) => duetime.get(id))
      assert.lengthOf(followedBy, 1)
    }).pipe(Effect.provide(TestDuetime.layer(Charge.handle(() => Effect.void))))
  )
})

describe("docs/guide/dead-letters.md", () => {
  it.effect("groups, mends and discards", () =>
    Effect.gen(function* () {
      const ChargeCard = Task.define("charge-card", { payload: { amount: Schema.Int } })
      const { id } = yield* ChargeCard.schedule({ amount: 0 })
      const steps = Effect.gen(function* () {
        const letters = yield* DeadLetters
        // prettier-ignore
        for (const { group, cause, count } of yield* letters.groups({ kind: "charge-card" })) yield* Effect.log(group, count, cause)
        const end = yield* letters.ramp("3f9a0c11d2e4", { failureShareMax: 0.05 })
        assert.isNull(end.stopped)
        yield* letters.discardAll({ group: "77ab01cd2e3f" }, "paid by hand")
        yield* (yield* Duetime).redriveWith(id, { amount: 7 })
      })
      // The task waits, and is no dead letter.
      assert.strictEqual((yield* Effect.flip(steps))._tag, "InvalidTransition")
    }).pipe(Effect.provide(DeadLetters.layer.pipe(Layer.provideMerge(TestDuetime.layer(Layer.empty)))))
  )
})

describe("docs/guide/deploying.md", () => {
  it("has a module of a worker", () => {
    const SendEmail = Task.define("send-email", { payload: { to: Schema.String } })
    const SendReceipt = Task.define("send-receipt", { payload: { to: Schema.String } })
    const send = ({ to }: { readonly to: string }) => Mailer.use((mailer) => mailer.send(to, ""))
    const receipt = send
    const module = () => {
      // prettier-ignore
      const tasks = Layer.mergeAll(SendEmail.handle(send), SendReceipt.handle(receipt)).pipe(Layer.provide(Mailer.layer))
      return tasks
    }
    assert.isTrue(Layer.isLayer(module()))
  })
})
