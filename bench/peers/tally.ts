import type { BenchTask, Rank, Starts } from "./contestant.ts"

export type Tally = { readonly started: number; readonly missing: number; readonly startedTwice: number }

/** The first start of each task, by its number; NaN: never. What starts again is counted and no more. */
export const tallyOf = (
  starts: Pick<Starts, "n" | "atMs">,
  tasks: number
): Tally & { readonly firstAtMs: Float64Array } => {
  const firstAtMs = new Float64Array(tasks).fill(Number.NaN)
  let started = 0
  for (const [index, n] of starts.n.entries()) {
    if (!Number.isNaN(firstAtMs[n] ?? Number.NaN)) continue
    firstAtMs[n] = starts.atMs[index] ?? Number.NaN
    started++
  }
  return { firstAtMs, started, missing: tasks - started, startedTwice: starts.n.length - started }
}

/**
 * Whether the more urgent started first. A task passes another when it started before it and is less urgent; with so many handlers
 * at once a task may pass as many without the order having been anything but right. `outOfOrder` counts tasks that passed more.
 */
export const orderOf = (starts: Pick<Starts, "n">, tasks: ReadonlyArray<BenchTask>, concurrency: number) => {
  const ranks = Array.from(starts.n, (n) => tasks[n]?.rank ?? 0)
  const ahead = [0, 0, 0, 0]
  for (const rank of ranks) ahead[rank] = (ahead[rank] ?? 0) + 1
  let outOfOrder = 0
  const positions: Array<Array<number>> = [[], [], [], []]
  for (const [position, rank] of ranks.entries()) {
    ahead[rank] = (ahead[rank] ?? 0) - 1
    const moreUrgentLeft = ahead.slice(0, rank).reduce((sum, count) => sum + count, 0)
    if (moreUrgentLeft > concurrency) outOfOrder++
    positions[rank]?.push(position)
  }
  return { outOfOrder, meanPositionByRank: positions.map(meanOf) }
}

const meanOf = (values: ReadonlyArray<number>): number => values.reduce((sum, one) => sum + one, 0) / values.length

/** 1, 2, 3 and 4 tenths of the tasks from the most to the least urgent. */
export const drawRank = (random: () => number): Rank => {
  const drawn = random()
  return drawn < 0.1 ? 0 : drawn < 0.3 ? 1 : drawn < 0.6 ? 2 : 3
}
