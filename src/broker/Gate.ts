import { Effect } from "effect"

/**
 * Lets fibers wait until something holds, from code that is no Effect. `changed` is cheap when nobody waits.
 *
 * Any number may wait, each for its own condition, and none misses a change, at whichever step its fiber has yielded to another one:
 * the condition is looked at in the same turn in which the wait begins.
 */
export type Gate = {
  /** Resumes, before it returns, those whose condition holds now. */
  readonly changed: () => void
  /** Waits until the condition holds; looks at it at once, after every change, and once more when the fiber is resumed. */
  readonly until: (holds: () => boolean) => Effect.Effect<void>
}

export const makeGate = (): Gate => {
  const looks = new Set<() => void>()
  const hasHeld = (holds: () => boolean) =>
    Effect.callback<void>((resume) => {
      if (holds()) return resume(Effect.void)
      const look = () => {
        if (!holds()) return
        looks.delete(look)
        resume(Effect.void)
      }
      looks.add(look)
      return Effect.sync(() => looks.delete(look))
    })
  return {
    changed: () => {
      for (const look of looks) look()
    },
    until: Effect.fnUntraced(function* (holds) {
      // Somebody else may have been quicker between the change and this fiber's turn.
      while (!holds()) yield* hasHeld(holds)
    })
  }
}
