/**
 * When the outside is asked again what became of an interrupted attempt, while it does not know or cannot be reached: in
 * ms after each ask but the last; the first ask comes at once. 20 asks in two hours and twenty minutes; afterwards a person
 * decides. Not the kind's retry delays, since those are made for attempts, and a kind may have none.
 */
export const askWaitsMs: ReadonlyArray<number> = Array.from({ length: 19 }, (_, index) =>
  Math.min(10_000 * 2 ** index, 600_000)
)

/** Longest ask. Not above the first wait, so that one ask has ended before the next one of the same task begins. */
export const askMsMax = 10_000
