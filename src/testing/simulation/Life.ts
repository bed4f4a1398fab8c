/** One life of a node or a client: an incarnation with new layers, whose program stands on the ports of the simulated servers. */
import { Clock, Context, Effect, Exit, Layer, type Scope } from "effect"
import type { Logger } from "effect/Logger"
import { Broker } from "../../broker/Broker.ts"
import { defaults, EngineConfig } from "../../engine/EngineConfig.ts"
import type { MemoryDatabase } from "../../store/memory/MemoryDatabase.ts"
import { MemoryProcess } from "../../store/memory/MemoryProcess.ts"
import * as MemoryStore from "../../store/MemoryStore.ts"
import { RecurrenceStore } from "../../store/RecurrenceStore.ts"
import { Session } from "../../store/Session.ts"
import { TaskStore } from "../../store/TaskStore.ts"
import { Incarnation, type NodeClock } from "./Incarnation.ts"
import { type Kernel, world } from "./Kernel.ts"
import type { Legs } from "./Legs.ts"
import type { SimulatedBroker } from "./SimulatedBroker.ts"
import { storeBehindLegs } from "./simulatedStore.ts"
import type { Witness } from "./Witness.ts"

/** What a program of a node stands on. */
export type Ports = TaskStore | RecurrenceStore | Session | Broker

export type Life = {
  /** `n1.2` is the second life of the second node. */
  readonly name: string
  readonly incarnation: Incarnation
  /** Null: it has none yet. */
  readonly sessionId: () => number | null
  /** The database holds its lease to be over. */
  readonly isLeaseOver: () => boolean
  readonly cutOff: (isCutOff: boolean) => void
  readonly kill: () => void
}

export type ProgramOf = (life: Life) => Effect.Effect<unknown, unknown, Ports>

/** What is the same for all lives of a history. */
export type LifeParts = {
  readonly kernel: Kernel
  readonly database: MemoryDatabase
  readonly broker: SimulatedBroker
  readonly witness: Witness
  readonly logger: Logger<unknown, void>
  /** Chance that a fiber loses its turn before an operation. */
  readonly preemption: number
  /** Tasks that an engine may hold claimed and not started (`EngineConfig.windowTasksMin`). */
  readonly windowTasks: number
  /** How a process holds its lease. */
  readonly session: (
    incarnation: Incarnation,
    legs: Legs,
    process: MemoryProcess
  ) => Effect.Effect<Session["Service"], never, Scope.Scope>
  /** Of each process for itself; absent: all share `broker`. */
  readonly ownBroker?: Layer.Layer<Broker>
  /** What the database makes of its store, for all nodes; absent: nothing. */
  readonly behindLegs?: (store: TaskStore["Service"]) => TaskStore["Service"]
  /** What a life's own code finds instead of its ports; absent: the ports. */
  readonly beforeLegs?: (ports: Context.Context<Ports>, life: Life, legs: Legs) => Context.Context<Ports>
  /** Told of each life that was killed. */
  readonly killed?: (life: Life) => void
}

/** @param fallen told of a program that ended though nobody killed it, with its cause */
export const beginLife = (
  name: string,
  clock: NodeClock,
  legs: Legs,
  parts: LifeParts,
  programOf: ProgramOf,
  fallen: (what: string) => void
): Life => {
  const { broker, database, kernel, witness } = parts
  const incarnation = new Incarnation(kernel, name, clock, parts.preemption, parts.logger)
  let control: MemoryStore.MemoryControl["Service"] | null = null
  let session: Session["Service"] | null = null
  const life: Life = {
    name,
    incarnation,
    sessionId: () => session?.id() ?? null,
    // A clock that is two in a hundred slow believes in its lease so much longer.
    isLeaseOver: () => session !== null && !database.sessions.isAlive(session.id(), database.now() - leaseSlackMs),
    cutOff: (isCutOff) => control !== null && Effect.runSync(control.cutOff(isCutOff)),
    kill: () => {
      kernel.note(`${name} dies`)
      incarnation.isAlive = false
      parts.killed?.(life)
      broker.died(incarnation)
      // What it has sent arrives before the database learns of its death.
      kernel.after(world, deathNoticedMs, () => control !== null && Effect.runSync(control.crash))
    }
  }
  const program = programOf(life)
  const whole = Effect.scoped(
    Effect.gen(function* () {
      const process = new MemoryProcess()
      const ports = yield* MemoryStore.portsOn(database, process)
      control = Context.get(ports, MemoryStore.MemoryControl)
      const ownClock = yield* Clock.Clock
      session = yield* parts.session(incarnation, legs, process)
      const bare = Context.get(ports, TaskStore)
      const store = storeBehindLegs(parts.behindLegs?.(bare) ?? bare, {
        kernel,
        owner: incarnation,
        legs,
        witness,
        localMs: () => Number(ownClock.currentTimeNanosUnsafe()) / 1e6,
        monotonicMs: () => Number(ownClock.monotonicTimeNanosUnsafe()) / 1e6,
        databaseMs: () => database.now()
      })
      const itsBroker =
        parts.ownBroker === undefined
          ? broker.serviceFor(incarnation)
          : Context.get(yield* Layer.build(Layer.fresh(parts.ownBroker)), Broker)
      const itsPorts = Context.make(TaskStore, store).pipe(
        Context.add(Session, session),
        Context.add(RecurrenceStore, Context.get(ports, RecurrenceStore)),
        Context.add(Broker, itsBroker),
        Context.add(EngineConfig, { ...defaults, windowTasksMin: parts.windowTasks })
      )
      return yield* Effect.provideContext(program, parts.beforeLegs?.(itsPorts, life, legs) ?? itsPorts)
    })
  )
  kernel.schedule(incarnation, () => {
    const fiber = Effect.runForkWith(incarnation.context)(whole)
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit)) fallen(`${name}: ${exit.cause}`)
    })
  })
  return life
}

const deathNoticedMs = 40
const leaseSlackMs = 150
