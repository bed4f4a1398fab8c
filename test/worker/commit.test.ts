/**
 * `attempt.commit` on a real PostgreSQL: the effects of a handler and the record of its success are in one transaction.
 * These tests wait on what happens, not on a clock: the database's time cannot be moved.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql/SqlClient"
import { Duetime } from "../../src/Duetime.ts"
import type { HandlerConflict } from "../../src/DuetimeError.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { layerPostgres } from "../../src/layers.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import { AttemptObserver } from "../../src/worker/AttemptObserver.ts"
import type { AsyncSql, Handlers } from "../../src/worker/Handlers.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { database } from "../setup/database.ts"

const payload = { order: Schema.String }
const Pay = Task.define("pay", { payload, retry: RetryPolicy.never })
const Slow = Task.define("pay-slowly", { payload, retry: RetryPolicy.never, timeout: "300 millis" })

const ended = new Map<string, Deferred.Deferred<string>>()
const endOf = (id: string) => {
  const known = ended.get(id) ?? Deferred.makeUnsafe<string>()
  ended.set(id, known)
  return known
}
/** Tells when the outcome of a task's attempt is in the database. */
const observer = Layer.succeed(AttemptObserver, {
  started: () => {},
  ended: ({ taskId }, stage) => void Deferred.doneUnsafe(endOf(taskId), Effect.succeed(stage))
})

const ground = layerPostgres({ migrate: true, unsafeDurability: true }).pipe(Layer.provideMerge(database()))

/** JavaScript gives what the types forbid. */
const given = (body: (sql: never) => unknown): ((sql: unknown) => Effect.Effect<never> & Promise<never>) =>
  body as never

type Handled = Layer.Layer<never, HandlerConflict, Handlers | Duetime>

const insert = (sql: SqlClient, order: string) => sql`INSERT INTO payment VALUES (${order}, 1)`

const rowsOf = (order: string) =>
  Effect.flatMap(
    PgClient.PgClient,
    (sql) => sql<{ attempt: number }>`SELECT attempt FROM payment WHERE "order" = ${order}`
  )

/** Runs one task of the order by a handler, and answers with its stage and view. */
const runOne = (order: string, handlers: Handled, kind: typeof Pay = Pay) =>
  Effect.scoped(
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`CREATE TABLE IF NOT EXISTS payment ("order" text, attempt int)`
      const worker = Layer.provide(Worker.layer({ drainGrace: 0 }), observer)
      yield* Layer.build(Layer.mergeAll(handlers, Engine.layer).pipe(Layer.provide(worker)))
      const { id } = yield* kind.schedule({ order })
      const stage = yield* Deferred.await(endOf(id))
      return { id, stage, view: yield* Duetime.use((duetime) => duetime.get(id)) }
    })
  )

layer(ground, { timeout: "1 minute", excludeTestServices: true })("attempt.commit", (it) => {
  it.effect("writes the effects and the success together, and what the handler does afterwards changes nothing", () =>
    Effect.gen(function* () {
      const { stage, view } = yield* runOne(
        "together",
        Pay.handle(({ order }, attempt) =>
          attempt
            .commit((sql) => Effect.as(sql`INSERT INTO payment VALUES (${order}, ${attempt.number})`, { paid: order }))
            .pipe(Effect.andThen(Effect.fail("too late to fail")))
        )
      )
      assert.strictEqual(stage, "succeeded")
      assert.deepStrictEqual(view.result, { paid: "together" })
      assert.deepStrictEqual(yield* rowsOf("together"), [{ attempt: 1 }])
    })
  )

  it.effect("writes neither when the body fails", () =>
    Effect.gen(function* () {
      const { stage, view } = yield* runOne(
        "neither",
        Pay.handle(({ order }, attempt) =>
          attempt.commit((sql) =>
            Effect.andThen(sql`INSERT INTO payment VALUES (${order}, 1)`, Effect.fail(new Error("no cover")))
          )
        )
      )
      assert.strictEqual(stage, "dead")
      assert.strictEqual(view.lastError?.message, "no cover")
      assert.deepStrictEqual(yield* rowsOf("neither"), [])
    })
  )

  const unfit: ReadonlyArray<readonly [order: string, handlers: () => Handled, message: string]> = [
    [
      "async in handle",
      () =>
        Pay.handle(({ order }, attempt) =>
          attempt
            .commit(given(async (sql: SqlClient) => void (await Effect.runPromise(insert(sql, order)))))
            .pipe(Effect.ignore)
        ),
      'the body of attempt.commit in the handler of "pay" returned a promise, not an Effect; give async functions to handleAsync'
    ],
    [
      "nothing in handle",
      () => Pay.handle((_, attempt) => attempt.commit(given(() => {}))),
      'the body of attempt.commit in the handler of "pay" returned undefined, not an Effect; return the Effect'
    ],
    [
      "an Effect in handleAsync",
      () =>
        Pay.handleAsync(async ({ order }, attempt) => {
          await attempt.commit(given((sql: AsyncSql) => insert(sql.client, order)))
        }),
      'the body of attempt.commit in the handler of "pay" returned an Effect that nobody runs; give it to handle'
    ]
  ]
  it.effect.each(unfit)("refuses what it cannot run, %s, and writes neither", ([order, handlers, message]) =>
    Effect.gen(function* () {
      const { stage, view } = yield* runOne(order, handlers())
      assert.strictEqual(stage, "dead")
      assert.strictEqual(view.attempts, 1)
      assert.strictEqual(view.deadReason, "not-retryable")
      assert.include(view.lastError?.message, message)
    })
  )

  it.effect("is repeated when the connection breaks in the middle, at no cost of an attempt", () =>
    Effect.gen(function* () {
      const application = yield* PgClient.PgClient
      let runs = 0
      const { stage, view } = yield* runOne(
        "broken",
        Pay.handle(({ order }, attempt) =>
          attempt.commit((sql) =>
            Effect.gen(function* () {
              yield* sql`INSERT INTO payment VALUES (${order}, ${attempt.number})`
              if (++runs > 1) return
              const [own] = yield* sql<{ readonly id: number }>`SELECT pg_backend_pid() AS id`
              yield* Effect.scoped(
                Effect.flatMap(
                  PgClient.make({ ...application.config, maxConnections: 1 }),
                  (operator) => operator`SELECT pg_terminate_backend(${own?.id ?? 0})`
                ).pipe(Effect.provide(Reactivity.layer))
              )
              yield* sql`SELECT 1`
            })
          )
        )
      )
      assert.deepStrictEqual([stage, runs, view.attempts], ["succeeded", 2, 1])
      assert.deepStrictEqual(yield* rowsOf("broken"), [{ attempt: 1 }])
    })
  )

  it.effect("an error that the server answers with is the handler's own, and not repeated", () =>
    Effect.gen(function* () {
      let runs = 0
      const { stage, view } = yield* runOne(
        "refused",
        Pay.handle((_, attempt) =>
          attempt.commit((sql) =>
            Effect.andThen(
              Effect.sync(() => void runs++),
              sql`DO $$ BEGIN RAISE EXCEPTION 'no cover'; END $$`
            )
          )
        )
      )
      assert.deepStrictEqual([stage, runs], ["dead", 1])
      assert.strictEqual(view.lastError?.name, "SqlError")
      assert.match(view.lastError?.message ?? "", /: no cover$/)
    })
  )

  it.effect("says what to do when its body goes on behind an error that it has caught", () =>
    Effect.gen(function* () {
      const { stage, view } = yield* runOne(
        "caught",
        Pay.handle(({ order }, attempt) =>
          attempt.commit((sql) => Effect.ignore(sql`INSERT INTO payment VALUES (${order}, 'a text'::int)`))
        )
      )
      assert.strictEqual(stage, "dead")
      assert.match(
        view.lastError?.message ?? "",
        /A statement before it in the same transaction has failed: let its error/
      )
    })
  )

  it.effect("and goes on behind one in a savepoint", () =>
    Effect.gen(function* () {
      const { stage } = yield* runOne(
        "saved",
        Pay.handle(({ order }, attempt) =>
          attempt.commit((sql) =>
            sql`INSERT INTO payment VALUES (${order}, 'a text'::int)`.pipe(
              sql.withTransaction,
              Effect.catch(() => insert(sql, order))
            )
          )
        )
      )
      assert.strictEqual(stage, "succeeded")
      assert.deepStrictEqual(yield* rowsOf("saved"), [{ attempt: 1 }])
    })
  )

  it.effect("rolls the effects back when the attempt has ended otherwise meanwhile", () =>
    Effect.gen(function* () {
      const lost = yield* Deferred.make<unknown>()
      const { stage, view } = yield* runOne(
        "lost",
        Slow.handle(({ order }, attempt) =>
          attempt
            .commit((sql) =>
              // The timeout is recorded while the transaction is open, and its handler hears nothing of it.
              Effect.andThen(sql`INSERT INTO payment VALUES (${order}, 1)`, Deferred.await(endOf(attempt.taskId)))
            )
            .pipe(
              Effect.tapError((error) => Deferred.succeed(lost, error)),
              Effect.uninterruptible
            )
        ),
        Slow
      )
      assert.strictEqual(stage, "dead")
      assert.strictEqual(view.lastError?.name, "AttemptTimedOut")
      assert.propertyVal(yield* Deferred.await(lost), "_tag", "LeaseLost")
      assert.deepStrictEqual(yield* rowsOf("lost"), [])
    })
  )

  it.effect("is interrupted at the timeout like any other part of a handler, and rolled back", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const { stage } = yield* runOne(
        "hanging",
        Slow.handle(({ order }, attempt) =>
          attempt.commit((sql) =>
            Effect.andThen(sql`INSERT INTO payment VALUES (${order}, 1)`, Effect.never).pipe(
              Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
            )
          )
        ),
        Slow
      )
      assert.strictEqual(stage, "dead")
      yield* Deferred.await(interrupted)
      assert.deepStrictEqual(yield* rowsOf("hanging"), [])
    })
  )

  it.effect("lets a task schedule the next one, or neither", () =>
    Effect.gen(function* () {
      const Next = Task.define("next", { payload: { after: Schema.String } })
      const duetime = yield* Duetime
      const nexts = Effect.map(duetime.find({ stage: "pending", kind: "next" }), ({ tasks }) => tasks.length)
      const handlers = (isCovered: boolean) =>
        Pay.handle(({ order }, attempt) =>
          attempt.commit(() =>
            Effect.andThen(Next.schedule({ after: order }), isCovered ? Effect.void : Effect.fail("no cover"))
          )
        )
      yield* runOne("uncovered", handlers(false))
      assert.strictEqual(yield* nexts, 0)
      yield* runOne("covered", handlers(true))
      assert.strictEqual(yield* nexts, 1)
    })
  )

  it.effect("is a tagged template for async handlers, and closed after its body", () =>
    Effect.gen(function* () {
      const late = yield* Deferred.make<unknown>()
      let laterQuery: (() => Promise<unknown>) | undefined
      const { stage, view } = yield* runOne(
        "async",
        Pay.handleAsync(async ({ order }, attempt) => {
          const result = await attempt.commit(async (sql) => {
            await sql`INSERT INTO payment ${sql.client.insert({ order, attempt: attempt.number })}`
            const rows = await sql<{ attempt: number }>`SELECT attempt FROM payment WHERE "order" = ${order}`
            laterQuery = () => sql`SELECT 1`
            return rows.length
          })
          await laterQuery?.().catch((error: unknown) => Deferred.doneUnsafe(late, Effect.succeed(error)))
          return result
        })
      )
      assert.strictEqual(stage, "succeeded")
      assert.strictEqual(view.result, 1)
      assert.deepStrictEqual(yield* rowsOf("async"), [{ attempt: 1 }])
      assert.include(String(yield* Deferred.await(late)), "has ended")
    })
  )
})
