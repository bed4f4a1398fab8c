import { type Priority, priorities, rankOf } from "../core/Priority.ts"

/** How many dispatches a worker has room for. */
export type Room = {
  /** At most so many. */
  readonly dispatchesMax: number
  /** At most so many of them that are not critical: the rest of the slots is kept for those that are. */
  readonly nonCriticalMax: number
}

/**
 * Dispatches that wait to be taken, first in, first out in a lane for each priority. The most urgent lane goes first, but a
 * lower one that was passed over nine times has the next turn: what an engine has published by its own weights must not
 * starve at the last step.
 */
export class DispatchLanes<A extends { readonly priority: Priority }> {
  readonly #lanes: ReadonlyArray<Lane<A>> = priorities.map(() => new Lane<A>())

  get size(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.size, 0)
  }

  push(dispatch: A): void {
    this.#lanes[rankOf(dispatch.priority)]?.push(dispatch)
  }

  /** Back to where it was taken from. */
  pushFront(dispatch: A): void {
    this.#lanes[rankOf(dispatch.priority)]?.pushFront(dispatch)
  }

  /** Whether `take` would bring something. */
  hasFor({ dispatchesMax, nonCriticalMax }: Room): boolean {
    return dispatchesMax > 0 && this.#lanes.some((lane, rank) => lane.size > 0 && (rank === 0 || nonCriticalMax > 0))
  }

  take(room: Room): ReadonlyArray<A> {
    const batch: Array<A> = []
    let nonCriticalLeft = room.nonCriticalMax
    while (batch.length < room.dispatchesMax) {
      const waiting = this.#lanes.filter((lane, rank) => lane.size > 0 && (rank === 0 || nonCriticalLeft > 0))
      const [first, ...lower] = waiting
      if (first === undefined) break
      const lane = lower.find(({ passedOver }) => passedOver >= passedOverMax) ?? first
      for (const other of lower) if (other !== lane) other.passedOver++
      const dispatch = lane.shift()
      if (dispatch === undefined) break
      if (lane !== this.#lanes[0]) nonCriticalLeft--
      batch.push(dispatch)
    }
    return batch
  }

  /** Takes out all for which this holds. */
  remove(isMeant: (dispatch: A) => boolean): ReadonlyArray<A> {
    return this.#lanes.flatMap((lane) => lane.remove(isMeant))
  }
}

/** Then one of ten comes from each lower lane that waits: more than the twentieth of the starts that the lowest is promised. */
const passedOverMax = 9

/** An array with a moving head; the dead front is cut off once it is the larger half. */
class Lane<A> {
  /** Dispatches taken from other lanes since the last one from here. */
  passedOver = 0
  #dispatches: Array<A> = []
  #head = 0

  get size(): number {
    return this.#dispatches.length - this.#head
  }

  push(dispatch: A): void {
    this.#dispatches.push(dispatch)
  }

  pushFront(dispatch: A): void {
    if (this.#head > 0) this.#dispatches[--this.#head] = dispatch
    else this.#dispatches.unshift(dispatch)
  }

  shift(): A | undefined {
    const dispatch = this.#dispatches[this.#head]
    if (dispatch === undefined) return undefined
    this.passedOver = 0
    this.#head++
    if (this.#head * 2 >= this.#dispatches.length) {
      this.#dispatches = this.#dispatches.slice(this.#head)
      this.#head = 0
    }
    return dispatch
  }

  remove(isMeant: (dispatch: A) => boolean): ReadonlyArray<A> {
    const waiting = this.#dispatches.slice(this.#head)
    this.#dispatches = waiting.filter((dispatch) => !isMeant(dispatch))
    this.#head = 0
    return waiting.filter(isMeant)
  }
}
