import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Duetime, layerPostgres, Task } from "../../src/index.ts"
import { database } from "../setup/database.ts"
import { connect } from "../store/postgres/sqlSchedule.ts"

const SendReminder = Task.define("send-reminder", { payload: { order: Schema.Int } })

type Order = { readonly id: number; readonly customer: string }

const placeOrder = Effect.fn("placeOrder")(function* (order: Order) {
  const sql = yield* SqlClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`INSERT INTO orders ${sql.insert(order)}`
      return yield* SendReminder.schedule({ order: order.id }, { in: "3 hours", key: `order ${order.id}` })
    })
  )
})

/** What the second example of the guide asks of pg's client. */
type Client = {
  readonly query: (text: string, values?: ReadonlyArray<unknown>) => Promise<{ readonly rows: ReadonlyArray<Row> }>
}
type Row = { readonly task_id: string; readonly created: boolean }

const withPg = () => {
  const placeOrder = async (client: Client, order: Order) => {
    await client.query("BEGIN")
    try {
      await client.query("INSERT INTO orders (id, customer) VALUES ($1, $2)", [order.id, order.customer])
      const { rows } = await client.query(
        "SELECT task_id, created FROM duetime.schedule($1, $2, due_at => now() + interval '3 hours', key => $3)",
        ["send-reminder", JSON.stringify({ order: order.id }), `order ${order.id}`]
      )
      await client.query("COMMIT")
      return rows[0]
    } catch (error) {
      await client.query("ROLLBACK")
      throw error
    }
  }
  return placeOrder
}

type OutboxRow = { readonly id: number; readonly order: number }
class Outbox extends Context.Service<
  Outbox,
  {
    readonly oldest: (limit: number) => Effect.Effect<ReadonlyArray<OutboxRow>>
    readonly remove: (ids: ReadonlyArray<number>) => Effect.Effect<void, string>
  }
>()("test/docs/Outbox") {}

const relay = Effect.gen(function* () {
  const rows = yield* Outbox.use((outbox) => outbox.oldest(1_000))
  yield* SendReminder.scheduleMany(
    rows.map(({ id, order }) => ({ payload: { order }, in: "3 hours", key: `outbox ${id}` }))
  )
  yield* Outbox.use((outbox) => outbox.remove(rows.map(({ id }) => id)))
})

const ground = Layer.mergeAll(
  Layer.effectDiscard(PgClient.PgClient.use((sql) => sql`CREATE TABLE orders (id int PRIMARY KEY, customer text)`))
).pipe(Layer.provideMerge(layerPostgres({ migrate: true, unsafeDurability: true })), Layer.provideMerge(database()))

const stored = (id: string) => Effect.exit(Duetime.use((duetime) => duetime.get(id)))
const ordersCount = PgClient.PgClient.use((sql) => sql<{ n: number }>`SELECT count(*)::int AS n FROM orders`).pipe(
  Effect.map(([row]) => row?.n)
)

layer(ground, { excludeTestServices: true, timeout: 60_000 })("docs/guide/transactions.md", (it) => {
  it.effect("an order and its reminder are both there, or neither, and then the key is free", () =>
    Effect.gen(function* () {
      const placed = yield* placeOrder({ id: 1, customer: "Ada" })
      assert.strictEqual((yield* stored(placed.id))._tag, "Success")
      const sql = yield* SqlClient
      let id = ""
      const failing = Effect.gen(function* () {
        id = (yield* placeOrder({ id: 2, customer: "Bob" })).id
        return yield* Effect.fail("no stock")
      })
      assert.strictEqual((yield* Effect.exit(sql.withTransaction(failing)))._tag, "Failure")
      assert.strictEqual((yield* stored(id))._tag, "Failure")
      assert.isTrue((yield* placeOrder({ id: 2, customer: "Bob" })).created)
    })
  )

  it.effect("a conflict of keys leaves the transaction of the client usable", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const before = (yield* ordersCount) ?? 0
      yield* SendReminder.schedule({ order: 0 }, { key: "order 3" })
      yield* sql.withTransaction(
        Effect.catchTag(placeOrder({ id: 3, customer: "Cy" }), "KeyConflict", () => Effect.void)
      )
      assert.strictEqual(yield* ordersCount, before)
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO orders (id, customer) VALUES (3, 'Cy')`
          const conflict = yield* Effect.flip(SendReminder.schedule({ order: 3 }, { key: "order 3" }))
          assert.strictEqual(conflict._tag, "KeyConflict")
        })
      )
      assert.strictEqual(yield* ordersCount, before + 1)
    })
  )

  it.effect("cancelling joins the transaction, too", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const duetime = yield* Duetime
      const { id } = yield* placeOrder({ id: 4, customer: "Di" })
      yield* Effect.exit(sql.withTransaction(Effect.andThen(duetime.cancel(id), Effect.fail("not so"))))
      assert.strictEqual((yield* duetime.get(id)).stage, "pending")
      yield* sql.withTransaction(duetime.cancel(id))
      assert.strictEqual((yield* duetime.get(id)).stage, "cancelled")
    })
  )

  it.effect("a client that knows nothing of duetime does the same, and is refused a key of another payload", () =>
    Effect.gen(function* () {
      const sql = yield* connect()
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      const client: Client = {
        query: async (text, values) => ({ rows: await run(sql.unsafe<Row>(text, values)) })
      }
      const place = withPg()
      const placed = yield* Effect.promise(() => place(client, { id: 5, customer: "Eve" }))
      assert.isTrue(placed?.created)
      assert.strictEqual((yield* stored(placed?.task_id ?? ""))._tag, "Success")
      const before = yield* ordersCount
      yield* SendReminder.schedule({ order: 0 }, { key: "order 6" })
      const refused = yield* Effect.exit(Effect.tryPromise(() => place(client, { id: 6, customer: "Fay" })))
      assert.strictEqual(refused._tag, "Failure")
      assert.strictEqual(yield* ordersCount, before)
    }).pipe(Effect.scoped)
  )

  it.effect("a relay that dies before it has removed what it scheduled schedules nothing twice", () =>
    Effect.gen(function* () {
      const rows = [7, 8].map((id) => ({ id, order: id }))
      const removed: Array<number> = []
      const outbox = (remove: (ids: ReadonlyArray<number>) => Effect.Effect<void, string>) =>
        Effect.provideService(relay, Outbox, { oldest: () => Effect.succeed(rows), remove })
      yield* Effect.exit(outbox(() => Effect.fail("killed")))
      yield* outbox((ids) => Effect.sync(() => removed.push(...ids)))
      assert.deepStrictEqual(removed, [7, 8])
      const { tasks } = yield* Duetime.use((duetime) => duetime.find({ stage: "pending", kind: "send-reminder" }))
      const views = yield* Effect.forEach(tasks, ({ id }) => Duetime.use((duetime) => duetime.get(id)))
      assert.sameMembers(
        views.flatMap(({ key }) => (key?.startsWith("outbox") === true ? [key] : [])),
        ["outbox 7", "outbox 8"]
      )
    })
  )
})
