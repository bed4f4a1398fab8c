/** Dispatches that have arrived and that nobody has taken yet. */
import { Effect } from "effect"
import type { Dispatch } from "../Broker.ts"
import { DispatchLanes, type Room } from "../DispatchLanes.ts"

/** Two and a half windows of an engine, some 2 MB. More of it would only be late: an engine publishes again after two seconds. */
const dispatchesMax = 5_000

export class Inbox {
  #lanes = new DispatchLanes<Dispatch>()
  #takers: Array<() => void> = []

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
    if (this.#lanes.size === 0) return
    const takers = this.#takers
    this.#takers = []
    for (const taker of takers) taker()
  }

  /** Waits for at least one that there is room for. */
  take(room: Room): Effect.Effect<ReadonlyArray<Dispatch>> {
    return Effect.suspend(() => {
      const batch = this.#lanes.take(room)
      // One answer of the broker brings several priorities, one after the other: all of them, and then the most urgent.
      return batch.length > 0
        ? Effect.succeed(batch)
        : Effect.flatMap(Effect.andThen(this.#arrival, Effect.yieldNow), () => this.take(room))
    })
  }

  readonly #arrival: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const taker = () => resume(Effect.void)
    this.#takers.push(taker)
    return Effect.sync(() => {
      this.#takers = this.#takers.filter((other) => other !== taker)
    })
  })
}
