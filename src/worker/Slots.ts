import { type Gate, makeGate } from "./Gate.ts"

/** How many attempts this worker may have between the taking of a dispatch and the recording of its outcome. */
export type Slots = {
  readonly total: number
  readonly free: () => number
  readonly take: (count: number) => void
  readonly give: (count: number) => void
  readonly until: Gate["until"]
}

export const makeSlots = (total: number, observe: (inUse: number) => void): Slots => {
  const gate = makeGate()
  let free = total
  return {
    total,
    free: () => free,
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
