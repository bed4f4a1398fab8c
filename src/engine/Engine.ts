/**
 * The engine brings each task to a worker at its due time. It decides *when* and *to which queue*; what is allowed is
 * decided by the database alone, and who runs a task by the worker whose start wins.
 *
 * ```
 *          claim: PENDING -> IN_PROGRESS            one batch per ms            hint, without payload
 *  store ------------------------------> POLLER -> WHEEL -------> DISPATCHER ------------> broker -> worker
 *   ^  ^      due within 1.5 s, urgent first, at     | due, by the    | what is refused or        |
 *   |  |      most a window of each queue            | database's     | lost is published         |
 *   |  |                                             | clock          | again                     |
 *   |  '-- SUPERVISOR: leases that ended, partitions |                |                           |
 *   '------------------------------------------------'----------------'---------------------------'
 *              release what is armed at the end, look up what was lost          start: compare-and-set on the fence
 * ```
 *
 * - The *store* is authoritative for every transition and for time. Any number of engines may claim at once; each task
 *   goes to one of them. Cancel, reschedule and reprioritise win until the start, because they move the version that the
 *   start's fence names: a task that was moved while armed is still dispatched, and nobody can start it.
 * - The *poller* claims shortly before the due time, so that drift does not depend on polling, and little at a time, so
 *   that order stays with the database. The *wheel* holds claims until they are due: one OS timer, no fiber per task.
 *   The *dispatcher* publishes hints. A lost hint costs two seconds, a lost engine one lease; a repeated one nothing.
 * - *Recurrences* are decided ahead, and become tasks like any other.
 * - The *lease* is the session's: what this engine holds when its session is lost belongs to others. It forgets that, and
 *   a task dispatched nevertheless cannot be started.
 * - At the end it stops claiming and gives its claims back, so that others need not wait for the lease to end.
 *
 * Drift of a task known 1.5 s ahead: timer + publish + start. Of one scheduled due at once: wake-up + claim + that, or in the process of
 * an idle worker wake-up + start (ADR 6); of one scheduled where no wake-up comes from: the idle poll on top, 250 ms, and up to 1 s in
 * a quiet queue.
 */
import { Clock, Context, Effect, Fiber, Layer, Queue, type Scope } from "effect"
import { Broker } from "../broker/Broker.ts"
import { untraced } from "../DuetimeTraces.ts"
import { RecurrenceStore } from "../store/RecurrenceStore.ts"
import { Session } from "../store/Session.ts"
import { TaskStore } from "../store/TaskStore.ts"
import { Beat } from "./Beat.ts"
import * as Dispatcher from "./Dispatcher.ts"
import { makeDispatchMetrics } from "./dispatchMetrics.ts"
import { EngineConfig } from "./EngineConfig.ts"
import { KindDirectory } from "./KindDirectory.ts"
import * as Poller from "./Poller.ts"
import { deadLetterRelay } from "./DeadLetterRelay.ts"
import { giveBackAll, giveBackWithdrawn } from "./giveBack.ts"
import * as Outstanding from "./Outstanding.ts"
import { decideRecurrences } from "./Recurrences.ts"
import * as Supervisor from "./Supervisor.ts"
import { TimerWheel } from "./TimerWheel.ts"
import * as WheelTimer from "./WheelTimer.ts"

/** What an engine holds and has done since it began. */
export type EngineStatus = {
  readonly armedCount: number
  readonly claimedCount: number
  readonly publishedCount: number
  readonly republishedCount: number
  readonly expiredCount: number
  readonly queues: ReadonlyArray<{
    readonly queue: string
    readonly armedCount: number
    /** Due, and not known to be started. */
    readonly pressingCount: number
    readonly windowTasks: number
    readonly startsPerSecond: number
  }>
}

/**
 * The running engine. Its layer needs nothing but the ports, reads `EngineConfig` and `WheelTimer`, works until its scope
 * closes, and then takes at most `drainMsMax` to give back what it holds.
 */
export class Engine extends Context.Service<Engine, { readonly status: () => EngineStatus }>()(
  "duetime/engine/Engine"
) {
  static readonly layer: Layer.Layer<Engine, never, TaskStore | RecurrenceStore | Session | Broker> = Layer.effect(
    Engine,
    Effect.suspend(() => untraced(make))
  )
}

const make: Effect.Effect<Engine["Service"], never, TaskStore | RecurrenceStore | Session | Broker | Scope.Scope> =
  Effect.gen(function* () {
    const store = yield* TaskStore
    const recurrences = yield* RecurrenceStore
    const session = yield* Session
    const broker = yield* Broker
    const config = yield* EngineConfig
    const timer = yield* WheelTimer.current

    const clock = yield* Clock.Clock
    const beat = new Beat(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6, session)
    const directory = new KindDirectory(store, session, broker.reach)
    const nowMs = () => timer.nowMs() + store.clockOffsetMs()
    const outstanding = yield* Outstanding.make({ store, session, broker, directory, nowMs })
    const metrics = makeDispatchMetrics(yield* Effect.context<never>())
    const dispatcher = yield* Dispatcher.make({ store, session, broker, directory, outstanding, nowMs, metrics, beat })
    const wheel = new TimerWheel({ timer, clockOffsetMs: store.clockOffsetMs, release: dispatcher.accept })
    const claiming = { store, session, broker, outstanding, config, directory, wheel, dispatcher, metrics, beat }
    const poller = yield* Poller.make(claiming)
    const supervisor = yield* Supervisor.make({ store, session, directory, beat, onNewKinds: poller.look })

    const wakeUps = yield* store.wakeUps
    yield* Effect.forkScoped(Effect.forever(Effect.map(Queue.takeAll(wakeUps), (dues) => poller.wake(earliest(dues)))))
    if (broker.reach === "process") {
      const newKinds = yield* session.newOwnKinds
      yield* Effect.forkScoped(Effect.forever(Effect.map(Queue.take(newKinds), poller.look)))
    }
    yield* Effect.forkScoped(supervisor.supervise)
    yield* Effect.forkScoped(supervisor.maintain)
    yield* Effect.forkScoped(decideRecurrences({ recurrences, config, nowMs }))
    yield* Effect.forkScoped(dispatcher.republish)
    yield* Effect.forkScoped(giveBackWithdrawn({ beat, directory, wheel, dispatcher, outstanding, nowMs }))
    if (broker.reach === "fleet") yield* Effect.forkScoped(deadLetterRelay({ store, broker }))
    const dispatching = yield* Effect.forkScoped(dispatcher.run)
    const polling = yield* Effect.forkScoped(poller.run)

    const stop = Effect.gen(function* () {
      yield* Fiber.interrupt(polling)
      yield* Fiber.interrupt(dispatching)
      yield* giveBackAll(
        [...wheel.clear(), ...dispatcher.clear()].map(({ task }) => task),
        nowMs
      )
    })
    // The first finalizer to run: the fibers above are still there.
    yield* Effect.addFinalizer(() => drain(stop, config.drainMsMax))

    return {
      status: () => ({
        armedCount: wheel.size,
        claimedCount: poller.claimedCount(),
        publishedCount: dispatcher.publishedCount(),
        republishedCount: dispatcher.republishedCount(),
        expiredCount: supervisor.expiredCount(),
        queues: Array.from(directory.loads, (load) => ({
          queue: load.queue,
          armedCount: load.armedCount,
          pressingCount: load.pressingCount,
          windowTasks: load.windowTasks(config),
          startsPerSecond: load.startsPerSecond
        }))
      })
    }
  })

const drain = <E, R>(stop: Effect.Effect<void, E, R>, drainMsMax: number): Effect.Effect<void, never, R> =>
  stop.pipe(
    Effect.timeoutOrElse({
      duration: drainMsMax,
      orElse: () => Effect.logWarning(`Not all claims were given back within ${drainMsMax} ms. ${afterwards}`)
    }),
    Effect.catchCause((cause) => Effect.logWarning(`Not all claims were given back. ${afterwards}`, cause))
  )

const afterwards = "They are free for other engines when this session's lease has ended."

const earliest = (dues: ReadonlyArray<number>): number =>
  dues.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
