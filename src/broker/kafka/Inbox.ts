/** Dispatches that have arrived and that nobody has taken yet. */
import { Effect } from "effect"
import type { Dispatch, Subscription } from "../Broker.ts"
import { DispatchLanes } from "../DispatchLanes.ts"
import { makeGate } from "../Gate.ts"
import { taking } from "../taking.ts"

/** Two and a half windows of an engine, some 2 MB. More of it would only be late: an engine publishes again after two seconds. */
const dispatchesMax = 5_000

export class Inbox {
  #lanes = new DispatchLanes<Dispatch>()
  readonly #arrivals = makeGate()

  get size(): number {
    return this.#lanes.size
  }

  /** False: full. */
  offer(dispatch: Dispatch): boolean {
    if (this.#lanes.size >= dispatchesMax) return false
    this.#lanes.push(dispatch)
    return true
  }

  clear(): void {
    this.#lanes = new DispatchLanes<Dispatch>()
  }

  /** Takes out what nobody has taken for too long. */
  drop(isTooOld: (dispatch: Dispatch) => boolean): ReadonlyArray<Dispatch> {
    return this.#lanes.remove(isTooOld)
  }

  wakeTakers(): void {
    this.#arrivals.changed()
  }

  readonly take: Subscription["take"] = taking({
    take: (room) => this.#lanes.take(room),
    arrivalFor: (room) =>
      // One answer of the broker brings several priorities, one after the other: all of them, and then the most urgent.
      Effect.andThen(
        this.#arrivals.until(() => this.#lanes.hasFor(room)),
        Effect.yieldNow
      )
  })
}
