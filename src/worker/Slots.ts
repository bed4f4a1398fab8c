import { type Gate, makeGate } from "../broker/Gate.ts"

/**
 * How many attempts this worker may have between the taking of a dispatch and the recording of its outcome. Some slots may be
 * kept for critical tasks, so that one that is due need not wait until a handler of another ends. One place is for a suspect:
 * of two in one process nobody could say which has killed it.
 */
export type Slots = {
  readonly total: number
  readonly free: () => number
  /** Free for tasks of any priority: what is kept for critical ones is not. */
  readonly open: () => number
  /** Suspects that may be taken: one or none. */
  readonly openToSuspects: () => number
  readonly take: (tasks: ReadonlyArray<SlotTaker>) => void
  readonly give: (tasks: ReadonlyArray<SlotTaker>) => void
  /** Has those look again who wait until something holds. */
  readonly changed: () => void
  readonly until: Gate["until"]
}

export type SlotTaker = { readonly isSuspect: boolean }

/** Suspects that a worker has at a time. */
const suspectsMax = 1

export const makeSlots = (options: {
  readonly total: number
  /** Below the total. */
  readonly keptForCritical: () => number
  readonly observe: (inUse: number) => void
}): Slots => {
  const { keptForCritical, observe, total } = options
  const gate = makeGate()
  let free = total
  let suspects = 0
  const suspectsOf = (tasks: ReadonlyArray<SlotTaker>) =>
    tasks.reduce((count, { isSuspect }) => (isSuspect ? count + 1 : count), 0)
  return {
    total,
    free: () => free,
    open: () => free - keptForCritical(),
    openToSuspects: () => suspectsMax - suspects,
    take: (tasks) => {
      free -= tasks.length
      suspects += suspectsOf(tasks)
      observe(total - free)
    },
    give: (tasks) => {
      free += tasks.length
      suspects -= suspectsOf(tasks)
      observe(total - free)
      gate.changed()
    },
    changed: gate.changed,
    until: gate.until
  }
}
