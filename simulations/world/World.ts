/**
 * One history, run: nodes with the real engine and worker, a client with the real `Duetime`, one simulated database and broker.
 * First chaos, then healing, then time until everything has ended.
 */
import { Context } from "effect"
import { Broker } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { Session } from "../../src/store/Session.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { AttemptObserver, type AttemptObserverShape } from "../../src/worker/AttemptObserver.ts"
import { type Breakage, unbroken } from "./Breakage.ts"
import { type Acknowledged, client, type Notes, type Paused, type Told } from "./client.ts"
import type { Fault } from "../../src/testing/simulation/Fault.ts"
import { type Begun, type Call, handlersOf } from "./handlers.ts"
import { chaosMs, clientNode, type History } from "./History.ts"
import { Fleet } from "../../src/testing/simulation/Fleet.ts"
import { clockOf, trueClock } from "../../src/testing/simulation/Incarnation.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { epochMs, Kernel, world } from "../../src/testing/simulation/Kernel.ts"
import { type AtLeg, legCut, neverAtLeg } from "../../src/testing/simulation/LegCut.ts"
import { nodeProgram } from "./node.ts"
import { type Ask, type Operation, Operations } from "./operations.ts"
import { SimulatedBroker } from "../../src/testing/simulation/SimulatedBroker.ts"
import { type Recurred, Recurrences } from "./recurrenceInvariants.ts"
import { recurrencesBehindLegs } from "./simulatedRecurrences.ts"
import { type Recorder, unrecorded } from "./Recorder.ts"
import { makeSession, sessionsOf } from "./SimulatedSession.ts"
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
  /** It was given up: something spins. */
  readonly isRestless: boolean
  readonly simulatedMs: number
}

export const runHistory = (
  history: History,
  breakage: Breakage = unbroken,
  atLeg: AtLeg = neverAtLeg,
  recorder: Recorder = unrecorded
): Outcome => {
  const damage = breakage()
  const kernel = new Kernel(history.seed)
  recorder.begins(kernel)
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
      recorder.serves(made)
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
  const fired = new Map<string, number>()
  let healedAtMs = 0
  const onFired = (fault: Fault, step: string) => {
    const name = `${fault._tag}@${step}`
    fired.set(name, (fired.get(name) ?? 0) + 1)
    const lastsMs = "forMs" in fault ? fault.forMs : "downMs" in fault ? fault.downMs : 0
    healedAtMs = Math.max(healedAtMs, kernel.nowMs + lastsMs)
  }
  const cuts = legCut(atLeg, (owner, downMs) => {
    healedAtMs = Math.max(healedAtMs, kernel.nowMs + downMs)
    fleet.crash(owner, downMs)
  })
  const broker = new SimulatedBroker(kernel, history.faults, onFired, witness, cuts, recorder.published)
  /** By life, task and attempt. */
  const begun = new Map<string, Begun>()
  const clocks = history.clocks.map((clock) => ({ ...clock }))
  const fleet: Fleet = new Fleet({
    kernel,
    database,
    broker,
    witness,
    logger: witness.logger,
    cuts,
    faults: history.faults,
    fired: onFired,
    preemption: history.preemption,
    windowTasks: history.windowTasks,
    session: (incarnation, legs) =>
      makeSession(
        recorder.sessions(sessionsOf(database)),
        database.leaseMs,
        incarnation,
        legs,
        (id) => void nodeOfSession.set(id, legs.node)
      ),
    ...(history.reach === "process" ? { ownBroker: MemoryBroker.layer } : {}),
    behindLegs: (store) => recorder.store(damage.store?.(store, database) ?? store),
    beforeLegs: (ports, { incarnation, isLeaseOver, name }, legs) => {
      const [store, session] = [Context.get(ports, TaskStore), Context.get(ports, Session)]
      const own = Context.get(ports, Broker)
      const itsBroker = history.reach === "fleet" ? own : witness.watched(own)
      const observer: AttemptObserverShape = {
        started: ({ attempt, taskId }) =>
          begun.set(`${name} ${taskId} ${attempt}`, { atMs: kernel.nowMs, isLeaseOver: isLeaseOver() }),
        ended: () => {}
      }
      return ports.pipe(
        Context.add(TaskStore, operations.recorded(damage.ownStore?.(store, database) ?? store, name)),
        Context.add(Session, damage.session?.(session) ?? session),
        Context.add(
          RecurrenceStore,
          recurrencesBehindLegs(recorder.recurrences(Context.get(ports, RecurrenceStore)), incarnation, legs)
        ),
        Context.add(Broker, damage.broker?.(itsBroker) ?? itsBroker),
        Context.add(AttemptObserver, observer)
      )
    },
    killed: ({ name, sessionId }) => {
      operations.killed(name)
      const id = sessionId()
      if (id !== null) died.push({ sessionId: id, atMs: kernel.nowMs })
    },
    strike: (fault) => {
      if (fault._tag === "ClockJump" || fault._tag === "DatabaseClockJump") {
        const clock = fault._tag === "ClockJump" ? clocks[fault.node] : databaseClock
        if (clock === undefined) return null
        return () => void (clock.offsetMs += fault.byMs)
      }
      if (fault._tag !== "Failover" && fault._tag !== "Restore") return null
      return () => {
        if (fault._tag === "Restore")
          for (const node of fleet.nodes) if (node.current() !== null) node.crash(fault.forMs)
        const cutAtMs = kernel.nowMs - fault.losesMs
        recorder.failsOver(cutAtMs, standby.failOver(fault.losesMs))
      }
    }
  })
  clocks.forEach((clock, index) =>
    fleet.node(clock, ({ name }) => {
      const handlers = handlersOf(
        kernel,
        name,
        ledger,
        (taskId, attempt) => begun.get(`${name} ${taskId} ${attempt}`),
        (call) => witness.called(call)
      )
      return nodeProgram(history.roles?.[index] ?? "both", handlers, history.concurrency)
    })
  )
  fleet.arm()
  fleet.client(clientNode, () => client(history, kernel, notes))

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
    fallen: fleet.fallen,
    fired,
    traceHash: kernel.traceHash,
    stepsCount: kernel.stepsCount,
    isRestless: kernel.isRestless,
    simulatedMs: kernel.nowMs
  }
}

/** When all has ended, so much longer: what is late on its way comes to its end. */
const afterFaultsMs = 1_000
/** Beyond the longest outage, lease, retry and question to the outside. */
const healMsMax = 600_000
const open = ["pending", "claimed", "running", "parked"] as const
