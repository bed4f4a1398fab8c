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

  // Both move a hole and write the entry once, where it stays: half of the writes of swapping.
  #siftUp(from: number): void {
    const entries = this.#entries
    const entry = entries[from]
    if (entry === undefined) return
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = entries[above]
      if (parent === undefined || !this.#isBefore(entry, parent)) break
      entries[index] = parent
      index = above
    }
    entries[index] = entry
  }

  #siftDown(from: number): void {
    const entries = this.#entries
    const entry = entries[from]
    if (entry === undefined) return
    let index = from
    for (;;) {
      let below = 2 * index + 1
      let child = entries[below]
      if (child === undefined) break
      const right = entries[below + 1]
      if (right !== undefined && this.#isBefore(right, child)) {
        child = right
        below++
      }
      if (!this.#isBefore(child, entry)) break
      entries[index] = child
      index = below
    }
    entries[index] = entry
  }
}
