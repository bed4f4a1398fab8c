import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Duetime, Engine, layerPostgres, RetryPolicy, Task, Worker } from "../../src/index.ts"
import { database } from "../setup/database.ts"

const Charge = Task.define("charge", {
  payload: { order: Schema.Int },
  retry: RetryPolicy.fixed({ delay: "10 millis", attemptsMax: 3 })
})

/** Charges once per key, and loses its first answer. */
class Provider extends Context.Service<
  Provider,
  { readonly charge: (order: number, key: string) => Effect.Effect<string, string> }
>()("test/docs/Provider") {}

const charged: Array<string> = []
const calls: Array<string> = []
const provider = Layer.succeed(Provider, {
  charge: (_, key) =>
    Effect.suspend(() => {
      calls.push(key)
      if (!charged.includes(key)) charged.push(key)
      return calls.length === 1 ? Effect.fail("the answer was lost") : Effect.succeed(`ch_${charged.indexOf(key) + 1}`)
    })
})

const charges = Charge.handle(
  Effect.fn("charge")(function* ({ order }, attempt) {
    const chargeId = yield* Provider.use((provider) => provider.charge(order, attempt.idempotencyKey))
    yield* attempt.commit((sql) => sql`INSERT INTO charge ${sql.insert({ order, charge_id: chargeId })}`)
  })
)

const ground = Layer.mergeAll(charges.pipe(Layer.provide(provider)), Engine.layer).pipe(
  Layer.provideMerge(Worker.layer()),
  Layer.provideMerge(
    Layer.effectDiscard(PgClient.PgClient.use((sql) => sql`CREATE TABLE charge ("order" int, charge_id text)`))
  ),
  Layer.provideMerge(layerPostgres({ migrate: true, unsafeDurability: true })),
  Layer.provideMerge(database())
)

layer(ground, { excludeTestServices: true, timeout: 60_000 })("docs/guide/idempotency.md", (it) => {
  it.effect("a schedule that is repeated is one task, and a call that is repeated is one charge and one row", () =>
    Effect.gen(function* () {
      const first = yield* Charge.schedule({ order: 7 }, { key: "order 7" })
      const again = yield* Charge.schedule({ order: 7 }, { key: "order 7", in: "1 hour" })
      assert.deepStrictEqual(again, { id: first.id, created: false })
      const end = yield* Duetime.use((duetime) => duetime.awaitEnd(first.id, { timeout: "20 seconds" }))
      assert.strictEqual(end._tag, "Succeeded")
      assert.deepStrictEqual(calls, [first.id, first.id])
      assert.deepStrictEqual(charged, [first.id])
      const sql = yield* PgClient.PgClient
      assert.deepStrictEqual(yield* sql`SELECT * FROM charge`, [{ order: 7, charge_id: "ch_1" }])
    })
  )

  it.effect("a key of expiresIn 0 lets one task live at a time", () =>
    Effect.gen(function* () {
      const key = { key: "sync 7", expiresIn: 0 }
      const { id } = yield* Charge.schedule({ order: 8 }, { key: { key: "sync 7", expiresIn: 0 }, in: "1 day" })
      assert.isFalse((yield* Charge.schedule({ order: 8 }, { key })).created)
      yield* Duetime.use((duetime) => duetime.cancel(id))
      assert.isTrue((yield* Charge.schedule({ order: 8 }, { key, in: "1 day" })).created)
    })
  )
})
