import { Effect, Latch } from "effect"

/**
 * Lets fibers wait until something has changed, from code that is no Effect. `changed` is cheap when nobody waits.
 */
export type Gate = {
  readonly changed: () => void
  /** Waits until the condition holds; looks again after every change, and at once. */
  readonly until: (holds: () => boolean) => Effect.Effect<void>
}

export const makeGate = (): Gate => {
  const latch = Latch.makeUnsafe(false)
  return {
    changed: () => latch.openUnsafe(),
    until: Effect.fnUntraced(function* (holds) {
      while (!holds()) {
        latch.closeUnsafe()
        yield* latch.await
      }
    })
  }
}
