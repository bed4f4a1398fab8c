/**
 * Every leg of every call of a port, store and broker alike, in the order in which the legs are passed: whoever enumerates them may
 * kill the caller at one. A request leg is passed before the request is sent, a reply leg after the call was applied and before the
 * answer is taken.
 */
import type { Owner } from "./Kernel.ts"

export type Leg = {
  /** The incarnation that calls: `n0.1`, `client`. */
  readonly owner: string
  readonly operation: string
  readonly leg: "request" | "reply"
}

/** How long the caller is down if it dies at this leg; null: it goes on. */
export type AtLeg = (leg: Leg) => number | null

/** Whether the caller has died here. */
export type LegCut = (owner: Owner, operation: string, leg: Leg["leg"]) => boolean

/** @param crash kills the incarnation, which comes back after `downMs` */
export const legCut =
  (atLeg: AtLeg, crash: (owner: Owner, downMs: number) => void): LegCut =>
  (owner, operation, leg) => {
    if (!owner.isAlive) return false
    const downMs = atLeg({ owner: owner.name, operation, leg })
    if (downMs === null) return false
    crash(owner, downMs)
    return true
  }

export const neverCut: LegCut = () => false

export const neverAtLeg: AtLeg = () => null
