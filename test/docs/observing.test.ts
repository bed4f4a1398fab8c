import { assert, describe, it } from "@effect/vitest"
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { createServer } from "node:http"
import { Duetime, Engine, layerMemory, observeBacklog, Task, Worker } from "../../src/index.ts"
import { tracerIn } from "../../src/DuetimeTraces.ts"
import { Spans, treeOf } from "../setup/spans.ts"

/** The code of docs/guide/observing.md, in its order: compiled with this file, and run by it. */
const ChargeCard = Task.define("charge-card", { payload: { orderId: Schema.String } })
const charge = (orderId: string, key: string) => Effect.succeed(`${orderId} ${key}`)
const ground = layerMemory
const metricsPort = 0

const server = NodeHttpServer.layer(createServer, { port: metricsPort })
const metrics = HttpRouter.serve(PrometheusMetrics.layerHttp()).pipe(Layer.provide(server))
const backlog = observeBacklog.pipe(
  Effect.ignore,
  Effect.repeat(Schedule.spaced("15 seconds")),
  Effect.forkScoped,
  Layer.effectDiscard
)

const charging = ChargeCard.handle(({ orderId }, attempt) =>
  charge(orderId, attempt.idempotencyKey).pipe(Effect.withSpan("POST /charges", { kind: "client" }))
)

const program = <A>(tracing: Layer.Layer<A>) => {
  const shop = Layer.mergeAll(charging, Engine.layer).pipe(
    Layer.provideMerge(Worker.layer()),
    Layer.provideMerge(ground),
    Layer.provide(tracing)
  )
  return shop
}

const tracing = OtlpTracer.layer({
  url: "http://localhost:4318/v1/traces",
  resource: { serviceName: "shop" }
}).pipe(Layer.provide(OtlpSerialization.layerProtobuf), Layer.provide(FetchHttpClient.layer))

describe("docs/guide/observing.md", () => {
  it.live("serves metrics and the backlog, and traces a task from its caller to its outcome", () =>
    Effect.gen(function* () {
      const spans = new Spans()
      const shop = Layer.mergeAll(backlog, metrics, server).pipe(Layer.provideMerge(program(spans.layer)))
      const context = yield* Layer.build(shop)
      yield* Effect.gen(function* () {
        const { id } = yield* ChargeCard.schedule({ orderId: "A-1" }).pipe(Effect.withSpan("POST /orders"))
        yield* Duetime.use((duetime) => duetime.awaitEnd(id))
        // The layer looks again in 15 seconds.
        yield* observeBacklog
      }).pipe(Effect.provideContext(context), Effect.provide(spans.layer))
      while (spans.named("attempt charge-card").length === 0) yield* Effect.sleep(1)
      assert.deepStrictEqual(treeOf(spans.ended), [
        "POST /orders",
        "  schedule charge-card",
        "    dispatch charge-card",
        "    attempt charge-card",
        "      POST /charges",
        "      record charge-card"
      ])
      const { address } = Context.get(context, HttpServer.HttpServer)
      const port = "port" in address ? address.port : 0
      const page = yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
      assert.match(page, /^duetime_drift_ms_count{.*kind="charge-card"/m)
      assert.match(page, /^duetime_backlog_tasks{.*kind="charge-card",state="due"} 0$/m)
    })
  )

  it.effect("installs a tracer that workers and callers find", () =>
    Effect.gen(function* () {
      assert.isNotNull(tracerIn(yield* Effect.context<never>()))
    }).pipe(Effect.provide(tracing))
  )
})
