/**
 * The broker of a fleet, without its guarantees: a dispatch may be lost, come twice, late or behind others, and go to a consumer
 * that dies with it. One consumer group per queue; what a dead member held comes to another after a rebalance.
 */
import { Effect, Queue, type Scope } from "effect"
import { type Broker, BrokerUnavailable, type Dispatch, holdMsMax, type Subscription } from "../../broker/Broker.ts"
import { DispatchLanes } from "../../broker/DispatchLanes.ts"
import { makeGate } from "../../broker/Gate.ts"
import { taking } from "../../broker/taking.ts"
import type { DeadLetter } from "../../core/DeadLetter.ts"
import { priorities, type Priority } from "../../core/Priority.ts"
import type { EventId } from "../../core/TaskId.ts"
import type { Fault } from "./Fault.ts"
import { type Kernel, type Owner, world } from "./Kernel.ts"
import { type LegCut, neverCut } from "./LegCut.ts"
import type { Witness } from "./Witness.ts"

export class SimulatedBroker {
  readonly announced: Array<DeadLetter> = []
  readonly #kernel: Kernel
  readonly #faults: ReadonlyArray<Fault>
  readonly #fired: (fault: Fault, step: string) => void
  readonly #witness: Witness
  readonly #cuts: LegCut
  readonly #published: (dispatch: Dispatch) => void
  readonly #groups = new Map<string, Group>()
  /** Draws of how long each step takes. */
  readonly #ways = new Map<string, () => number>()
  readonly #hints = new Set<{ readonly owner: Owner; readonly queue: Queue.Queue<ReadonlyArray<EventId>> }>()

  constructor(
    kernel: Kernel,
    faults: ReadonlyArray<Fault>,
    fired: (fault: Fault, step: string) => void,
    witness: Witness,
    cuts: LegCut = neverCut,
    /** Told of each dispatch that has arrived, whatever becomes of it. */
    published: (dispatch: Dispatch) => void = () => {}
  ) {
    this.#published = published
    this.#witness = witness
    this.#cuts = cuts
    this.#kernel = kernel
    this.#faults = faults
    this.#fired = fired
    for (const fault of faults) {
      if (fault._tag !== "BrokerEmptied") continue
      kernel.at(world, fault.atMs, () => {
        fired(fault, "broker")
        for (const group of this.#groups.values()) group.empty()
      })
    }
  }

  /** As the node of this incarnation sees it. */
  serviceFor(owner: Owner): Broker["Service"] {
    return {
      reach: "fleet",
      offerDue: () => false,
      publish: (batch) =>
        this.#call(owner, "publish", () => {
          for (const dispatch of batch) {
            this.#witness.leaves("a dispatch", dispatch)
            this.#published(dispatch)
            this.#publish(dispatch)
          }
          return batch.map(() => "Published" as const)
        }),
      consume: (queue) =>
        Effect.flatMap(
          this.#call(owner, "consume", () => this.#groupOf(queue)),
          (group) => this.#join(owner, group)
        ),
      lag: (queue) => this.#call(owner, "lag", () => this.#groupOf(queue).lag()),
      tellStarted: (claims) =>
        this.#call(owner, "tellStarted", () => {
          for (const { owner: listener, queue } of this.#hints) {
            this.#kernel.after(listener, this.#wayMs("hint"), () => Queue.offerUnsafe(queue, claims))
          }
        }),
      startedHints: Effect.acquireRelease(
        Effect.tap(Queue.sliding<ReadonlyArray<EventId>>(hintsMax), (queue) =>
          Effect.sync(() => this.#hints.add({ owner, queue }))
        ),
        Queue.shutdown
      ),
      announceDead: (letters) =>
        this.#call(owner, "announceDead", () => {
          this.#witness.leaves("a letter", letters)
          this.announced.push(...letters)
        })
    }
  }

  /** What a dead incarnation held goes to the others. */
  died(owner: Owner): void {
    for (const group of this.#groups.values()) {
      const held = group.leave(owner)
      this.#kernel.after(world, rebalanceMs, () => {
        for (const dispatch of held) this.#deliver(group, dispatch)
      })
    }
  }

  #call<A>(owner: Owner, operation: string, apply: () => A): Effect.Effect<A, BrokerUnavailable> {
    const kernel = this.#kernel
    return Effect.callback<A, BrokerUnavailable>((resume) => {
      const isDown = () => this.#lasting("BrokerDown", operation) !== undefined
      const fails = () =>
        kernel.after(owner, downAfterMs, () =>
          resume(Effect.fail(new BrokerUnavailable({ operation, reason: "the broker is down" })))
        )
      if (this.#cuts(owner, operation, "request")) return
      if (isDown()) {
        fails()
        return
      }
      kernel.after(world, this.#wayMs(operation), () => {
        if (isDown()) return fails()
        const answer = apply()
        kernel.note(`${owner.name} ${operation}`)
        if (this.#cuts(owner, operation, "reply")) return
        return kernel.after(owner, this.#wayMs(operation), () => resume(Effect.succeed(answer)))
      })
    })
  }

  #publish(dispatch: Dispatch): void {
    const group = this.#groupOf(dispatch.queue)
    const unreliable = this.#lasting("Unreliable", "publish")
    const how = unreliable?._tag === "Unreliable" && this.#kernel.chance.next("fate") < 0.5 ? unreliable.how : undefined
    if (unreliable !== undefined && how !== undefined) this.#fired(unreliable, `publish.${how}`)
    if (how === "lost") return
    this.#kernel.after(world, how === "late" ? this.#kernel.chance.between("late", 0, lateMsMax) : 0, () =>
      this.#deliver(group, dispatch)
    )
    if (how === "repeated") {
      this.#kernel.after(world, this.#kernel.chance.between("late", 0, lateMsMax), () => this.#deliver(group, dispatch))
    }
  }

  #deliver(group: Group, dispatch: Dispatch): void {
    this.#kernel.after(world, this.#wayMs("deliver"), () => {
      const members = group.members.filter(({ owner }) => owner.isAlive)
      const member = members[this.#kernel.chance.below("member", members.length)]
      if (member === undefined) group.waiting.push(dispatch)
      else member.receive(dispatch, this.#kernel)
    })
  }

  #join(owner: Owner, group: Group): Effect.Effect<Subscription, never, Scope.Scope> {
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const member = new Member(owner)
          group.members.push(member)
          for (const dispatch of group.waiting.splice(0)) this.#deliver(group, dispatch)
          return member
        }),
        () =>
          Effect.sync(() => {
            for (const dispatch of group.leave(owner)) this.#deliver(group, dispatch)
          })
      ),
      (member): Subscription => ({
        droppedCount: () => member.droppedCount,
        offered: Effect.never,
        take: member.take,
        acknowledge: (batch) => this.#call(owner, "acknowledge", () => member.letGo(batch)),
        decline: (batch) => this.#call(owner, "decline", () => member.letGo(batch))
      })
    )
  }

  #groupOf(queue: string): Group {
    const group = this.#groups.get(queue) ?? new Group()
    this.#groups.set(queue, group)
    return group
  }

  #lasting(tag: "BrokerDown" | "Unreliable", step: string): Fault | undefined {
    const { nowMs } = this.#kernel
    for (const fault of this.#faults) {
      if (fault._tag !== tag || !("forMs" in fault) || nowMs < fault.atMs || nowMs >= fault.atMs + fault.forMs) continue
      this.#fired(fault, step)
      return fault
    }
    return undefined
  }

  #wayMs(step: string): number {
    let draw = this.#ways.get(step)
    if (draw === undefined) this.#ways.set(step, (draw = this.#kernel.chance.drawsOf(`broker ${step}`)))
    return wayMsMin + draw() * (wayMsMax - wayMsMin)
  }
}

class Group {
  members: Array<Member> = []
  /** Without a member to go to. */
  readonly waiting: Array<Dispatch> = []

  leave(owner: Owner): ReadonlyArray<Dispatch> {
    const gone = this.members.filter((member) => member.owner === owner)
    this.members = this.members.filter((member) => member.owner !== owner)
    return gone.flatMap((member) => [...member.held])
  }

  empty(): void {
    this.waiting.length = 0
    for (const member of this.members) member.empty()
  }

  lag(): Record<Priority, number> {
    const held = [...this.waiting, ...this.members.flatMap((member) => [...member.held])]
    const lag: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }
    for (const priority of priorities) lag[priority] = held.filter((dispatch) => dispatch.priority === priority).length
    return lag
  }
}

class Member {
  readonly owner: Owner
  droppedCount = 0
  /** Delivered, and neither acknowledged nor dropped. */
  readonly held = new Set<Dispatch>()
  readonly #lanes = new DispatchLanes<Dispatch>()
  readonly #arrivals = makeGate()

  constructor(owner: Owner) {
    this.owner = owner
  }

  receive(dispatch: Dispatch, kernel: Kernel): void {
    const own = { ...dispatch }
    this.held.add(own)
    this.#lanes.push(own)
    kernel.after(this.owner, holdMsMax, () => {
      if (this.#lanes.remove((other) => other === own).length === 0) return
      this.held.delete(own)
      this.droppedCount++
    })
    kernel.schedule(this.owner, this.#arrivals.changed)
  }

  readonly take: Subscription["take"] = taking({
    take: (room) => this.#lanes.take(room),
    arrivalFor: (room) => this.#arrivals.until(() => this.#lanes.hasFor(room))
  })

  letGo(batch: ReadonlyArray<Dispatch>): void {
    for (const dispatch of batch) this.held.delete(dispatch)
  }

  empty(): void {
    this.held.clear()
    this.#lanes.remove(() => true)
  }
}

/** Of a healthy broker. */
const wayMsMin = 0.1
const wayMsMax = 3
/** Batches of hints that wait for one engine. */
const hintsMax = 64
const downAfterMs = 50
const lateMsMax = 3_000
/** Kafka's session timeout and the join after it, shortened. */
const rebalanceMs = 2_000
