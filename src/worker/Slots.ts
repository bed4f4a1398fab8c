import { type Gate, makeGate } from "./Gate.ts"

/**
 * How many attempts this worker may have between the taking of a dispatch and the recording of its outcome. Some slots may be
 * kept for critical tasks, so that one that is due need not wait until a handler of another ends.
 */
export type Slots = {
  readonly total: number
  readonly free: () => number
  /** Free for tasks of any priority: what is kept for critical ones is not. */
  readonly open: () => number
  readonly take: (count: number) => void
  readonly give: (count: number) => void
  readonly until: Gate["until"]
}

export const makeSlots = (options: {
  readonly total: number
  /** Below the total. */
  readonly keptForCritical: () => number
  readonly observe: (inUse: number) => void
}): Slots => {
  const { keptForCritical, observe, total } = options
  const gate = makeGate()
  let free = total
  return {
    total,
    free: () => free,
    open: () => free - keptForCritical(),
    take: (count) => {
      free -= count
      observe(total - free)
    },
    give: (count) => {
      free += count
      observe(total - free)
      gate.changed()
    },
    until: gate.until
  }
}
