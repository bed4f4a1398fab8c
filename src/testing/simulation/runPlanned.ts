/** One history of a user's handlers: its workload and faults from a seed, run until everything has ended. */
import { Context, Effect, Layer, Logger } from "effect"
import { fold } from "../../core/evolve.ts"
import type { KindPolicy } from "../../core/KindPolicy.ts"
import type { Json, TaskEvent } from "../../core/TaskEvent.ts"
import type { Stage } from "../../core/TaskState.ts"
import { Duetime } from "../../Duetime.ts"
import { MemoryDatabase } from "../../store/memory/MemoryDatabase.ts"
import * as MemorySession from "../../store/MemorySession.ts"
import { leaseMsDefault } from "../../store/Session.ts"
import type { StoredStream } from "../../store/TaskStore.ts"
import { Draw } from "./Draw.ts"
import type { Fault } from "./Fault.ts"
import { drawFaults, type SimulatedFault } from "./faultDraws.ts"
import { CountedLegs } from "./CountedLegs.ts"
import { Fleet } from "./Fleet.ts"
import { clockOf, type NodeClock, trueClock } from "./Incarnation.ts"
import { Kept, type Reach } from "./Kept.ts"
import { Kernel, stepsMax, world } from "./Kernel.ts"
import { Ledger } from "./Ledger.ts"
import type { Legs } from "./Legs.ts"
import { Outside } from "./Outside.ts"
import type { Planned } from "./plan.ts"
import { SimulatedBroker } from "./SimulatedBroker.ts"
import { leftIn, type Observed, type SimulatedCall, type SimulatedServices, userProgram } from "./userNode.ts"

/** What is the same in all histories of a simulation. */
export type Setup = {
  readonly policies: ReadonlyMap<string, KindPolicy>
  readonly handlers: (node: SimulatedNode) => Layer.Layer<never, unknown, SimulatedServices>
  readonly workload: (draw: Draw) => ReadonlyArray<Planned>
  readonly nodes: number
  readonly tags: ReadonlyArray<SimulatedFault>
  /** In which faults strike. */
  readonly chaosMs: number
  /** After it, within which everything must end. */
  readonly endWithinMs: number
}

/** One life of a node, for layers that want seeds of their own. */
export type SimulatedNode = {
  /** `n1.2` is the second life of the second node. */
  readonly name: string
  readonly draw: Draw
}

type Indexed<A> = { readonly index: number; readonly of: A }

/** What one history has of its workload and its faults: all, or what shrinking has left. */
export type PlannedHistory = {
  readonly seed: number
  readonly tasks: ReadonlyArray<Indexed<Planned>>
  readonly faults: ReadonlyArray<Indexed<Fault>>
}

export type SimulatedTask = {
  readonly id: string
  readonly kind: string
  readonly payload: Json
  readonly stage: Stage
  readonly events: ReadonlyArray<TaskEvent>
}

/** A history that is over, for invariants to look at. What is in tables and services: `table.in(outcome)`, `service.in(outcome)`. */
export type SimulatedOutcome = {
  readonly seed: number
  /** All tasks, those that handlers have scheduled, too. */
  readonly tasks: ReadonlyArray<SimulatedTask>
  readonly calls: ReadonlyArray<SimulatedCall>
  readonly kept: Kept
}

export type Ran = {
  readonly outcome: SimulatedOutcome
  readonly streams: ReadonlyArray<StoredStream>
  readonly acknowledged: ReadonlyArray<{ readonly index: number; readonly id: string }>
  readonly announced: ReadonlyArray<string>
  readonly fallen: ReadonlyArray<string>
  readonly served: Observed["served"]
  /** The handler that waits for what the simulation cannot bring; the history was stopped there. */
  readonly left: { readonly call: SimulatedCall; readonly atMs: number } | null
  readonly fired: ReadonlyMap<string, number>
  readonly traceHash: number
  readonly stepsCount: number
  readonly simulatedMs: number
}

export const historyOf = (setup: Setup, seed: number): PlannedHistory => {
  const indexed = <A>(all: ReadonlyArray<A>) => all.map((of, index) => ({ index, of }))
  return {
    seed,
    tasks: indexed(setup.workload(new Draw(seed, "workload"))),
    faults: indexed(drawFaults(seed, setup))
  }
}

export const runPlanned = (setup: Setup, { faults: indexed, seed, tasks }: PlannedHistory): Ran => {
  const faults = indexed.map(({ of }) => of)
  const kernel = new Kernel(seed)
  const database = new MemoryDatabase(clockOf(kernel, world, trueClock), leaseMsDefault)
  const kept = new Kept()
  const observed: Observed = { kernel, calls: [], served: new Map(), lives: [] }
  const counts = new Map<string, number>()
  const fired = (fault: Fault, step: string) => {
    const name = `${fault._tag}@${step}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const draw = new Draw(seed, "fleet")
  const broker = new SimulatedBroker(kernel, faults, fired, unwatched)
  const fleet = new Fleet({
    kernel,
    database,
    broker,
    faults,
    fired,
    logger: silent,
    witness: unwatched,
    preemption: draw.pick([0, 0.01, 0.1]),
    windowTasks: draw.pick([1, 3, 100]),
    legsOf: (parts) => new CountedLegs(parts),
    // Its lease is renewed in one step; what it announces goes the way of all calls.
    session: (incarnation, legs, process) =>
      Effect.map(MemorySession.make(database, process), (session) => ({
        ...session,
        serve: (policies) => legs.call(incarnation, "serve", session.serve(policies))
      }))
  })
  const concurrency = draw.integer(1, concurrencyMax)
  for (let index = 0; index < setup.nodes; index++) {
    const clock = setup.tags.length === 0 ? trueClock : drawClock(draw)
    beginNode(index, clock, { setup, seed, faults, fired, fleet, kept, observed, concurrency })
  }
  const acknowledged: Array<Ran["acknowledged"][number]> = []
  fleet.arm()
  fleet.client(setup.nodes, () => client(tasks, acknowledged))

  let left: Ran["left"] = null
  const isOver = () => {
    const call = leftIn(observed)
    if (call !== null) left = { call, atMs: kernel.nowMs }
    return left !== null || (acknowledged.length === tasks.length && hasEnded(database, observed))
  }
  kernel.runUntil(setup.chaosMs + setup.endWithinMs, () => fleet.fallen.length > 0 || isOver())
  if (kernel.isRestless) throw new Error(`more than ${stepsMax} steps: the history does not come to rest`)
  const streams = database.streams.page(null, Number.MAX_SAFE_INTEGER)
  for (const { events } of streams) {
    for (const { _tag, atMs, eventId } of events) kernel.note(`${_tag} ${atMs} ${eventId}`)
  }
  return {
    outcome: { seed, tasks: streams.flatMap(taskOf), calls: observed.calls, kept },
    streams,
    acknowledged,
    announced: broker.announced.map(({ taskId }) => taskId),
    fallen: fleet.fallen,
    served: observed.served,
    left,
    fired: counts,
    traceHash: kernel.traceHash,
    stepsCount: kernel.stepsCount,
    simulatedMs: kernel.nowMs
  }
}

/** With the user's handlers, and what they reach from there. */
const beginNode = (
  index: number,
  clock: NodeClock,
  parts: {
    readonly setup: Setup
    readonly seed: number
    readonly faults: ReadonlyArray<Fault>
    readonly fired: (fault: Fault, step: string) => void
    readonly fleet: Fleet
    readonly kept: Kept
    readonly observed: Observed
    readonly concurrency: number
  }
): void => {
  const { concurrency, faults, fired, fleet, kept, observed, seed, setup } = parts
  const { kernel } = observed
  const node = fleet.node(clock, (life) =>
    Effect.suspend(() => {
      const { incarnation, name } = life
      const reach = (operation: "ledger" | "outside", legs: Legs): Reach => ({
        kept,
        node: name,
        nowMs: () => kernel.nowMs,
        note: (text) => kernel.note(`${name} ${text}`),
        call: (apply) => legs.call(incarnation, operation, Effect.sync(apply))
      })
      const servers = Context.make(Ledger, reach("ledger", tableLegs)).pipe(
        Context.add(Outside, reach("outside", outsideLegs))
      )
      const handlers = setup.handlers({ name, draw: new Draw(seed, `node ${name}`) })
      return userProgram(life, { handlers, servers, concurrency, observed })
    })
  )
  const shared = { kernel, node: index, crash: node.crash, fired }
  const tableLegs = new CountedLegs({ ...shared, faults })
  // What keeps a node from the database does not keep it from the rest of the world.
  const isOfNetwork = ({ _tag }: Fault) => _tag !== "CutOff" && _tag !== "PoolExhausted"
  const outsideLegs = new CountedLegs({ ...shared, faults: faults.filter(isOfNetwork) })
}

const client = (tasks: PlannedHistory["tasks"], acknowledged: Array<Ran["acknowledged"][number]>) =>
  Effect.forEach(
    tasks,
    ({ index, of: { afterMs, schedule } }) =>
      Effect.sleep(afterMs).pipe(
        Effect.andThen(schedule(`planned-${index}`)),
        Effect.tap(({ id }) => Effect.sync(() => acknowledged.push({ index, id })))
      ),
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.andThen(Effect.never), Effect.provide(Layer.fresh(Duetime.layer)))

const hasEnded = ({ streams }: MemoryDatabase, { served }: Observed): boolean =>
  streams.unannounced.size === 0 &&
  Array.from(streams.kinds()).every(
    (kind) =>
      open.every((stage) => streams.count(kind, stage) === 0) &&
      // Without a reconciler it waits for a person.
      (streams.count(kind, "parked") === 0 || served.get(kind)?.reconciles !== true)
  )

const taskOf = ({ events, taskId }: StoredStream): ReadonlyArray<SimulatedTask> => {
  const state = fold(events)
  const [born] = events
  if (state === null || born?._tag !== "TaskScheduled") return []
  return [{ id: taskId, kind: state.kind, payload: born.payload, stage: state.stage, events }]
}

const drawClock = (draw: Draw): NodeClock => ({
  offsetMs: draw.chance(0.5) ? 0 : draw.integer(-clockOffsetMsMax, clockOffsetMsMax),
  // What NTP lets pass, and a good deal more.
  rate: draw.chance(0.5) ? 1 : draw.integer(98, 102) / 100
})

const unwatched = { leaves: () => {}, claimed: () => {}, started: () => {}, startedDue: () => {}, finished: () => {} }
/** Handlers may log what they like; a history that fails is told by its timeline. */
const silent = Logger.make(() => {})
const concurrencyMax = 8
const clockOffsetMsMax = 60_000
const open = ["pending", "claimed", "running"] as const
