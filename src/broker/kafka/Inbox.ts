/** Dispatches that have arrived and that nobody has taken yet, by priority. */
import { Effect } from "effect"
import { priorities, rankOf } from "../../core/Priority.ts"
import type { Dispatch } from "../Broker.ts"
import { Lane } from "../Lane.ts"

/** Two and a half windows of an engine, some 2 MB. More of it would only be late: an engine publishes again after two seconds. */
const dispatchesMax = 5_000

export class Inbox {
  #lanes: ReadonlyArray<Lane> = priorities.map(() => new Lane())
  #size = 0
  #takers: Array<() => void> = []

  /** False: full. */
  offer(dispatch: Dispatch): boolean {
    if (this.#size >= dispatchesMax) return false
    this.#size++
    this.#lanes[rankOf(dispatch.priority)]?.push(dispatch)
    return true
  }

  clear(): void {
    this.#lanes = priorities.map(() => new Lane())
    this.#size = 0
  }

  wakeTakers(): void {
    if (this.#size === 0) return
    const takers = this.#takers
    this.#takers = []
    for (const taker of takers) taker()
  }

  /** Waits for at least one. */
  take(max: number): Effect.Effect<ReadonlyArray<Dispatch>> {
    return Effect.suspend(() => {
      const batch = this.#takeNow(max)
      // One answer of the broker brings several priorities, one after the other: all of them, and then the most urgent.
      return batch.length > 0
        ? Effect.succeed(batch)
        : Effect.flatMap(Effect.andThen(this.#arrival, Effect.yieldNow), () => this.take(max))
    })
  }

  #takeNow(max: number): ReadonlyArray<Dispatch> {
    const batch: Array<Dispatch> = []
    for (const lane of this.#lanes) lane.moveTo(batch, Math.max(1, max))
    this.#size -= batch.length
    return batch
  }

  readonly #arrival: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const taker = () => resume(Effect.void)
    this.#takers.push(taker)
    return Effect.sync(() => {
      this.#takers = this.#takers.filter((other) => other !== taker)
    })
  })
}
