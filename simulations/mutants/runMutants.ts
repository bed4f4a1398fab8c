/** How many histories it takes until a mutant breaks a sentence. The unbroken world has to pass the same ones. */
import { simulateOne } from "../world/simulate.ts"
import type { Mutant } from "./Mutant.ts"

export type Verdict = {
  readonly name: string
  readonly what: string
  /** Histories run until it was found; null: it survived. */
  readonly historiesCount: number | null
  readonly seed: number | null
  /** Ids of the sentences it broke. */
  readonly brokenIds: ReadonlyArray<string>
}

/** @param historiesMax after so many it has survived */
export const tryMutant = ({ breakage, name, what }: Mutant, firstSeed: number, historiesMax: number): Verdict => {
  for (let index = 0; index < historiesMax; index++) {
    const seed = firstSeed + index
    const failure = simulateOne(seed, { breakage })
    if (failure === null) continue
    const brokenIds = [...new Set(failure.broken.map(({ id }) => id))].toSorted()
    return { name, what, historiesCount: index + 1, seed, brokenIds }
  }
  return { name, what, historiesCount: null, seed: null, brokenIds: [] }
}

/** Of the mutants that were found. */
export const medianOf = (verdicts: ReadonlyArray<Verdict>): number | null => {
  const counts = verdicts.flatMap(({ historiesCount }) => historiesCount ?? []).toSorted((one, other) => one - other)
  return counts[Math.floor((counts.length - 1) / 2)] ?? null
}
