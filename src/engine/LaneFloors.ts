import { type Priority, priorities, rankOf } from "../core/Priority.ts"

/**
 * What the lower lanes of a queue are owed while more urgent ones take all there is to give.
 *
 * Claims go strictly by priority, so under a flood of critical tasks a low one would wait for ever. Each lane below the
 * first is therefore owed a tenth of what the lanes above it get, as long as claims are cut by their limit, which is how
 * an engine sees that more is due than it may take. What is owed is claimed by itself, from that lane alone (deficit
 * round robin, Shreedhar and Varghese 1995, with one queue per lane).
 *
 * Ageing: a lane whose oldest task has waited long is owed more, up to a quarter.
 */
export class LaneFloors {
  readonly #owed: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }
  readonly #oldestLateMs: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }

  /** Whole tasks that the lane may claim beside the others. */
  owed(priority: Priority): number {
    return Math.floor(this.#owed[priority])
  }

  /** A claim over all lanes has brought these tasks. Not cut: nothing waits behind it, and nobody is owed anything. */
  observe(claimed: ReadonlyArray<Claimed>, isCut: boolean): void {
    if (!isCut) {
      for (const priority of priorities) this.#settle(priority)
      return
    }
    const counts = countIn(claimed)
    let above = 0
    for (const priority of priorities) {
      if (above > 0) {
        const owed = this.#owed[priority] + above * shareOf(this.#oldestLateMs[priority]) - counts[priority]
        this.#owed[priority] = Math.min(owedTasksMax, Math.max(0, owed))
      }
      above += counts[priority]
    }
  }

  /** A claim of what the lane was owed has brought these tasks, late by now as they are; fewer than asked for: it is empty. */
  observeFloor(priority: Priority, claimed: ReadonlyArray<Claimed>, isCut: boolean, nowMs: number): void {
    if (!isCut) return this.#settle(priority)
    this.#owed[priority] = Math.max(0, this.#owed[priority] - claimed.length)
    const oldestDueAtMs = claimed.reduce((oldest, { dueAtMs }) => Math.min(oldest, dueAtMs), nowMs)
    this.#oldestLateMs[priority] = nowMs - oldestDueAtMs
  }

  #settle(priority: Priority): void {
    this.#owed[priority] = 0
    this.#oldestLateMs[priority] = 0
  }
}

type Claimed = { readonly priority: Priority; readonly dueAtMs: number }

/** The lanes that have a floor, most urgent first. */
export const flooredLanes: ReadonlyArray<Priority> = priorities.filter((priority) => rankOf(priority) > 0)

/** Of what the lanes above get: with two lanes 9 % of all claims, to leave the lowest more than 5 % of the starts. */
const floorShare = 1 / 10
/** Largest share of a lane that has waited long. */
const agedShareMax = 1 / 4
/** A lane is owed one more floor for each time its oldest task has waited this long. */
const ageingMs = 10_000
/** A lane that could not take what it was owed does not get it all at once later. */
const owedTasksMax = 100

const shareOf = (oldestLateMs: number): number => Math.min(agedShareMax, floorShare * (1 + oldestLateMs / ageingMs))

const countIn = (claimed: ReadonlyArray<Claimed>): Record<Priority, number> => {
  const counts = { critical: 0, high: 0, normal: 0, low: 0 }
  for (const { priority } of claimed) counts[priority]++
  return counts
}
