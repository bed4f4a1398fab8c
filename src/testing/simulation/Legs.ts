/**
 * The wire between a node and the database or the broker. Every call has a request leg, is applied in one step, and has a reply
 * leg; the faults of the history say which of them is late, lost, repeated, refused or cut by a crash.
 */
import { Effect } from "effect"
import { StoreUnavailable } from "../../store/StoreError.ts"
import { applied } from "./applied.ts"
import type { Fault } from "./Fault.ts"
import type { Kernel, Owner } from "./Kernel.ts"
import { world } from "./Kernel.ts"
import { type LegCut, neverCut } from "./LegCut.ts"

export type LegsParts = {
  readonly kernel: Kernel
  readonly node: number
  readonly faults: ReadonlyArray<Fault>
  /** Kills the node that is alive now. */
  readonly crash: (downMs: number) => void
  readonly fired: (fault: Fault, step: string) => void
  /** Nobody dies at a leg but by the faults if it is absent. */
  readonly cuts?: LegCut
}

/** What one node may meet on its way; the counters go on over its lives. */
export class Legs {
  readonly #kernel: Kernel
  readonly node: number
  readonly #faults: ReadonlyArray<Fault>
  /** Those that lie between node and database while they last: none, one or two, asked for at each leg of each call. */
  readonly #away: ReadonlyArray<Lasting>
  readonly #outages: ReadonlyArray<Lasting>
  readonly #exhausted: ReadonlyArray<Lasting>
  readonly #crash: (downMs: number) => void
  readonly #fired: (fault: Fault, step: string) => void
  readonly #cuts: LegCut
  readonly #ways = new Map<string, Way>()

  constructor(parts: LegsParts) {
    this.#cuts = parts.cuts ?? neverCut
    this.#kernel = parts.kernel
    this.node = parts.node
    this.#faults = parts.faults.filter((fault) => ("node" in fault ? fault.node === parts.node : isOutage(fault)))
    const lasting = this.#faults.filter((fault) => "atMs" in fault && "forMs" in fault)
    this.#outages = lasting.filter(isOutage)
    this.#away = lasting.filter((fault) => fault._tag === "CutOff" || isOutage(fault))
    this.#exhausted = lasting.filter(({ _tag }) => _tag === "PoolExhausted")
    this.#crash = parts.crash
    this.#fired = parts.fired
  }

  /** One call of the store by this incarnation. `apply` must be synchronous. */
  call<A, E>(owner: Owner, operation: string, apply: Effect.Effect<A, E>): Effect.Effect<A, E | StoreUnavailable> {
    const kernel = this.#kernel
    return Effect.callback<A, E | StoreUnavailable>((resume) => {
      const way = this.#wayOf(operation)
      const nth = ++way.callsCount
      const met = way.faults.length === 0 ? noFaults : way.faults.filter((fault) => fault.nth === nth)
      // Each when it strikes: a reply may be seconds behind the call, when the pool was exhausted.
      const strikes = (leg: "request" | "reply") => {
        for (const fault of met) {
          const at = "leg" in fault ? fault.leg : "request"
          if (at === leg) this.#fired(fault, "leg" in fault ? `${operation}.${fault.leg}` : operation)
        }
      }
      strikes("request")
      const fails = (ms: number, commitUnknown: boolean, reason: string) =>
        kernel.after(owner, ms, () => {
          kernel.note(`${owner.name} ${operation} ${nth} fails: ${reason}`)
          resume(Effect.fail(new StoreUnavailable({ operation, commitUnknown, reason })))
        })
      const has = (tag: Fault["_tag"], leg: "request" | "reply") =>
        met.some((fault) => fault._tag === tag && "leg" in fault && fault.leg === leg)
      const legMs = (leg: "request" | "reply") =>
        met.reduce(
          (sum, fault) => sum + (fault._tag === "Delay" && fault.leg === leg ? fault.forMs : 0),
          legMsMin + way[leg]() * (legMsMax - legMsMin)
        )
      const cuts = (leg: "request" | "reply"): boolean => {
        if (this.#cuts(owner, operation, leg)) return true
        for (const fault of met) {
          if (fault._tag !== "CrashAtLeg" || fault.leg !== leg || !owner.isAlive) continue
          this.#crash(fault.downMs)
          return true
        }
        return false
      }

      /** @returns how long the frozen node's network holds what was sent */
      const pauses = (leg: "request" | "reply"): number => {
        for (const fault of met) {
          if (fault._tag !== "PauseAtLeg" || fault.leg !== leg) continue
          owner.pausedUntilMs = kernel.nowMs + fault.forMs
          return kernel.chance.between(`held ${this.node} ${operation}`, 0, fault.forMs)
        }
        return 0
      }

      const arrive = () => {
        // Even of a node that has died meanwhile: what was sent may arrive.
        if (this.#isIn(this.#outages)) return fails(lostAfterMs, true, "the server is gone")
        if (met.some(({ _tag }) => _tag === "Refuse")) return fails(legMs("reply"), false, "serialization failure")
        if (met.some(({ _tag }) => _tag === "Duplicate")) applied(apply)
        const exit = applied(apply)
        kernel.note(`${owner.name} ${operation} ${nth} ${exit._tag}`)
        strikes("reply")
        if (cuts("reply")) return
        pauses("reply")
        if (has("Lose", "reply")) return fails(lostAfterMs, true, "the reply was lost")
        kernel.after(owner, legMs("reply"), () => {
          if (this.#isIn(this.#away)) return fails(lostAfterMs, true, "the connection broke")
          return resume(exit)
        })
        return
      }

      if (this.#isIn(this.#away)) {
        fails(legMs("request"), false, "the database cannot be reached")
        return
      }
      if (cuts("request")) return
      if (has("Lose", "request")) {
        fails(lostAfterMs, true, "the request was lost")
        return
      }
      kernel.after(world, pauses("request") + this.#poolWaitMs() + legMs("request"), arrive)
    })
  }

  #wayOf(operation: string): Way {
    const known = this.#ways.get(operation)
    if (known !== undefined) return known
    const way: Way = {
      callsCount: 0,
      request: this.#kernel.chance.drawsOf(`request ${this.node} ${operation}`),
      reply: this.#kernel.chance.drawsOf(`reply ${this.node} ${operation}`),
      faults: this.#faults.flatMap((fault) => ("nth" in fault && fault.operation === operation ? [fault] : []))
    }
    this.#ways.set(operation, way)
    return way
  }

  /** Ms until a connection is free. */
  #poolWaitMs(): number {
    let waitMs = 0
    for (const fault of this.#exhausted) {
      if (!this.#lasts(fault)) continue
      this.#fired(fault, "call")
      waitMs = Math.max(waitMs, fault.atMs + fault.forMs - this.#kernel.nowMs)
    }
    return waitMs
  }

  #isIn(faults: ReadonlyArray<Lasting>): boolean {
    for (const fault of faults) {
      if (!this.#lasts(fault)) continue
      this.#fired(fault, "call")
      return true
    }
    return false
  }

  #lasts({ atMs, forMs }: { readonly atMs: number; readonly forMs: number }): boolean {
    return this.#kernel.nowMs >= atMs && this.#kernel.nowMs < atMs + forMs
  }
}

type Lasting = Extract<Fault, { readonly atMs: number; readonly forMs: number }>

/** One operation of the node. */
type Way = {
  callsCount: number
  /** Draws of how long a leg takes. */
  readonly request: () => number
  readonly reply: () => number
  readonly faults: ReadonlyArray<Extract<Fault, { readonly nth: number }>>
}

const isOutage = ({ _tag }: Fault): boolean => _tag === "Failover" || _tag === "Restore"

const noFaults: Way["faults"] = []

/** Of a healthy network and database in one place. */
const legMsMin = 0.05
const legMsMax = 2
/** After which a driver gives up on an answer. */
const lostAfterMs = 300
