/**
 * One history, run: nodes with the real engine and worker, a client with the real `Duetime`, one simulated database and broker.
 * First chaos, then healing, then time until everything has ended.
 */
import { Clock, Context, Effect, Exit, Layer } from "effect"
import { Broker } from "../../src/broker/Broker.ts"
import { defaults, EngineConfig } from "../../src/engine/EngineConfig.ts"
import { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { leaseMsDefault, Session } from "../../src/store/Session.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { AttemptObserver, type AttemptObserverShape } from "../../src/worker/AttemptObserver.ts"
import { type Breakage, unbroken } from "./Breakage.ts"
import { type Acknowledged, client, type Notes, type Paused, type Told } from "./client.ts"
import type { Fault } from "./Fault.ts"
import { type Begun, type Call, handlersOf, policies } from "./handlers.ts"
import { chaosMs, clientNode, type History } from "./History.ts"
import { clockOf, Incarnation, type NodeClock, trueClock } from "./Incarnation.ts"
import type { Broken } from "./Broken.ts"
import { Kernel, type Owner, world } from "./Kernel.ts"
import { type AtLeg, legCut, neverAtLeg } from "./LegCut.ts"
import { Legs } from "./Legs.ts"
import { nodeProgram } from "./node.ts"
import { type Ask, type Operation, Operations } from "./operations.ts"
import { SimulatedBroker } from "./SimulatedBroker.ts"
import { sessionBehindLegs, storeBehindLegs } from "./simulatedStore.ts"
import { Witness } from "./witness.ts"

/** A session whose process was killed. */
export type Died = { readonly sessionId: number; readonly atMs: number }

export type Outcome = {
  readonly streams: ReadonlyArray<StoredStream>
  readonly ledger: ReadonlyArray<Call>
  readonly acknowledged: ReadonlyArray<Acknowledged>
  readonly told: ReadonlyArray<Told>
  readonly paused: ReadonlyArray<Paused>
  readonly died: ReadonlyArray<Died>
  /** What callers of the store were told of tasks. */
  readonly operations: ReadonlyArray<Operation>
  readonly asks: ReadonlyArray<Ask>
  readonly killedAtMs: ReadonlyMap<string, number>
  readonly announced: ReadonlyArray<string>
  /** What was seen to be wrong on the way. */
  readonly witnessed: ReadonlyArray<Broken>
  readonly lostOutcomesCount: number
  /** From then on no fault has had any effect. */
  readonly healedAtMs: number
  /** Programs that ended though nobody killed them, with their causes. */
  readonly fallen: ReadonlyArray<string>
  /** `tag@step`, with how often. */
  readonly fired: ReadonlyMap<string, number>
  readonly traceHash: number
  readonly stepsCount: number
  readonly simulatedMs: number
}

export const runHistory = (history: History, breakage: Breakage = unbroken, atLeg: AtLeg = neverAtLeg): Outcome => {
  const damage = breakage()
  const kernel = new Kernel(history.seed)
  const database = new MemoryDatabase(clockOf(kernel, world, trueClock), leaseMsDefault)
  const witness = new Witness(database, { policyOf: (kind) => policies.get(kind) }, () => kernel.nowMs)
  damage.database?.(database, kernel)
  witness.watch()
  const operations = new Operations(() => kernel.nowMs)
  const ledger: Array<Call> = []
  const notes: Notes = { acknowledged: [], told: [], paused: [] }
  const { acknowledged } = notes
  const died: Array<Died> = []
  const fallen: Array<string> = []
  const fired = new Map<string, number>()
  let healedAtMs = 0
  const onFired = (fault: Fault, step: string) => {
    const name = `${fault._tag}@${step}`
    fired.set(name, (fired.get(name) ?? 0) + 1)
    const lastsMs = "forMs" in fault ? fault.forMs : "downMs" in fault ? fault.downMs : 0
    healedAtMs = Math.max(healedAtMs, kernel.nowMs + lastsMs)
  }
  const crashes = new Map<Owner, (downMs: number) => void>()
  const cuts = legCut(atLeg, (owner, downMs) => {
    healedAtMs = Math.max(healedAtMs, kernel.nowMs + downMs)
    crashes.get(owner)?.(downMs)
  })
  const broker = new SimulatedBroker(kernel, history.faults, onFired, witness, cuts)

  const start = (
    name: string,
    clock: NodeClock,
    legs: Legs,
    crash: (downMs: number) => void,
    begun: Map<string, Begun>,
    program: Effect.Effect<unknown, unknown, TaskStore | RecurrenceStore | Session | Broker>
  ) => {
    const incarnation = new Incarnation(kernel, name, clock, history.preemption, witness.logger)
    crashes.set(incarnation, crash)
    let control: MemoryStore.MemoryControl["Service"] | null = null
    let session: Session["Service"] | null = null
    // A clock that is two in a hundred slow believes in its lease so much longer.
    const isLeaseOver = () =>
      session !== null && !database.sessions.isAlive(session.id(), database.now() - leaseSlackMs)
    const observer: AttemptObserverShape = {
      started: ({ attempt, taskId }) =>
        begun.set(`${taskId} ${attempt}`, { atMs: kernel.nowMs, isLeaseOver: isLeaseOver() }),
      ended: () => {}
    }
    const whole = Effect.scoped(
      Effect.gen(function* () {
        const ports = yield* Layer.build(Layer.fresh(MemoryStore.layerOn(database)))
        control = Context.get(ports, MemoryStore.MemoryControl)
        const ownClock = yield* Clock.Clock
        const localMs = () => Number(ownClock.currentTimeNanosUnsafe()) / 1e6
        session = Context.get(ports, Session)
        const bare = Context.get(ports, TaskStore)
        const behindLegs = storeBehindLegs(damage.store?.(bare, database) ?? bare, {
          kernel,
          owner: incarnation,
          legs,
          witness,
          localMs
        })
        const ownSession = sessionBehindLegs(session, incarnation, legs)
        const ownBroker = broker.serviceFor(incarnation)
        return yield* program.pipe(
          Effect.provideContext(
            Context.make(
              TaskStore,
              operations.recorded(damage.ownStore?.(behindLegs, database) ?? behindLegs, name)
            ).pipe(
              Context.add(Session, damage.session?.(ownSession) ?? ownSession),
              Context.add(RecurrenceStore, Context.get(ports, RecurrenceStore)),
              Context.add(Broker, damage.broker?.(ownBroker) ?? ownBroker),
              Context.add(AttemptObserver, observer),
              Context.add(EngineConfig, { ...defaults, windowTasksMin: history.windowTasks })
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
        operations.killed(name)
        if (session !== null) died.push({ sessionId: session.id(), atMs: database.now() })
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
    const legs = new Legs({ kernel, node: index, faults: history.faults, crash, fired: onFired, cuts })
    const rise = () => {
      if (current !== null) return
      const name = `n${index}.${++lives}`
      const begun = new Map<string, Begun>()
      const handlers = handlersOf(
        kernel,
        name,
        ledger,
        (taskId, attempt) => begun.get(`${taskId} ${attempt}`),
        (call) => witness.called(call)
      )
      const node = nodeProgram(history.roles?.[index] ?? "both", handlers, history.concurrency)
      current = start(name, clock, legs, crash, begun, node)
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

  let clientLives = 0
  const clientRises = () => {
    const name = ++clientLives === 1 ? "client" : `client.${clientLives}`
    const life = start(
      name,
      trueClock,
      clientLegs,
      (downMs) => {
        life.kill()
        kernel.after(world, downMs, clientRises)
      },
      new Map(),
      client(history, kernel, notes)
    )
  }
  const clientLegs = new Legs({
    kernel,
    node: clientNode,
    faults: history.faults,
    crash: () => {},
    fired: onFired,
    cuts
  })
  clientRises()

  const { lastsMs = chaosMs } = history
  const wishesCount = history.tasks.reduce((sum, { wishes }) => sum + wishes.length, 0)
  const isOver = () =>
    kernel.nowMs > lastsMs &&
    acknowledged.length === history.tasks.length &&
    notes.told.length === wishesCount &&
    notes.paused.length === history.pauses.length &&
    database.streams.unannounced.size === 0 &&
    Array.from(database.streams.kinds()).every((kind) =>
      open.every((stage) => database.streams.count(kind, stage) === 0)
    )
  kernel.runUntil(lastsMs + healMsMax, isOver)
  const streams = database.streams.page(null, Number.MAX_SAFE_INTEGER)
  for (const { events } of streams) {
    for (const { _tag, atMs, eventId } of events) kernel.note(`${_tag} ${atMs} ${eventId}`)
  }
  return {
    streams,
    ledger,
    acknowledged,
    told: notes.told,
    paused: notes.paused,
    died,
    operations: operations.all,
    asks: operations.asks,
    killedAtMs: operations.killedAtMs,
    witnessed: witness.broken,
    lostOutcomesCount: witness.lostOutcomesCount,
    healedAtMs,
    announced: broker.announced.map(({ taskId }) => taskId),
    fallen,
    fired,
    traceHash: kernel.traceHash,
    stepsCount: kernel.stepsCount,
    simulatedMs: kernel.nowMs
  }
}

const deathNoticedMs = 40
export const leaseSlackMs = 150
/** Beyond the longest outage, lease, retry and question to the outside. */
const healMsMax = 600_000
const open = ["pending", "claimed", "running", "parked"] as const
