/** Sequences of draws, each from a way to somewhere. */
import * as fc from "fast-check"
import { type Draw, draw, schedule } from "./Draw.ts"
import { waysWith } from "./ways.ts"

/** Draws behind the way, at most; of three one means nothing where its turn comes. */
const drawsMax = 56

export const sequences: fc.Arbitrary<ReadonlyArray<Draw>> = fc.noBias(
  fc
    .tuple(
      fc.oneof(
        schedule.map((first) => [first]),
        waysWith(2)
      ),
      fc.array(draw, { maxLength: drawsMax, size: "max" })
    )
    .map(([way, rest]): ReadonlyArray<Draw> => [...way, ...rest])
)
