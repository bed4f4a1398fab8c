import { Effect, type Scope } from "effect"
import type { Subscription } from "../broker/Broker.ts"

/** What this worker knows of the dispatches that reach it: whether any do, and whether some had to be let go. */
export class Arrivals {
  readonly #monotonicMs: () => number
  readonly #subscriptions = new Set<Subscription>()
  #arrivedAtMs = Number.NEGATIVE_INFINITY
  #declinedCount = 0

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  watch(subscription: Subscription): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => void this.#subscriptions.add(subscription)),
      () => Effect.sync(() => this.#subscriptions.delete(subscription))
    )
  }

  arrived(): void {
    this.#arrivedAtMs = this.#monotonicMs()
  }

  declined(count: number): void {
    this.#declinedCount += count
  }

  get silentForMs(): number {
    return this.#monotonicMs() - this.#arrivedAtMs
  }

  /** Dispatches that came here and found no slot in time, ever. */
  get letGoCount(): number {
    let count = this.#declinedCount
    for (const subscription of this.#subscriptions) count += subscription.droppedCount()
    return count
  }
}
