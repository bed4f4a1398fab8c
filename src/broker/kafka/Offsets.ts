/**
 * What has been handled of one partition in one membership of the consumer group. Kafka keeps a single number per
 * partition, everything below it is done; dispatches are done in any order, so the number may rise to the lowest that is not.
 * What lies above it when the consumer dies comes again, and is harmless: a hint may repeat.
 */
export class Offsets {
  /** In the order of arrival, which is that of the offsets. */
  readonly #open = new Set<number>()
  /** The next one to arrive; undefined before the first. */
  #position: number | undefined
  #committed: number | undefined

  get position(): number | undefined {
    return this.#position
  }

  /**
   * False: it lies before what arrived already, so the group has been reset (a topic made anew, an offset set by
   * hand), and this partition begins anew.
   */
  arrived(offset: number): boolean {
    const goesOn = this.#position === undefined || offset >= this.#position
    if (!goesOn) this.#open.clear()
    if (!goesOn) this.#committed = undefined
    this.#open.add(offset)
    this.#position = offset + 1
    return goesOn
  }

  done(offset: number): void {
    this.#open.delete(offset)
  }

  /** What may be committed and is not yet. */
  get uncommitted(): number | undefined {
    const [lowest] = this.#open
    const next = lowest ?? this.#position
    return next === this.#committed ? undefined : next
  }

  committed(offset: number): void {
    this.#committed = offset
  }
}
