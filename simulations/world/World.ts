/**
 * One history, run: nodes with the real engine and worker, a client with the real `Duetime`, one simulated database and broker.
 * First chaos, then healing, then time until everything has ended.
 */
import { Clock, Context, Effect, Exit, Layer, Schedule } from "effect"
import { Broker } from "../../src/broker/Broker.ts"
import { Duetime } from "../../src/Duetime.ts"
import { Engine } from "../../src/engine/Engine.ts"
import { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { leaseMsDefault, Session } from "../../src/store/Session.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { Worker } from "../../src/worker/Worker.ts"
import type { Fault } from "./Fault.ts"
import { type Call, handlersOf, kinds } from "./handlers.ts"
import { chaosMs, clientNode, type History, type PlannedTask } from "./History.ts"
import { clockOf, Incarnation, type NodeClock, trueClock } from "./Incarnation.ts"
import { Kernel, world } from "./Kernel.ts"
import { Legs } from "./Legs.ts"
import { SimulatedBroker } from "./SimulatedBroker.ts"
import { sessionBehindLegs, storeBehindLegs } from "./simulatedStore.ts"

/** What the client was told of one task. */
export type Acknowledged = {
  readonly index: number
  readonly task: PlannedTask
  readonly id: string
  /** What it was told of its wish to cancel, if it has an answer. */
  cancelled: "cancelled" | "asked" | "refused" | null
}

export type Outcome = {
  readonly streams: ReadonlyArray<StoredStream>
  readonly ledger: ReadonlyArray<Call>
  readonly acknowledged: ReadonlyArray<Acknowledged>
  readonly announced: ReadonlyArray<string>
  /** Programs that ended though nobody killed them, with their causes. */
  readonly fallen: ReadonlyArray<string>
  /** `tag@step`, with how often. */
  readonly fired: ReadonlyMap<string, number>
  readonly traceHash: number
  readonly stepsCount: number
  readonly simulatedMs: number
}

/**
 * A store that does not keep its promises, made anew for each history: what the simulation must find. All nodes of the history
 * share it.
 */
export type Breakage = () => (store: TaskStore["Service"]) => TaskStore["Service"]

export const unbroken: Breakage = () => (store) => store

export const runHistory = (history: History, breakage: Breakage = unbroken): Outcome => {
  const broken = breakage()
  const kernel = new Kernel(history.seed)
  const database = new MemoryDatabase(clockOf(kernel, world, trueClock), leaseMsDefault)
  const ledger: Array<Call> = []
  const acknowledged: Array<Acknowledged> = []
  const fallen: Array<string> = []
  const fired = new Map<string, number>()
  const onFired = (fault: Fault, step: string) => {
    const name = `${fault._tag}@${step}`
    fired.set(name, (fired.get(name) ?? 0) + 1)
  }
  const broker = new SimulatedBroker(kernel, history.faults, onFired)

  const start = (
    name: string,
    clock: NodeClock,
    legs: Legs,
    program: Effect.Effect<unknown, unknown, TaskStore | RecurrenceStore | Session | Broker>
  ) => {
    const incarnation = new Incarnation(kernel, name, clock, history.preemption)
    let control: MemoryStore.MemoryControl["Service"] | null = null
    const whole = Effect.scoped(
      Effect.gen(function* () {
        const ports = yield* Layer.build(Layer.fresh(MemoryStore.layerOn(database)))
        control = Context.get(ports, MemoryStore.MemoryControl)
        const ownClock = yield* Clock.Clock
        const localMs = () => Number(ownClock.currentTimeNanosUnsafe()) / 1e6
        const store = storeBehindLegs(broken(Context.get(ports, TaskStore)), kernel, incarnation, legs, localMs)
        return yield* program.pipe(
          Effect.provideContext(
            Context.make(TaskStore, store).pipe(
              Context.add(Session, sessionBehindLegs(Context.get(ports, Session), incarnation, legs)),
              Context.add(RecurrenceStore, Context.get(ports, RecurrenceStore)),
              Context.add(Broker, broker.serviceFor(incarnation))
            )
          )
        )
      })
    )
    kernel.schedule(incarnation, () => {
      const fiber = Effect.runForkWith(incarnation.context)(whole)
      fiber.addObserver((exit) => {
        if (Exit.isFailure(exit)) fallen.push(`${name}: ${exit.cause}`)
      })
    })
    return {
      incarnation,
      cutOff: (isCutOff: boolean) => control !== null && Effect.runSync(control.cutOff(isCutOff)),
      kill: () => {
        kernel.note(`${name} dies`)
        incarnation.isAlive = false
        broker.died(incarnation)
        // What it has sent arrives before the database learns of its death.
        kernel.after(world, deathNoticedMs, () => control !== null && Effect.runSync(control.crash))
      }
    }
  }

  const nodes = history.clocks.map((clock, index) => {
    let lives = 0
    let current: ReturnType<typeof start> | null = null
    const crash = (downMs: number) => {
      current?.kill()
      current = null
      kernel.after(world, downMs, rise)
    }
    const legs = new Legs({ kernel, node: index, faults: history.faults, crash, fired: onFired })
    const rise = () => {
      if (current !== null) return
      const name = `n${index}.${++lives}`
      const node = Engine.layer.pipe(
        Layer.provideMerge(handlersOf(kernel, name, ledger)),
        Layer.provideMerge(Worker.layer({ concurrency: history.concurrency }))
      )
      current = start(name, clock, legs, Layer.launch(Layer.fresh(node)))
    }
    rise()
    return { crash, rise, current: () => current }
  })

  for (const fault of history.faults) {
    if (!("node" in fault) || !("atMs" in fault)) continue
    const node = nodes[fault.node]
    if (node === undefined) continue
    kernel.at(world, fault.atMs, () => {
      const life = node.current()
      if (life === null) return
      if (fault._tag === "Crash") node.crash(fault.downMs)
      else if (fault._tag === "Pause") life.incarnation.pausedUntilMs = kernel.nowMs + fault.forMs
      else if (fault._tag === "CutOff") {
        life.cutOff(true)
        kernel.after(world, fault.forMs, () => life.cutOff(false))
      } else return
      onFired(fault, "instant")
    })
  }

  const clientLegs = new Legs({ kernel, node: clientNode, faults: history.faults, crash: () => {}, fired: onFired })
  start("client", trueClock, clientLegs, client(history.tasks, acknowledged))

  /** Also of what an end has scheduled. */
  const stages = () =>
    database.streams.page(null, Number.MAX_SAFE_INTEGER).map(({ taskId }) => database.streams.stateOf(taskId)?.stage)
  const isOver = () =>
    kernel.nowMs > chaosMs &&
    acknowledged.length === history.tasks.length &&
    stages().every((stage) => stage !== undefined && ended.has(stage)) &&
    database.streams.unannounced.size === 0
  kernel.runUntil(chaosMs + healMsMax, isOver)
  const streams = database.streams.page(null, Number.MAX_SAFE_INTEGER)
  for (const { events } of streams) {
    for (const { _tag, atMs, eventId } of events) kernel.note(`${_tag} ${atMs} ${eventId}`)
  }
  return {
    streams,
    ledger,
    acknowledged,
    announced: broker.announced.map(({ taskId }) => taskId),
    fallen,
    fired,
    traceHash: kernel.traceHash,
    stepsCount: kernel.stepsCount,
    simulatedMs: kernel.nowMs
  }
}

/** Schedules what is planned until it is acknowledged, under a key, and cancels what is to be cancelled. */
const client = (tasks: ReadonlyArray<PlannedTask>, acknowledged: Array<Acknowledged>) =>
  Effect.forEach(tasks, (task, index) => clientTask(task, index, acknowledged), {
    concurrency: "unbounded",
    discard: true
  }).pipe(Effect.andThen(Effect.never), Effect.provide(Layer.fresh(Duetime.layer)))

const clientTask = Effect.fnUntraced(function* (task: PlannedTask, index: number, acknowledged: Array<Acknowledged>) {
  const duetime = yield* Duetime
  const { cancelInMs, dueInMs, failures, workMs } = task
  yield* Effect.sleep(task.atMs)
  const options = { in: dueInMs, key: `task-${index}`, ...followUpsAt(index) }
  const receipt = yield* duetime.schedule(kinds[task.kind], { workMs, failures }, options).pipe(Effect.retry(again))
  const told: Acknowledged = { index, task, id: receipt.id, cancelled: null }
  acknowledged.push(told)
  if (cancelInMs === null) return
  yield* Effect.sleep(cancelInMs)
  told.cancelled = yield* duetime.cancel(receipt.id).pipe(
    Effect.retry({ while: ({ _tag }) => _tag === "StoreUnavailable", ...again }),
    Effect.map(({ stage }): Acknowledged["cancelled"] => (stage === "cancelled" ? "cancelled" : "asked")),
    Effect.catchTag("InvalidTransition", () => Effect.succeed<Acknowledged["cancelled"]>("refused"))
  )
})

/** Every third task is followed whatever its end, after its success by one that is followed itself. */
const followUpsAt = (index: number) => {
  if (index % 3 !== 0) return {}
  const work = { workMs: 20, failures: 0 }
  return {
    onSuccess: kinds.mail.follow(work, { onSuccess: kinds.post.follow(work, { in: 500 }) }),
    onDead: kinds.alert.follow(work)
  }
}

const again = { schedule: Schedule.spaced("300 millis") }
const deathNoticedMs = 40
/** Beyond the longest outage, lease, retry and question to the outside. */
const healMsMax = 600_000
export const ended: ReadonlySet<string> = new Set(["succeeded", "cancelled", "dead"])
