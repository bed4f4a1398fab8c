import { assert, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { Duetime, Engine, layerDev, layerPostgres, Task, Worker } from "../../src/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"
import { database } from "../setup/database.ts"

/** The tests of docs/guide/testing.md. */
const SendReminder = Task.define("send-reminder", { payload: { email: Schema.String, text: Schema.String } })
const Report = Task.define("report", { payload: {} })
const SendInvoice = Task.define("send-invoice", { payload: { invoice: Schema.Int } })

class Mailer extends Context.Service<
  Mailer,
  { readonly send: (email: string, text: string) => Effect.Effect<void, Error> }
>()("test/docs/Mailer") {}

const delivering = SendReminder.handle(({ email, text }) => Mailer.use((mailer) => mailer.send(email, text)))
let reported = 0

{
  const reminders = delivering.pipe(Layer.provide(Layer.succeed(Mailer, { send: () => Effect.void })))
  it.effect("reminds after three hours", () =>
    Effect.gen(function* () {
      const { id } = yield* SendReminder.schedule({ email: "ada@example.com", text: "hi" }, { in: "3 hours" })
      yield* TestClock.adjust("3 hours")
      assert.strictEqual((yield* TestDuetime.history(id)).at(-1)?._tag, "AttemptSucceeded")
      assert.deepStrictEqual(yield* TestDuetime.driftMs(id), [0])
    }).pipe(Effect.provide(TestDuetime.layer(reminders)))
  )
}

{
  const reminders = delivering
  it.effect("tries again while the mail server is away", () => {
    const sent: Array<string> = []
    const mailer = Layer.succeed(Mailer, {
      send: (email) => (sent.push(email) < 3 ? Effect.fail(new Error("503")) : Effect.void)
    })
    return Effect.gen(function* () {
      const { id } = yield* SendReminder.schedule({ email: "ada@example.com", text: "hi" })
      assert.strictEqual(yield* TestDuetime.untilEnded(id), "succeeded")
      const events = (yield* TestDuetime.history(id)).map(({ _tag }) => _tag)
      assert.strictEqual(events.filter((tag) => tag === "AttemptFailed").length, 2)
    }).pipe(Effect.provide(TestDuetime.layer(reminders.pipe(Layer.provide(mailer)))))
  })
}

it.effect("reports every hour", () => {
  const hours = Report.recur("hourly", { cron: "0 * * * *", zone: "Europe/Berlin", payload: {} })
  const reports = Report.handle(() => Effect.sync(() => reported++))
  return Effect.gen(function* () {
    yield* TestDuetime.pass("3 hours")
    assert.strictEqual(reported, 3)
  }).pipe(Effect.provide(TestDuetime.layer(Layer.mergeAll(reports, hours))))
})

const tables = SqlClient.use((sql) => sql`CREATE TABLE invoice_sent (invoice int)`)
const invoices = SendInvoice.handle(({ invoice }, attempt) =>
  attempt.commit((sql) => sql`INSERT INTO invoice_sent ${sql.insert({ invoice })}`)
)

/** What the page has its tests stand on; here it is the run's server, which is started already. */
export const grounds = () => {
  const ground = layerDev({ dataDirectory: ".duetime/test" })
  return ground
}
const ground = layerPostgres({ migrate: true, unsafeDurability: true }).pipe(Layer.provideMerge(database()))

const application = Layer.mergeAll(invoices, Engine.layer).pipe(
  Layer.provide(Worker.layer()),
  Layer.provideMerge(Layer.effectDiscard(tables)),
  Layer.provideMerge(ground)
)

layer(application, { excludeTestServices: true })("invoices", (it) => {
  it.effect("are there once, if their task has succeeded", () =>
    Effect.gen(function* () {
      const { id } = yield* SendInvoice.schedule({ invoice: 7 })
      const end = yield* Duetime.use((duetime) => duetime.awaitEnd(id, { timeout: "10 seconds" }))
      assert.strictEqual(end._tag, "Succeeded")
      const sql = yield* SqlClient
      assert.lengthOf(yield* sql`SELECT FROM invoice_sent WHERE invoice = 7`, 1)
    })
  )
})
