/** What is done at the same time, and in which state: as fast-check draws it. */
import * as fc from "fast-check"
import { draw, type Draw, holding, moving } from "./Draw.ts"
import { newOne, waysWith } from "./ways.ts"

export type Interleaving = {
  /** Done one after the other. */
  readonly before: ReadonlyArray<Draw>
  /** One for each session. */
  readonly atOnce: ReadonlyArray<Draw>
}

/** Sessions at most: each has a store of its own. */
export const sessionsMax = 4

/** Two that ask for the same key, and nothing else. */
const sameKey = fc
  .record({ payload: fc.constantFrom(1, 2), expiresInMs: fc.constantFrom(null, 5_000) })
  .map((fields): Draw => ({ tag: "Schedule", tasks: [newOne(0, { ...fields, key: "a" })] }))

export const interleavings: fc.Arbitrary<Interleaving> = fc.noBias(
  fc
    .record({
      // One task is what all of them want; two, and a lock is waited for half as often.
      way: fc.oneof({ weight: 3, arbitrary: waysWith(1) }, { weight: 1, arbitrary: waysWith(2) }),
      next: fc.oneof(
        { weight: 3, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(draw, { maxLength: 2 }) }
      ),
      atOnce: fc.array(
        fc.oneof(
          { weight: 6, arbitrary: holding },
          { weight: 5, arbitrary: moving },
          { weight: 2, arbitrary: sameKey }
        ),
        { minLength: 2, maxLength: sessionsMax, size: "max" }
      )
    })
    .map(({ atOnce, next, way }) => ({ before: [...way, ...next], atOnce }))
)
