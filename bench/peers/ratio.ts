/** The middle one, or the mean of the two in the middle; NaN of nothing. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export type Spread = { readonly median: number; readonly min: number; readonly max: number; readonly runs: number }

export const spreadOf = (values: ReadonlyArray<number>): Spread => ({
  median: median(values),
  min: Math.min(...values),
  max: Math.max(...values),
  runs: values.length
})

export type Interval = { readonly median: number; readonly low: number; readonly high: number; readonly runs: number }

const resamples = 1_000

/**
 * The median and its 95 % interval by the percentile bootstrap (Efron, 1979): medians of 1,000 samples drawn with replacement, of
 * which the middle 95 % are kept. With n runs it cannot leave their range, and with fewer than five it says little: it comes beside
 * the number of runs.
 */
export const intervalOf = (values: ReadonlyArray<number>, random: () => number): Interval => {
  const draw = () => values[Math.floor(random() * values.length)] ?? Number.NaN
  const medians = Array.from({ length: resamples }, () => median(values.map(draw))).toSorted(
    (left, right) => left - right
  )
  const at = (share: number) => medians[Math.min(resamples - 1, Math.floor(share * resamples))] ?? Number.NaN
  return { median: median(values), low: at(0.025), high: at(0.975), runs: values.length }
}

/** Of the rounds in which both ran, round by round, because a machine that is slower for a while slows both. */
export const ratiosOf = (
  over: ReadonlyArray<number | null>,
  under: ReadonlyArray<number | null>
): ReadonlyArray<number> =>
  over.flatMap((one, round) => {
    const other = under[round] ?? null
    return one === null || other === null ? [] : [one / other]
  })
