import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Duetime, Engine, layerKafka, RetryPolicy, Task, Worker } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { database } from "../setup/database.ts"
import { onKafka, uniqueName } from "../setup/kafka.ts"
import { asCaller, Spans, treeOf, withoutSql } from "../setup/spans.ts"

const Charge = Task.define("charge-card", {
  payload: { orderId: Schema.String },
  queue: "payments",
  retry: RetryPolicy.fixed({ delay: "1 second", attemptsMax: 3 })
})
const failsOnce = Charge.handle((_, { number }) =>
  number === 1 ? Effect.fail("declined") : Effect.withSpan(Effect.void, "POST /charges")
)

/** A group of Kafka takes some seconds to begin, on a machine that is busy with other tests many. */
const timeoutMs = 120_000

onKafka("a trace", ({ brokers }) => {
  layer(database(), { excludeTestServices: true, timeout: 60_000 })("over three processes", (it) => {
    it.effect(
      "shows a task that failed once and then succeeded, from its caller to its outcome",
      () =>
        Effect.gen(function* () {
          const prefix = uniqueName("traces")
          /** Its own store, session, broker and exporter, as a process of its own would have. */
          const ground = () =>
            Layer.fresh(
              layerPostgres({
                migrate: true,
                unsafeDurability: true,
                broker: layerKafka({ brokers: brokers.split(","), prefix, partitions: 2, createTopics: true })
              })
            )
          const [caller, engine, worker] = [new Spans(), new Spans(), new Spans()]
          const serving = failsOnce.pipe(Layer.provideMerge(Worker.layer()), Layer.provideMerge(ground()))
          yield* Layer.build(Layer.provide(serving, worker.layer))
          yield* Layer.build(Engine.layer.pipe(Layer.provide(ground()), Layer.provide(engine.layer)))
          const client = yield* Layer.build(Layer.provideMerge(ground(), caller.layer))

          const { id, stage } = yield* Effect.gen(function* () {
            const { id } = yield* asCaller(Charge.schedule({ orderId: "A-1" }))
            const end = yield* Duetime.use((duetime) => duetime.awaitEnd(id))
            return { id, stage: end._tag }
          }).pipe(Effect.provideContext(client))
          assert.strictEqual(stage, "Succeeded")
          while (worker.named("attempt charge-card").length < 2) yield* Effect.sleep(20)

          const attempt = ["    dispatch charge-card", "    attempt charge-card"]
          assert.deepStrictEqual(treeOf(withoutSql([...caller.ended, ...worker.ended])), [
            "caller",
            "  schedule charge-card",
            ...attempt,
            "      record charge-card",
            ...attempt,
            "      POST /charges",
            "      record charge-card"
          ])
          const [first, second] = worker.named("attempt charge-card").map(({ attributes }) => attributes)
          assert.deepStrictEqual(
            [first, second].map((attributes) => attributes?.get("duetime.outcome")),
            ["failed", "succeeded"]
          )
          assert.strictEqual(first?.get("duetime.task.id"), id)
          // It came by Kafka: only a dispatch tells when it was published.
          const parts = ["claim", "dispatch", "delivery"].map((part) => Number(second?.get(`duetime.${part}_lag_ms`)))
          const drift = Number(second?.get("duetime.drift_ms"))
          assert.closeTo(
            parts.reduce((sum, part) => sum + part, 0),
            drift,
            0.01
          )
          assert.deepStrictEqual(treeOf(engine.ended), [], "engines do not trace their statements")
          assert.deepStrictEqual(treeOf(withoutSql(worker.ended)), treeOf(worker.ended), "nor do workers")
        }),
      timeoutMs
    )
  })
})
