/** The least history that breaks what the failing one breaks: faults and tasks are taken away while it still does. */
import type { PlannedHistory } from "./runPlanned.ts"

/** Histories run for it, so that it takes some seconds, and the same ones each time. */
export const shrinkRunsMax = 300

export const shrinkPlanned = (
  failing: PlannedHistory,
  stillFails: (history: PlannedHistory) => boolean
): PlannedHistory => {
  let least = failing
  const budget = { runsLeft: shrinkRunsMax }
  const tries = (smaller: PlannedHistory): boolean => {
    if (budget.runsLeft-- <= 0 || !stillFails(smaller)) return false
    least = smaller
    return true
  }
  /** Halves first, then smaller and smaller parts, in turns until nothing can be taken away. */
  const without = <A>(all: () => ReadonlyArray<A>, withOnly: (left: ReadonlyArray<A>) => PlannedHistory): boolean => {
    let hasShrunk = false
    let size = Math.ceil(all().length / 2)
    while (size >= 1 && budget.runsLeft > 0) {
      let from = 0
      while (from < all().length && budget.runsLeft > 0) {
        if (tries(withOnly(all().toSpliced(from, size)))) hasShrunk = true
        else from += size
      }
      if (size === 1) break
      size = Math.ceil(size / 2)
    }
    return hasShrunk
  }
  let goesOn = true
  while (goesOn && budget.runsLeft > 0) {
    const hasLessFaults = without(
      () => least.faults,
      (faults) => ({ ...least, faults })
    )
    const hasLessTasks = without(
      () => least.tasks,
      (tasks) => ({ ...least, tasks })
    )
    goesOn = hasLessFaults || hasLessTasks
  }
  return least
}
