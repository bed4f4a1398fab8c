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
  /** Called once all parts run, with what is served. Default: it is logged. */
  readonly onStarted?: (handlers: HandlerHold["handlers"]) => void
}

/** Runs until a signal comes; done when everything is drained. */
export const serveRole = Effect.fnUntraced(function* (options: RoleOptions) {
  const stopped = Effect.tap(stopSignal, (signal) => tell(options)(`${signal}: stops, and lets go what it holds`))
  yield* Effect.raceFirst(Effect.scoped(Effect.andThen(begin(options), Effect.never)), stopped)
  yield* tell(options)("stopped in order")
})

/** As a service of its own, which logs for machines and exports what it traces. */
export const runRole = (options: RoleOptions) =>
  Effect.provide(serveRole(options), Layer.provideMerge(exporting(options.role), logging))

/** Who is told of the start by a call wants no log of it. */
const tell = ({ onStarted }: RoleOptions) => (onStarted === undefined ? Effect.logInfo : Effect.logDebug)

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

  let served: HandlerHold["handlers"] = []
  if (tasks !== undefined) {
    const worker = yield* Effect.provide(
      Layer.build(Worker.layer(concurrency === undefined ? {} : { concurrency })),
      ground
    )
    parts.worker = Context.get(worker, Worker)
    const { handlers, kinds, queues } = yield* serve(tasks, Context.get(worker, Handlers), ground, topics)
    served = handlers
    yield* tell(options)("worker serves").pipe(
      Effect.annotateLogs({ kinds: kinds.join(","), queues: queues.join(",") })
    )
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
  yield* tell(options)(`${role} started`).pipe(Effect.annotateLogs({ session: session.id() }))
  options.onStarted?.(served)
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
  return hold
})
