import type { Dispatch } from "./Broker.ts"

/** Dispatches of one priority, first in, first out: an array with a moving head; the dead front is cut off once it is the larger half. */
export class Lane {
  #dispatches: Array<Dispatch> = []
  #head = 0

  push(dispatch: Dispatch): void {
    this.#dispatches.push(dispatch)
  }

  pushFront(dispatch: Dispatch): void {
    if (this.#head > 0) this.#dispatches[--this.#head] = dispatch
    else this.#dispatches.unshift(dispatch)
  }

  moveTo(batch: Array<Dispatch>, max: number): void {
    while (batch.length < max) {
      const dispatch = this.#dispatches[this.#head]
      if (dispatch === undefined) break
      this.#head++
      batch.push(dispatch)
    }
    if (this.#head * 2 >= this.#dispatches.length) {
      this.#dispatches = this.#dispatches.slice(this.#head)
      this.#head = 0
    }
  }
}
