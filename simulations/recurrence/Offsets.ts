/** The offsets of a zone over the years that are compared, as the oracle sees them: stretches, first to last, without holes. */
export type Stretch = { readonly fromMs: number; readonly beforeMs: number; readonly offsetMs: number }
export type Offsets = ReadonlyArray<Stretch>

export const yearFrom = 2000
export const yearBefore = 2051
export const comparedFromMs = Date.UTC(yearFrom, 0)
export const comparedBeforeMs = Date.UTC(yearBefore, 0)

/** One change of an offset, as two sources of offsets may see it differently. */
export type Change = { readonly atMs: number; readonly offsetMs: number }

/** @param changes ascending; those that change nothing are dropped */
export const offsetsOf = (firstOffsetMs: number, changes: ReadonlyArray<Change>): Offsets => {
  const stretches: Array<Stretch> = []
  let [fromMs, offsetMs] = [Number.NEGATIVE_INFINITY, firstOffsetMs]
  for (const change of changes) {
    if (change.offsetMs === offsetMs) continue
    stretches.push({ fromMs, beforeMs: change.atMs, offsetMs })
    ;[fromMs, offsetMs] = [change.atMs, change.offsetMs]
  }
  return [...stretches, { fromMs, beforeMs: Number.POSITIVE_INFINITY, offsetMs }]
}

/** The first change inside the compared years that only one of two sources has; null when they agree. */
export const firstDifferenceMs = (one: Offsets, other: Offsets): number | null => {
  const inside = (offsets: Offsets) =>
    offsets.filter(({ beforeMs, fromMs }) => beforeMs > comparedFromMs && fromMs < comparedBeforeMs)
  const [left, right] = [inside(one), inside(other)]
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const [a, b] = [left[index], right[index]]
    const [aFromMs, bFromMs] = [a, b].map((stretch) => Math.max(stretch?.fromMs ?? comparedBeforeMs, comparedFromMs))
    if (a?.offsetMs !== b?.offsetMs || aFromMs !== bFromMs)
      return Math.min(aFromMs ?? comparedBeforeMs, bFromMs ?? comparedBeforeMs)
  }
  return null
}
