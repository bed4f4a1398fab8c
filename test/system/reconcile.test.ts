/**
 * Goal: a worker that goes away between a call to the outside and its record must neither repeat the call nor lose it. Method:
 * two applications on one PostgreSQL; one starts every attempt, makes half of the calls, and is gone before it can record
 * anything; the other asks what became of them.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Schema, Scope } from "effect"
import { audit } from "../../src/core/audit.ts"
import { Duetime, Engine, Task, Worker } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { database } from "../setup/database.ts"

const Charge = Task.define("charge", {
  payload: { order: Schema.Int },
  result: Schema.Struct({ chargeId: Schema.String }),
  retry: { attemptsMax: 3, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" },
  onInterrupted: "park"
})
const ordersCount = 20

const application = <E, R>(handlers: Layer.Layer<never, E, R>) =>
  Layer.build(
    Layer.mergeAll(handlers, Engine.layer).pipe(
      Layer.provideMerge(Worker.layer({ concurrency: 100, drainGrace: 0 })),
      Layer.provideMerge(Layer.fresh(layerPostgres({ migrate: true, unsafeDurability: true })))
    )
  )

layer(database(), { excludeTestServices: true, timeout: 60_000 })(
  "a worker that goes away in the middle of calls",
  (it) => {
    it.effect("leaves each of them made once: who asks finds those that went out, and makes the others", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const charges = new Map<string, number>()
          const move = (key: string) => charges.set(key, (charges.get(key) ?? 0) + 1)
          const allBegun = yield* Deferred.make<void>()
          let begunCount = 0
          // Only the even orders get through to the provider.
          const goingAway = yield* Scope.make()
          const first = yield* application(
            Charge.handle(({ order }, { idempotencyKey }) =>
              Effect.gen(function* () {
                if (order % 2 === 0) move(idempotencyKey)
                if (++begunCount === ordersCount) yield* Deferred.succeed(allBegun, undefined)
                return yield* Effect.never
              })
            )
          ).pipe(Scope.provide(goingAway))
          const ids = yield* Effect.gen(function* () {
            const duetime = yield* Duetime
            const orders = Array.from({ length: ordersCount }, (_, order) => ({ payload: { order } }))
            return (yield* duetime.scheduleMany(Charge, orders)).map(({ id }) => id)
          }).pipe(Effect.provideContext(first))
          yield* Deferred.await(allBegun)
          yield* Scope.close(goingAway, Exit.void)

          const asking = yield* application(
            Charge.handle(
              (_, { idempotencyKey }) =>
                Effect.as(
                  Effect.sync(() => move(idempotencyKey)),
                  { chargeId: "made by the other" }
                ),
              {
                reconcile: (_, { idempotencyKey }) =>
                  Effect.sync(() => (charges.has(idempotencyKey) ? Task.done({ chargeId: "found" }) : Task.notDone))
              }
            )
          )
          const store = Context.get(asking, TaskStore)
          const succeeded = store.find({ stage: "succeeded", kind: "charge", limit: 100 })
          while ((yield* succeeded).tasks.length < ordersCount) yield* Effect.sleep(20)

          assert.deepStrictEqual(charges, new Map(ids.map((id) => [id, 1])))
          const duetime = Context.get(asking, Duetime)
          const results = yield* Effect.forEach(ids, (id) => Effect.map(duetime.get(id), ({ result }) => result))
          assert.deepStrictEqual(
            results,
            ids.map((_, order) => ({ chargeId: order % 2 === 0 ? "found" : "made by the other" }))
          )
          assert.deepStrictEqual(audit(yield* store.streams(null, 100), { policyOf: () => Charge.policy }), [])
        })
      )
    )
  }
)
