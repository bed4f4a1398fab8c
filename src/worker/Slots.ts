import { type Gate, makeGate } from "./Gate.ts"

/** How many attempts this worker may have between the taking of a dispatch and the recording of its outcome. */
export type Slots = {
  readonly total: number
  readonly free: () => number
  readonly take: (count: number) => void
  readonly give: (count: number) => void
  readonly until: Gate["until"]
}

export const makeSlots = (total: number): Slots => {
  const gate = makeGate()
  let free = total
  return {
    total,
    free: () => free,
    take: (count) => {
      free -= count
    },
    give: (count) => {
      free += count
      gate.changed()
    },
    until: gate.until
  }
}
