/**
 * Nodes and clients over one simulated database and broker: each life of a node is an incarnation with new layers, begun, frozen, cut
 * off and killed by the faults of the history.
 */
import { Clock, Context, Effect, Exit, Layer } from "effect"
import type { Logger } from "effect/Logger"
import { Broker } from "../../broker/Broker.ts"
import { defaults, EngineConfig } from "../../engine/EngineConfig.ts"
import type { MemoryDatabase } from "../../store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../store/MemoryStore.ts"
import { RecurrenceStore } from "../../store/RecurrenceStore.ts"
import { Session } from "../../store/Session.ts"
import type { StoreUnavailable } from "../../store/StoreError.ts"
import { TaskStore } from "../../store/TaskStore.ts"
import type { Fault } from "./Fault.ts"
import { Incarnation, type NodeClock } from "./Incarnation.ts"
import { type Kernel, type Owner, world } from "./Kernel.ts"
import { Legs } from "./Legs.ts"
import type { SimulatedBroker } from "./SimulatedBroker.ts"
import { storeBehindLegs } from "./simulatedStore.ts"
import { counted } from "./Waits.ts"
import type { Witness } from "./Witness.ts"

/** What a program of a node stands on. */
export type Ports = TaskStore | RecurrenceStore | Session | Broker

export type FleetParts = {
  readonly kernel: Kernel
  readonly database: MemoryDatabase
  readonly broker: SimulatedBroker
  readonly faults: ReadonlyArray<Fault>
  readonly fired: (fault: Fault, step: string) => void
  readonly witness: Witness
  readonly logger: Logger<unknown, void>
  /** Chance that a fiber loses its turn before an operation. */
  readonly preemption: number
  /** Tasks that an engine may hold claimed and not started (`EngineConfig.windowTasksMin`). */
  readonly windowTasks: number
}

/** One life of a node, or a client. */
export type Life = {
  readonly incarnation: Incarnation
  readonly isLeaseOver: () => boolean
  readonly cutOff: (isCutOff: boolean) => void
  readonly kill: () => void
}

export type Node = {
  readonly current: () => Life | null
  /** Kills the node that is alive now; it comes back later. */
  readonly crash: (downMs: number) => void
}

/** A program of one life; the life is not there yet when it is made. */
export type ProgramOf = (name: string, life: () => Life | null) => Effect.Effect<unknown, unknown, Ports>

export class Fleet {
  /** Programs that ended though nobody killed them, with their causes. */
  readonly fallen: Array<string> = []
  readonly #parts: FleetParts

  constructor(parts: FleetParts) {
    this.#parts = parts
  }

  start(name: string, clock: NodeClock, legs: Legs, program: Effect.Effect<unknown, unknown, Ports>): Life {
    const { broker, database, kernel, logger, preemption, witness, windowTasks } = this.#parts
    const incarnation = new Incarnation(kernel, name, clock, preemption, logger)
    let control: MemoryStore.MemoryControl["Service"] | null = null
    let session: Session["Service"] | null = null
    const whole = Effect.scoped(
      Effect.gen(function* () {
        const ports = yield* Layer.build(Layer.fresh(MemoryStore.layerOn(database)))
        control = Context.get(ports, MemoryStore.MemoryControl)
        const ownClock = yield* Clock.Clock
        const bare = Context.get(ports, Session)
        session = bare
        const between = {
          kernel,
          owner: incarnation,
          legs,
          witness,
          localMs: () => Number(ownClock.currentTimeNanosUnsafe()) / 1e6,
          monotonicMs: () => Number(ownClock.monotonicTimeNanosUnsafe()) / 1e6,
          databaseMs: () => database.now()
        }
        return yield* program.pipe(
          Effect.provideContext(
            Context.make(TaskStore, storeBehindLegs(Context.get(ports, TaskStore), between)).pipe(
              Context.add(Session, {
                ...bare,
                serve: (policies) => legs.call(incarnation, "serve", bare.serve(policies))
              }),
              Context.add(RecurrenceStore, Context.get(ports, RecurrenceStore)),
              Context.add(Broker, broker.serviceFor(incarnation)),
              Context.add(EngineConfig, { ...defaults, windowTasksMin: windowTasks })
            )
          )
        )
      })
    )
    kernel.schedule(incarnation, () => {
      const fiber = Effect.runForkWith(incarnation.context)(whole)
      fiber.addObserver((exit) => {
        if (Exit.isFailure(exit)) this.fallen.push(`${name}: ${exit.cause}`)
      })
    })
    return {
      incarnation,
      // A clock that is two in a hundred slow believes in its lease so much longer.
      isLeaseOver: () => session !== null && !database.sessions.isAlive(session.id(), database.now() - leaseSlackMs),
      cutOff: (isCutOff) => control !== null && Effect.runSync(control.cutOff(isCutOff)),
      kill: () => {
        kernel.note(`${name} dies`)
        incarnation.isAlive = false
        broker.died(incarnation)
        // What it has sent arrives before the database learns of its death.
        kernel.after(world, deathNoticedMs, () => control !== null && Effect.runSync(control.crash))
      }
    }
  }

  /** Begins a node that comes back after each of its deaths, and meets what the faults have for it. */
  node(index: number, clock: NodeClock, programOf: ProgramOf): Node {
    const { faults, fired, kernel } = this.#parts
    let livesCount = 0
    let current: Life | null = null
    const crash = (downMs: number) => {
      current?.kill()
      current = null
      kernel.after(world, downMs, rise)
    }
    const legs = new CountedLegs({ kernel, node: index, faults, crash, fired })
    const rise = () => {
      if (current !== null) return
      const name = `n${index}.${++livesCount}`
      current = this.start(
        name,
        clock,
        legs,
        programOf(name, () => current)
      )
    }
    rise()
    for (const fault of faults) {
      if (!("node" in fault) || !("atMs" in fault) || fault.node !== index) continue
      kernel.at(world, fault.atMs, () => {
        if (current === null) return
        const life = current
        if (fault._tag === "Crash") crash(fault.downMs)
        else if (fault._tag === "Pause") life.incarnation.pausedUntilMs = kernel.nowMs + fault.forMs
        else if (fault._tag === "CutOff") {
          life.cutOff(true)
          kernel.after(world, fault.forMs, () => life.cutOff(false))
        } else return
        fired(fault, "instant")
      })
    }
    return { current: () => current, crash }
  }
}

/** Calls of user code are waits inside the kernel. */
export class CountedLegs extends Legs {
  override call<A, E>(
    owner: Owner,
    operation: string,
    apply: Effect.Effect<A, E>
  ): Effect.Effect<A, E | StoreUnavailable> {
    return counted(super.call(owner, operation, apply))
  }
}

const deathNoticedMs = 40
const leaseSlackMs = 150
