/**
 * One history, run: nodes with the real engine and worker, a client with the real `Duetime`, one simulated database and broker.
 * First chaos, then healing, then time until everything has ended.
 */
import { Clock, Context, Effect, Exit, Layer } from "effect"
import { Broker } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import { defaults, EngineConfig } from "../../src/engine/EngineConfig.ts"
import { MemoryProcess } from "../../src/store/memory/MemoryProcess.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { Session } from "../../src/store/Session.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { AttemptObserver, type AttemptObserverShape } from "../../src/worker/AttemptObserver.ts"
import { type Breakage, unbroken } from "./Breakage.ts"
import { type Acknowledged, client, type Notes, type Paused, type Told } from "./client.ts"
import type { Fault } from "../../src/testing/simulation/Fault.ts"
import { type Begun, type Call, handlersOf } from "./handlers.ts"
import { chaosMs, clientNode, type History } from "./History.ts"
import { clockOf, Incarnation, type NodeClock, trueClock } from "../../src/testing/simulation/Incarnation.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { epochMs, Kernel, type Owner, world } from "../../src/testing/simulation/Kernel.ts"
import { type AtLeg, legCut, neverAtLeg } from "../../src/testing/simulation/LegCut.ts"
import { Legs } from "../../src/testing/simulation/Legs.ts"
import { nodeProgram } from "./node.ts"
import { type Ask, type Operation, Operations } from "./operations.ts"
import { SimulatedBroker } from "../../src/testing/simulation/SimulatedBroker.ts"
import { type Recurred, Recurrences } from "./recurrenceInvariants.ts"
import { recurrencesBehindLegs } from "./simulatedRecurrences.ts"
import { makeSession } from "./SimulatedSession.ts"
import { storeBehindLegs } from "../../src/testing/simulation/simulatedStore.ts"
import { type Lost, Standby } from "./Standby.ts"
import { Witness } from "./witness.ts"

/** A session whose process was killed. */
export type Died = { readonly sessionId: number; readonly atMs: number }

export type Outcome = {
  readonly streams: ReadonlyArray<StoredStream>
  readonly ledger: ReadonlyArray<Call>
  readonly acknowledged: ReadonlyArray<Acknowledged>
  readonly told: ReadonlyArray<Told>
  readonly paused: ReadonlyArray<Paused>
  readonly recurred: ReadonlyArray<Recurred>
  /** Everything that the client has noted. */
  readonly notes: Notes
  /** The database's time at an instant of the history. */
  readonly databaseMsOf: (sinceStartMs: number) => number
  /** When an event was appended, whatever the database's clock said. */
  readonly sinceStartMsOf: (event: TaskEvent) => number
  readonly died: ReadonlyArray<Died>
  readonly nodeOfSession: ReadonlyMap<number, number>
  /** What callers of the store were told of tasks. */
  readonly operations: ReadonlyArray<Operation>
  readonly asks: ReadonlyArray<Ask>
  readonly killedAtMs: ReadonlyMap<string, number>
  readonly announced: ReadonlyArray<string>
  /** By failovers, in their order. */
  readonly lost: ReadonlyArray<Lost>
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
  const databaseClock = { ...trueClock }
  const witness = new Witness(history, () => kernel.nowMs)
  const operations = new Operations(() => kernel.nowMs)
  const recurrences = new Recurrences()
  const standby = new Standby({
    kernel,
    clock: clockOf(kernel, world, databaseClock),
    isNeeded: history.faults.some(({ _tag }) => _tag === "Failover" || _tag === "Restore"),
    damage: (made) => {
      witness.knows(made)
      damage.database?.(made, kernel)
    },
    serve: (made) => {
      witness.watch(made)
      recurrences.watch(made)
    }
  })
  const database = standby.primary
  const ledger: Array<Call> = []
  const notes: Notes = { acknowledged: [], told: [], paused: [], recurrences: [] }
  const { acknowledged } = notes
  const died: Array<Died> = []
  const nodeOfSession = new Map<number, number>()
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
        const ports = yield* MemoryStore.portsOn(database, new MemoryProcess())
        control = Context.get(ports, MemoryStore.MemoryControl)
        const ownClock = yield* Clock.Clock
        const ownSession = yield* makeSession(
          database,
          incarnation,
          legs,
          (id) => void nodeOfSession.set(id, legs.node)
        )
        session = ownSession
        const bare = Context.get(ports, TaskStore)
        const behindLegs = storeBehindLegs(damage.store?.(bare, database) ?? bare, {
          kernel,
          owner: incarnation,
          legs,
          witness,
          localMs: () => Number(ownClock.currentTimeNanosUnsafe()) / 1e6,
          monotonicMs: () => Number(ownClock.monotonicTimeNanosUnsafe()) / 1e6,
          databaseMs: () => database.now()
        })
        const ownBroker =
          history.reach === "fleet"
            ? broker.serviceFor(incarnation)
            : witness.watched(Context.get(yield* Layer.build(Layer.fresh(MemoryBroker.layer)), Broker))
        return yield* program.pipe(
          Effect.provideContext(
            Context.make(
              TaskStore,
              operations.recorded(damage.ownStore?.(behindLegs, database) ?? behindLegs, name)
            ).pipe(
              Context.add(Session, damage.session?.(ownSession) ?? ownSession),
              Context.add(
                RecurrenceStore,
                recurrencesBehindLegs(Context.get(ports, RecurrenceStore), incarnation, legs)
              ),
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
        if (session !== null) died.push({ sessionId: session.id(), atMs: kernel.nowMs })
        broker.died(incarnation)
        // What it has sent arrives before the database learns of its death.
        kernel.after(world, deathNoticedMs, () => control !== null && Effect.runSync(control.crash))
      }
    }
  }

  const clocks = history.clocks.map((clock) => ({ ...clock }))
  const nodes = clocks.map((clock, index) => {
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
    if (fault._tag === "ClockJump" || fault._tag === "DatabaseClockJump") {
      const clock = fault._tag === "ClockJump" ? clocks[fault.node] : databaseClock
      if (clock === undefined) continue
      kernel.at(world, fault.atMs, () => {
        clock.offsetMs += fault.byMs
        onFired(fault, "instant")
      })
      continue
    }
    if (fault._tag === "Failover" || fault._tag === "Restore") {
      kernel.at(world, fault.atMs, () => {
        if (fault._tag === "Restore") for (const node of nodes) if (node.current() !== null) node.crash(fault.forMs)
        standby.failOver(fault.losesMs)
        onFired(fault, "instant")
      })
      continue
    }
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
  const lastFaultAtMs = history.faults.reduce((ms, fault) => ("atMs" in fault ? Math.max(ms, fault.atMs) : ms), 0)
  const isOver = () =>
    kernel.nowMs > Math.min(lastsMs, Math.max(lastFaultAtMs, healedAtMs) + afterFaultsMs) &&
    acknowledged.length === history.tasks.length &&
    notes.told.length === wishesCount &&
    notes.paused.length === history.pauses.length &&
    notes.recurrences.length === history.recurrences.length &&
    notes.recurrences.every(({ isOver }) => isOver) &&
    (history.reach === "process" || database.streams.unannounced.size === 0) &&
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
    recurred: recurrences.of(notes.recurrences),
    notes,
    databaseMsOf: (sinceStartMs) =>
      history.faults.reduce(
        (sum, fault) => sum + (fault._tag === "DatabaseClockJump" && fault.atMs <= sinceStartMs ? fault.byMs : 0),
        epochMs + sinceStartMs
      ),
    sinceStartMsOf: (event) => witness.appendedAtMs.get(`${event.taskId} ${event.version}`) ?? event.atMs - epochMs,
    died,
    nodeOfSession,
    lost: standby.lost,
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
/** When all has ended, so much longer: what is late on its way comes to its end. */
const afterFaultsMs = 1_000
export const leaseSlackMs = 150
/** Beyond the longest outage, lease, retry and question to the outside. */
const healMsMax = 600_000
const open = ["pending", "claimed", "running", "parked"] as const
