import { Clock, Context, type Duration, Effect, Fiber, Layer, Option } from "effect"
import { Broker } from "../broker/Broker.ts"
import { ConfigInvalid, HandlerConflict } from "../DuetimeError.ts"
import { attemptsInFlight, pulledStartsTotal } from "../DuetimeMetrics.ts"
import { tracingTasksOnly, untraced } from "../DuetimeTraces.ts"
import { timeoutMsMax } from "../core/KindPolicy.ts"
import { spanMsOf } from "../core/span.ts"
import { namesOf, unknownNameOf } from "../core/unknownName.ts"
import { Session } from "../store/Session.ts"
import { TaskStore } from "../store/TaskStore.ts"
import { Arrivals } from "./Arrivals.ts"
import { type HandlerFilter, makeAttemptRunner } from "./AttemptRunner.ts"
import { monotonicMsOf } from "./Deadlines.ts"
import { makeGate } from "../broker/Gate.ts"
import { type Handler, Handlers } from "./Handlers.ts"
import { makeDueStarter } from "./DueStarter.ts"
import { takeFrom } from "./Intake.ts"
import { makeOutage } from "./Outage.ts"
import { makeOutcomeRecorder } from "./OutcomeRecorder.ts"
import { pullForEver } from "./Pull.ts"
import { makeReconciler } from "./Reconciler.ts"
import { makeSlots } from "./Slots.ts"
import { makeStartedHints } from "./StartedHints.ts"
import { makeStarter } from "./Starter.ts"

/**
 * The process that runs handlers.
 *
 * ```
 * broker ──dispatches──▶ intake ──▶ starter ──start──▶ store        who may run it: the store's compare-and-set
 *          one per queue     │         │ acknowledge ──▶ broker
 *                         slots        ▼
 *                            ▲      runner ──▶ handler in a fiber   how long: one timer for all deadlines
 *                            │         │
 *                            └── recorder ──finish──▶ store         what came of it: the fence of the start
 * ```
 *
 * Beside it a reconciler asks the outside about parked tasks of kinds that can be asked about.
 *
 * In the process of an engine it also starts by itself what the engine offers it (`DueStarter.ts`).
 * With a broker of the fleet it also pulls from the store what no dispatch has brought in time, and tells engines what it
 * has started.
 *
 * Slots bound everything: a dispatch takes one before its start and gives it back when its outcome is recorded, so a
 * store that is away stops the intake, and nothing piles up. The worker never exits by itself: whatever fails is
 * repeated or left to the supervisor.
 *
 * The kinds it serves are those whose layers are open. Closing one stops taking the kind, gives its attempts time
 * to end, interrupts the rest and records them as given back, all before the services its handler uses are closed.
 */
export class Worker extends Context.Service<
  Worker,
  {
    readonly status: () => {
      /** Attempts between the taking of their dispatch and the recording of their outcome. */
      readonly inFlight: number
      readonly concurrency: number
      /** Handlers that run on after their timeout. */
      readonly stuck: number
      /** Claims that no dispatch brought here in time and that were pulled from the store. */
      readonly pulled: number
      /** Whether the store knows the kinds served here: from then on engines claim for this worker. */
      readonly isAnnounced: boolean
    }
  }
>()("duetime/worker/Worker") {
  /** Needs the store with its session, and the broker. Gives the registry that `kind.handle` needs. */
  static readonly layer = (
    options: WorkerOptions = {}
  ): Layer.Layer<Worker | Handlers, ConfigInvalid, TaskStore | Session | Broker> =>
    Layer.effectContext(tracingTasksOnly(make(options)))
}

export type WorkerOptions = {
  /** Attempts at the same time in this process. 1 to 100,000; default 50. */
  readonly concurrency?: number
  /**
   * Slots kept for critical tasks, so that one that is due finds a free one. 0 to below the concurrency; default a tenth,
   * rounded up, if a kind served here is critical by its policy, and otherwise none.
   */
  readonly criticalSlots?: number
  /** How long attempts may go on when the worker stops, before they are interrupted and given back. Default 20 seconds. */
  readonly drainGrace?: Duration.Input
}

export const concurrencyDefault = 50
export const concurrencyMax = 100_000
/** Below the 30 s after which Kubernetes kills a pod, with room for the two waits after it. */
export const drainGraceMsDefault = 20_000
/** After which it is announced once more what is served here: some statements a minute, which change nothing. */
export const announcedMsMax = 60_000
/** How long interrupted handlers may take to stop, and after them outcomes to be recorded. */
export const stopGraceMs = 3_000

export const criticalSlotsDefault = (concurrency: number): number =>
  concurrency === 1 ? 0 : Math.ceil(concurrency / 10)

const make = Effect.fnUntraced(function* (options: WorkerOptions) {
  const { concurrency, criticalSlots, drainGraceMs } = yield* validated(options)
  const session = yield* Session
  const store = yield* TaskStore
  const broker = yield* Broker
  const scope = yield* Effect.scope
  const outages = { store: makeOutage("store"), broker: makeOutage("broker") }
  const context = yield* Effect.context<never>()
  const handlers = new Map<string, Handler>()
  let servesCritical = false
  const slots = makeSlots({
    total: concurrency,
    keptForCritical: () => criticalSlots ?? (servesCritical ? criticalSlotsDefault(concurrency) : 0),
    observe: (inUse) => attemptsInFlight.updateUnsafe(inUse, context)
  })
  const recorder = yield* makeOutcomeRecorder(outages.store)
  const runner = yield* makeAttemptRunner(recorder, slots)
  const isServed: HandlerFilter = (handler) => handlers.get(handler.policy.kind) === handler
  const hints = broker.reach === "fleet" ? yield* makeStartedHints(broker) : null
  const starter = yield* makeStarter(runner, slots, isServed, outages, (claims) => hints?.tell(claims))
  const dueStarter = yield* makeDueStarter(runner, slots, outages.store)
  const reconciler = yield* makeReconciler(handlers, concurrency, outages.store)
  const intakes = new Map<string, Fiber.Fiber<never>>()
  const announcement = makeGate()
  let isAnnounced = true
  let isAnnouncing = false

  const clock = yield* Clock.Clock
  const arrivals = new Arrivals(() => monotonicMsOf(clock))
  const nowMs = () => clock.currentTimeMillisUnsafe() + store.clockOffsetMs()
  let pulledCount = 0
  if (broker.reach === "fleet") {
    const onPulled = (count: number) => {
      pulledCount += count
      pulledStartsTotal.updateUnsafe(count, context)
    }
    const { isAlive } = session
    const outage = outages.store
    yield* Effect.forkScoped(pullForEver({ store, handlers, slots, starter, arrivals, outage, isAlive, onPulled }))
  }

  const announce = () => {
    servesCritical = Array.from(handlers.values()).some(({ policy }) => policy.priority === "critical")
    isAnnounced = false
    announcement.changed()
  }

  /**
   * Again for a session that had to be opened anew, lest engines think nobody serves these kinds; when a failover has lost what was
   * announced, and the session that announced it not; and now and then without a cause that is known here.
   */
  yield* Effect.gen(function* () {
    let announcedTo = session.id()
    let announcedAtMs = monotonicMsOf(clock)
    while (true) {
      yield* announcement.until(() => !isAnnounced).pipe(Effect.timeoutOption(session.leaseMs))
      const isOld = monotonicMsOf(clock) - announcedAtMs > announcedMsMax
      const isKnown = announcedTo === session.id() && !session.isForgotten()
      if (isAnnounced && isKnown && !isOld) continue
      // The layers of a program register one after the other within one turn.
      yield* Effect.yieldNow
      // What is only repeated is announced all the time.
      isAnnouncing = !isAnnounced || !isKnown
      isAnnounced = true
      announcedTo = session.id()
      announcedAtMs = monotonicMsOf(clock)
      yield* outages.store.outlast(
        Effect.suspend(() => session.serve(Array.from(handlers.values(), (handler) => handler.policy)))
      )
      isAnnouncing = false
    }
  }).pipe(Effect.forkScoped)

  const register = Effect.fnUntraced(function* (handler: Handler) {
    const { kind, queue } = handler.policy
    if (handlers.has(kind)) return yield* new HandlerConflict({ kind })
    handlers.set(kind, handler)
    yield* Effect.addFinalizer(() => unregister(handler))
    announce()
    yield* reconciler.serve(handler)
    if (intakes.has(queue)) return
    const handlerOf = (kind: string) => handlers.get(kind)
    const intake = takeFrom(queue, {
      handlerOf,
      slots,
      starter,
      dueStarter,
      outage: outages.broker,
      arrivals,
      nowMs
    }).pipe(Effect.provideService(Broker, broker), Effect.forkIn(scope))
    intakes.set(queue, yield* intake)
  })

  const unregister = Effect.fnUntraced(function* (handler: Handler) {
    const { kind, queue } = handler.policy
    handlers.delete(kind)
    announce()
    const intake = intakes.get(queue)
    if (intake !== undefined && !Array.from(handlers.values()).some((other) => other.policy.queue === queue)) {
      intakes.delete(queue)
      yield* Fiber.interrupt(intake)
    }
    yield* drain((other) => other === handler)
    yield* reconciler.stop(handler)
  })

  const drain = Effect.fnUntraced(function* (isMeant: HandlerFilter) {
    // Every way to an end gives a slot back.
    const ended = (limitMs: number) =>
      slots
        .until(() => starter.count(isMeant) + dueStarter.count(isMeant) + runner.count(isMeant) === 0)
        // Finalizers run uninterruptibly, and a timeout has to interrupt what it waits for.
        .pipe(Effect.interruptible, Effect.timeoutOption(limitMs), Effect.map(Option.isSome))
    if (yield* ended(drainGraceMs)) return
    runner.interrupt(isMeant)
    if (yield* ended(stopGraceMs)) return
    yield* Effect.logWarning(
      `${runner.count(isMeant)} handlers have not stopped when interrupted; they are left behind`
    )
    runner.abandon(isMeant)
    yield* ended(stopGraceMs)
  })

  return Context.make(Handlers, { register: (handler) => untraced(register(handler)) }).pipe(
    Context.add(Worker, {
      status: () => ({
        inFlight: slots.total - slots.free(),
        concurrency,
        stuck: runner.stuckCount(),
        pulled: pulledCount,
        isAnnounced: isAnnounced && !isAnnouncing
      })
    })
  )
})

const names = namesOf<WorkerOptions>({ concurrency: true, criticalSlots: true, drainGrace: true })

const validated = Effect.fnUntraced(function* (options: WorkerOptions) {
  const unknown = unknownNameOf(options, names)
  if (unknown !== null) {
    return yield* new ConfigInvalid({ name: unknown.name, problem: "is given", wayOut: unknown.wayOut })
  }
  const concurrency = options.concurrency ?? concurrencyDefault
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > concurrencyMax) {
    const wayOut = `Give a whole number from 1 to ${concurrencyMax}, or nothing for ${concurrencyDefault}`
    return yield* new ConfigInvalid({ name: "concurrency", problem: `is ${concurrency}`, wayOut })
  }
  const { criticalSlots } = options
  if (
    criticalSlots !== undefined &&
    !(Number.isInteger(criticalSlots) && criticalSlots >= 0 && criticalSlots < concurrency)
  ) {
    const wayOut = `Give a whole number from 0 to ${concurrency - 1}, below the concurrency, or nothing for the default`
    return yield* new ConfigInvalid({ name: "criticalSlots", problem: `is ${criticalSlots}`, wayOut })
  }
  const drainGraceMs = spanMsOf(options.drainGrace ?? drainGraceMsDefault)
  if (!(drainGraceMs >= 0 && drainGraceMs <= timeoutMsMax)) {
    const wayOut = 'Give a duration up to a day, such as "20 seconds"'
    return yield* new ConfigInvalid({ name: "drainGrace", problem: `is ${String(options.drainGrace)}`, wayOut })
  }
  return { concurrency, criticalSlots, drainGraceMs }
})
