import { Chance } from "./chance.ts"

/** Seeded chance for a workload: the same seed draws the same. */
export class Draw {
  /** Of this history: for generators of your own, such as `fc.sample(arbitrary, { seed: draw.seed, numRuns: 1 })`. */
  readonly seed: number
  readonly #next: () => number

  constructor(seed: number, site: string) {
    this.seed = seed
    this.#next = new Chance(seed).drawsOf(site)
  }

  /** In [0, 1). */
  next(): number {
    return this.#next()
  }

  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.#next() * (max - min + 1))
  }

  /** True so often of one. */
  chance(share: number): boolean {
    return this.#next() < share
  }

  /** Fails for an empty list. */
  pick<const A>(from: readonly [A, ...ReadonlyArray<A>]): A {
    return from[Math.floor(this.#next() * from.length)] ?? from[0]
  }

  /** As many as `count`, each by its index. */
  times<A>(count: number, make: (index: number) => A): ReadonlyArray<A> {
    return Array.from({ length: count }, (_, index) => make(index))
  }
}
