/** Binary min-heap: the least entry in O(1), insert and remove in O(log n). */
export class Heap<A> {
  readonly #isBefore: (one: A, other: A) => boolean
  #entries: Array<A> = []

  constructor(isBefore: (one: A, other: A) => boolean) {
    this.#isBefore = isBefore
  }

  get size(): number {
    return this.#entries.length
  }

  /** In no particular order. */
  get entries(): ReadonlyArray<A> {
    return this.#entries
  }

  peek(): A | undefined {
    return this.#entries[0]
  }

  push(entry: A): void {
    this.#entries.push(entry)
    this.#siftUp(this.#entries.length - 1)
  }

  pop(): A | undefined {
    const least = this.#entries[0]
    const last = this.#entries.pop()
    if (last !== undefined && this.#entries.length > 0) {
      this.#entries[0] = last
      this.#siftDown(0)
    }
    return least
  }

  /** Drops every other entry and rebuilds the heap in O(n). */
  retain(keeps: (entry: A) => boolean): void {
    this.#entries = this.#entries.filter(keeps)
    for (let index = (this.#entries.length >> 1) - 1; index >= 0; index--) this.#siftDown(index)
  }

  #siftUp(from: number): void {
    const entries = this.#entries
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!this.#swapIfBefore(index, parent, entries)) return
      index = parent
    }
  }

  #siftDown(from: number): void {
    const entries = this.#entries
    let index = from
    for (;;) {
      const left = 2 * index + 1
      if (left >= entries.length) return
      const child = left + 1 < entries.length && this.#precedes(left + 1, left, entries) ? left + 1 : left
      if (!this.#swapIfBefore(child, index, entries)) return
      index = child
    }
  }

  #precedes(index: number, other: number, entries: ReadonlyArray<A>): boolean {
    const one = entries[index]
    const two = entries[other]
    return one !== undefined && two !== undefined && this.#isBefore(one, two)
  }

  #swapIfBefore(lower: number, upper: number, entries: Array<A>): boolean {
    const one = entries[lower]
    const two = entries[upper]
    if (one === undefined || two === undefined || !this.#isBefore(one, two)) return false
    entries[upper] = one
    entries[lower] = two
    return true
  }
}
