/**
 * A process that is an engine, a worker, or both. It begins with what it stands on and ends in the reverse order: it is
 * unready at once, the engine gives its claims back, the worker lets attempts end, and then the lease, the broker and the
 * database are let go. The health port opens first and closes last.
 */
import { Context, Effect, Layer, Option } from "effect"
import { type HealthAddress, serveHealth } from "../../api/HealthServer.ts"
import { Engine, Handlers, layerFromEnv, Worker } from "../../index.ts"
import { kafkaFromEnv, KafkaTopics, requireKafka } from "../../layers.ts"
import { Session } from "../../store/Session.ts"
import { TaskStore } from "../../store/TaskStore.ts"
import { HandlerHold } from "./HandlerHold.ts"
import { healthAddress, makeReport, type Parts } from "./health.ts"
import { makeMetricsPage } from "./metricsPage.ts"
import { stopSignal } from "./stopSignal.ts"
import { loadTasks, type Tasks, tasksFailed, withoutHandlers } from "./tasksModule.ts"
import { exporting, logging } from "./telemetry.ts"
import { haveKnownTopics, haveTopics, type Topics } from "./topicsAtStart.ts"

export type RoleOptions = {
  readonly role: "engine" | "worker" | "run"
  /** Path of the module with the handlers; undefined for an engine. */
  readonly tasks: string | undefined
  readonly concurrency: number | undefined
  readonly healthPort: Option.Option<number>
  readonly healthHost: Option.Option<string>
}

/** Runs until a signal comes; done when everything is drained. */
export const runRole = Effect.fnUntraced(
  function* (options: RoleOptions) {
    const stopped = Effect.tap(stopSignal, (signal) => Effect.logInfo(`${signal}: stops, and lets go what it holds`))
    yield* Effect.raceFirst(Effect.scoped(Effect.andThen(begin(options), Effect.never)), stopped)
    yield* Effect.logInfo("stopped in order")
  },
  (running, { role }) => Effect.provide(running, Layer.provideMerge(exporting(role), logging))
)

const begin = Effect.fnUntraced(function* (options: RoleOptions) {
  const { concurrency, role } = options
  const parts: Parts = { isStarted: false, isDraining: false }
  const kafkaSettings = yield* role === "run" ? kafkaFromEnv : Effect.asSome(requireKafka(withoutKafka))
  const tasks = options.tasks === undefined ? undefined : yield* loadTasks(options.tasks)
  const health = yield* healthAddress({ port: options.healthPort, host: options.healthHost })
  if (Option.isSome(health)) yield* openHealth(role, health.value, parts)

  const ground = yield* Layer.build(layerFromEnv)
  const session = Context.get(ground, Session)
  const kafka = Context.getOption(ground, KafkaTopics)
  parts.session = session
  parts.store = Context.get(ground, TaskStore)
  if (Option.isSome(kafka)) parts.kafka = kafka.value
  const topics = Option.map(kafka, (kafka) => ({
    kafka,
    createTopics: Option.exists(kafkaSettings, ({ createTopics }) => createTopics)
  }))

  if (tasks !== undefined) {
    const worker = yield* Effect.provide(
      Layer.build(Worker.layer(concurrency === undefined ? {} : { concurrency })),
      ground
    )
    parts.worker = Context.get(worker, Worker)
    yield* serve(tasks, Context.get(worker, Handlers), ground, topics)
  }
  if (role !== "worker") {
    if (Option.isSome(topics)) yield* haveKnownTopics(topics.value, Context.get(ground, TaskStore).kinds)
    parts.engine = Context.get(yield* Effect.provide(Layer.build(Engine.layer), ground), Engine)
  }
  parts.isStarted = true
  // The first finalizer to run.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      parts.isDraining = true
    })
  )
  yield* Effect.logInfo(`${role} started`).pipe(Effect.annotateLogs({ session: session.id() }))
})

const withoutKafka =
  'Set it, for example to localhost:9092, or run engine and worker in one process: "duetime run --tasks <module>"'

const openHealth = Effect.fnUntraced(function* (role: string, address: HealthAddress, parts: Parts) {
  const port = yield* serveHealth(address, yield* makeReport(role, parts), yield* makeMetricsPage(parts))
  yield* Effect.logInfo("health port open").pipe(Effect.annotateLogs({ host: address.host, port }))
})

/** Builds the handlers' layers, has their topics, and only then lets the worker take something of them. */
const serve = Effect.fnUntraced(function* (
  { layer, module }: Tasks,
  registry: Handlers["Service"],
  ground: Context.Context<Layer.Success<typeof layerFromEnv>>,
  topics: Option.Option<Topics>
) {
  const hold = new HandlerHold()
  yield* Layer.build(layer).pipe(
    Effect.provide(Context.add(ground, Handlers, hold)),
    // A layer of the user's may fail in any way, also with a service that nobody gives.
    Effect.catchCause((cause) => Effect.fail(tasksFailed(module, "cannot be built", cause)))
  )
  if (hold.kinds.length === 0) return yield* withoutHandlers(module)
  if (Option.isSome(topics)) yield* haveTopics(topics.value, hold.queues)
  yield* hold.letGo(registry.register)
  yield* Effect.logInfo("worker serves").pipe(
    Effect.annotateLogs({ kinds: hold.kinds.join(","), queues: hold.queues.join(",") })
  )
})
