import { roomFor } from "../broker/Broker.contract.ts"
/**
 * Engines and workers on one memory database, each process with a session of its own. The worker is the smallest that keeps
 * the protocol: it starts what it is brought, acknowledges, and records the outcome, and writes down what it saw.
 */
import { Context, Effect, Exit, Layer, type Scope as ScopeType, Scope } from "effect"
import { Broker, type Dispatch } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { defaultKindPolicy, type KindPolicy } from "../../src/core/KindPolicy.ts"
import type { Priority } from "../../src/core/Priority.ts"
import * as TaskId from "../../src/core/TaskId.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { defaults, EngineConfig } from "../../src/engine/EngineConfig.ts"
import { Ids } from "../../src/store/Ids.ts"
import type * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { Session } from "../../src/store/Session.ts"
import { type Started, TaskStore } from "../../src/store/TaskStore.ts"

export type Process = {
  readonly store: TaskStore["Service"]
  readonly session: Session["Service"]
  readonly broker: Broker["Service"]
  readonly control: MemoryStore.MemoryControl["Service"]
  readonly engine: Engine["Service"]
  /** Ends the engine as a shutdown does; the store and session stay. */
  readonly stopEngine: Effect.Effect<void>
}

export type ProcessOptions = {
  readonly config?: Partial<EngineConfig>
  readonly policies?: ReadonlyArray<KindPolicy>
  /** Stands in for the broker of the process. */
  readonly broker?: (broker: Broker["Service"]) => Broker["Service"]
  readonly store?: (store: TaskStore["Service"]) => TaskStore["Service"]
  readonly recurrences?: (store: RecurrenceStore["Service"]) => RecurrenceStore["Service"]
}

/** A process that serves `reminder.email` from the queue `emails` unless told otherwise. */
export const startProcess = Effect.fnUntraced(function* (
  database: MemoryDatabase.MemoryDatabase,
  options: ProcessOptions = {}
): Effect.fn.Return<Process, never, ScopeType.Scope> {
  const ports = yield* Layer.build(
    Layer.fresh(Layer.merge(MemoryStore.layerOn(database), MemoryBroker.layerWith({ capacityPerQueue: 20_000 })))
  )
  const store = (options.store ?? ((own) => own))(Context.get(ports, TaskStore))
  const broker = (options.broker ?? ((own) => own))(Context.get(ports, Broker))
  const recurrences = (options.recurrences ?? ((own) => own))(Context.get(ports, RecurrenceStore))
  const session = Context.get(ports, Session)
  yield* Effect.orDie(session.serve(options.policies ?? [emailPolicy]))
  const control = Context.get(ports, MemoryStore.MemoryControl)
  let isCrashed = false
  const engineScope = yield* Effect.acquireRelease(Scope.make(), (scope) =>
    // No finalizer runs in a process that was killed.
    isCrashed ? Effect.void : Scope.close(scope, Exit.void)
  )
  const engine = yield* Layer.buildWithScope(
    Layer.fresh(Engine.layer).pipe(
      Layer.provide(
        Layer.succeedContext(
          Context.make(TaskStore, store).pipe(
            Context.add(RecurrenceStore, recurrences),
            Context.add(Session, session),
            Context.add(Broker, broker)
          )
        )
      )
    ),
    engineScope
  ).pipe(Effect.provideService(EngineConfig, { ...defaults, ...options.config }))
  return {
    store,
    session,
    broker,
    control: {
      ...control,
      crash: Effect.andThen(
        Effect.sync(() => (isCrashed = true)),
        control.crash
      )
    },
    engine: Context.get(engine, Engine),
    stopEngine: Scope.close(engineScope, Exit.void)
  }
})

export const emailPolicy: KindPolicy = { ...defaultKindPolicy("reminder.email"), queue: "emails" }

export type Seen = {
  readonly dispatches: Array<Dispatch>
  readonly started: Array<Started>
  /** Starts that were refused: stale hints, and hints before their time. */
  readonly refused: Array<"Lost" | "TooEarly">
}

/** Starts and finishes all that a queue of the process brings, in batches of `atOnceMax`. */
export const startWorker = Effect.fnUntraced(function* (
  process: Pick<Process, "store" | "session" | "broker">,
  options: {
    readonly queue?: string
    readonly atOnceMax?: number
    readonly pauseMs?: number
    readonly finishes?: boolean
  } = {}
) {
  const { broker, session, store } = process
  const { eventId } = yield* Ids
  const seen: Seen = { dispatches: [], started: [], refused: [] }
  const subscription = yield* broker.consume(options.queue ?? "emails")
  yield* Effect.forkScoped(
    Effect.gen(function* () {
      while (true) {
        const batch = yield* subscription.take(roomFor(options.atOnceMax ?? 1_000))
        seen.dispatches.push(...batch)
        const answers = yield* store.start(
          session.id(),
          batch.map(({ dispatchedAtMs, fence, taskId }) => ({
            taskId,
            fence,
            eventId: eventId(),
            timeoutMs: 60_000,
            dispatchedAtMs
          }))
        )
        yield* subscription.acknowledge(batch)
        const started = answers.filter((answer) => answer._tag === "Started")
        yield* broker
          .tellStarted(batch.flatMap(({ fence }, index) => (answers[index]?._tag === "Started" ? [fence.eventId] : [])))
          .pipe(Effect.ignore)
        seen.started.push(...started)
        seen.refused.push(...answers.flatMap((answer) => (answer._tag === "Started" ? [] : [answer._tag])))
        if (options.finishes ?? true) {
          yield* store.finish(
            started.map((one) => ({
              started: one,
              eventId: eventId(),
              outcome: { _tag: "Succeed", result: null },
              policy: emailPolicy
            }))
          )
        }
        if (options.pauseMs !== undefined) yield* Effect.sleep(options.pauseMs)
      }
    })
  )
  return seen
})

/** Schedules tasks of the kind `reminder.email` unless told otherwise, one per due time. */
export const scheduleAt = Effect.fnUntraced(function* (
  store: TaskStore["Service"],
  dues: ReadonlyArray<number>,
  options: { readonly kind?: string; readonly priority?: Priority } = {}
) {
  const { eventId, taskBytes } = yield* Ids
  const batch = dues.map((dueAtMs) => ({
    taskId: TaskId.make(dueAtMs, 0, taskBytes()),
    eventId: eventId(),
    kind: options.kind ?? "reminder.email",
    priority: options.priority ?? "normal",
    dueAtMs,
    key: null,
    payload: null
  }))
  yield* store.schedule(batch)
  return batch.map(({ taskId }) => taskId)
})

/** Claimed and not started by this process's session, whatever it was told. */
export const unstartedClaims = (process: Process) =>
  process.store.claimedBy(process.session.id(), Number.MAX_SAFE_INTEGER, 100_000)
