import { createHash } from "node:crypto"

/**
 * Chance that a seed and a name decide: a number in [0, 1). Each draw has a name of its own, so one more or one less moves no
 * other, and what was drawn does not depend on how the run went.
 */
export const draw = (seed: number, ...name: ReadonlyArray<string | number>): number =>
  createHash("sha256")
    .update(JSON.stringify([seed, ...name]))
    .digest()
    .readUIntBE(0, 6) /
  2 ** 48

/** A number of `from` to `to`, without `to`. */
export const between = (drawn: number, from: number, to: number): number => from + drawn * (to - from)
