/**
 * Nodes and clients over one simulated database and broker: each has one life after the other, begun, frozen, cut off and killed by the
 * faults of the history.
 */
import type { Fault } from "./Fault.ts"
import { type NodeClock, trueClock } from "./Incarnation.ts"
import { type Owner, world } from "./Kernel.ts"
import type { LegCut } from "./LegCut.ts"
import { Legs, type LegsParts } from "./Legs.ts"
import { beginLife, type Life, type LifeParts, type ProgramOf } from "./Life.ts"

export type FleetParts = LifeParts & {
  readonly faults: ReadonlyArray<Fault>
  readonly fired: (fault: Fault, step: string) => void
  /** The wire of nodes; absent: `Legs`. */
  readonly legsOf?: (parts: LegsParts) => Legs
  /** Who dies at which leg, besides the faults; absent: nobody. */
  readonly cuts?: LegCut
  /** What a fault does at its instant that is not done to the life of a node; null: nothing. Absent: no fault does. */
  readonly strike?: (fault: InstantFault) => (() => void) | null
}

type InstantFault = Extract<Fault, { readonly atMs: number }>

export type Node = {
  readonly current: () => Life | null
  /** Kills the life that there is now; the next one begins later. */
  readonly crash: (downMs: number) => void
}

export class Fleet {
  /** Programs that ended though nobody killed them, with their causes. */
  readonly fallen: Array<string> = []
  readonly #parts: FleetParts
  readonly #nodes: Array<Node> = []
  readonly #crashes = new Map<Owner, (downMs: number) => void>()

  constructor(parts: FleetParts) {
    this.#parts = parts
  }

  get nodes(): ReadonlyArray<Node> {
    return this.#nodes
  }

  /** Begins the next node, which comes back after each of its deaths. */
  node(clock: NodeClock, programOf: ProgramOf): Node {
    const index = this.#nodes.length
    const { legsOf = (parts) => new Legs(parts) } = this.#parts
    const node = this.#begin(
      (life) => `n${index}.${life}`,
      clock,
      programOf,
      (crash) => legsOf(this.#legsParts(index, crash))
    )
    this.#nodes.push(node)
    return node
  }

  /** Begins a client, whose calls have the number of a node: it meets what happens to them, and dies at no fault. */
  client(number: number, programOf: ProgramOf): Node {
    const legs = new Legs(this.#legsParts(number, () => {}))
    return this.#begin(
      (life) => (life === 1 ? "client" : `client.${life}`),
      trueClock,
      programOf,
      () => legs
    )
  }

  /** Kills whoever lives under that name; it comes back later. */
  crash(owner: Owner, downMs: number): void {
    this.#crashes.get(owner)?.(downMs)
  }

  /** Once all nodes have begun: each fault that has an instant strikes at it. */
  arm(): void {
    const { faults, fired, kernel, strike } = this.#parts
    for (const fault of faults) {
      if (!("atMs" in fault)) continue
      const strikes = strike?.(fault) ?? null
      const node = "node" in fault ? this.#nodes[fault.node] : undefined
      if (strikes === null && node === undefined) continue
      kernel.at(world, fault.atMs, () => {
        if (strikes !== null) strikes()
        else if (node === undefined || !this.#meets(node, fault)) return
        fired(fault, "instant")
      })
    }
  }

  /** Whether it has had an effect. */
  #meets(node: Node, fault: InstantFault): boolean {
    const { kernel } = this.#parts
    const life = node.current()
    if (life === null) return false
    if (fault._tag === "Crash") node.crash(fault.downMs)
    else if (fault._tag === "Pause") life.incarnation.pausedUntilMs = kernel.nowMs + fault.forMs
    else if (fault._tag === "CutOff") {
      life.cutOff(true)
      kernel.after(world, fault.forMs, () => life.cutOff(false))
    } else return false
    return true
  }

  #legsParts(node: number, crash: (downMs: number) => void): LegsParts {
    const { cuts, faults, fired, kernel } = this.#parts
    return { kernel, node, faults, crash, fired, ...(cuts === undefined ? {} : { cuts }) }
  }

  #begin(
    nameOf: (life: number) => string,
    clock: NodeClock,
    programOf: ProgramOf,
    legsOf: (crash: (downMs: number) => void) => Legs
  ): Node {
    let livesCount = 0
    let current: Life | null = null
    const crash = (downMs: number) => {
      current?.kill()
      current = null
      this.#parts.kernel.after(world, downMs, rise)
    }
    const legs = legsOf(crash)
    const rise = () => {
      if (current !== null) return
      current = beginLife(nameOf(++livesCount), clock, legs, this.#parts, programOf, (what) => this.fallen.push(what))
      this.#crashes.set(current.incarnation, crash)
    }
    rise()
    return { current: () => current, crash }
  }
}
