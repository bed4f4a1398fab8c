import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Duetime, Engine, Task, Worker } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { database } from "../setup/database.ts"

const Invoice = Task.define("billing.invoice", { payload: { n: Schema.Finite }, queue: "billing" })
const Parcel = Task.define("shipping.parcel", { payload: { n: Schema.Finite }, queue: "shipping" })
const each = 200

/** One application: its own store, session, broker, engine and worker, as a process of its own would have. */
const application = <E, R>(handlers: Layer.Layer<never, E, R>) =>
  Layer.mergeAll(handlers, Engine.layer).pipe(
    Layer.provideMerge(Worker.layer({ concurrency: 10 })),
    Layer.provideMerge(Layer.fresh(layerPostgres({ migrate: true, unsafeDurability: true })))
  )

layer(database(), { excludeTestServices: true, timeout: 60_000 })("two applications on one database", (it) => {
  it.effect("run their own kinds, leave each other's alone, and neither waits for what nobody serves", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const ran = { billing: new Map<string, number>(), shipping: new Map<string, number>() }
        const count = (calls: Map<string, number>) => (_: unknown, attempt: { readonly taskId: string }) =>
          Effect.sync(() => void calls.set(attempt.taskId, (calls.get(attempt.taskId) ?? 0) + 1))
        const billing = yield* Layer.build(application(Invoice.handle(count(ran.billing))))
        yield* Layer.build(application(Parcel.handle(count(ran.shipping))))

        const program = Effect.gen(function* () {
          const duetime = yield* Duetime
          const store = yield* TaskStore
          // A thousand due tasks of a kind that nobody serves stand first in time and in priority.
          const unserved = yield* duetime.scheduleUntyped(
            Array.from({ length: 1_000 }, (_, n) => ({
              kind: "legacy.import",
              payload: { n },
              priority: "critical" as const
            }))
          )
          const payloads = Array.from({ length: each }, (_, n) => ({ payload: { n } }))
          const invoices = yield* duetime.scheduleMany(Invoice, payloads)
          const parcels = yield* duetime.scheduleMany(Parcel, payloads)
          while (ran.billing.size < each || ran.shipping.size < each) yield* Effect.sleep(20)

          const idsOf = (receipts: ReadonlyArray<{ readonly id: string }>) => receipts.map(({ id }) => id)
          assert.sameMembers([...ran.billing.keys()], idsOf(invoices))
          assert.sameMembers([...ran.shipping.keys()], idsOf(parcels))
          assert.isTrue([...ran.billing.values(), ...ran.shipping.values()].every((calls) => calls === 1))
          const waiting = yield* store.find({ stage: "pending", kind: "legacy.import", limit: 1_000 })
          assert.sameMembers(
            waiting.tasks.map(({ taskId }) => taskId),
            idsOf(unserved)
          )
          const row = (yield* store.backlog).find(({ kind }) => kind === "legacy.import")
          assert.strictEqual(row?.dueCount, 1_000)
        })
        yield* Effect.provideContext(program, billing)
      })
    )
  )
})
