import type { InterleavingResult } from "./runInterleaving.ts"
import type { Compared } from "./sequence.ts"

/** Figures over a run. */
export class Tally {
  sequencesCount = 0
  operationsCount = 0
  interleavingsCount = 0
  /** With a request that was seen to wait for another session's. */
  blockedCount = 0
  releasesCount = 0
  readonly facts = new Map<string, number>()
  readonly operations = new Map<string, number>()
  /** Operations that met each other. */
  readonly pairs = new Map<string, number>()
  readonly #traces = new Set<string>()
  readonly #beganAtMs = performance.now()
  #toldAtMs = this.#beganAtMs

  addSequence({ facts, operations }: Compared): void {
    this.sequencesCount++
    this.operationsCount += operations.length
    for (const [tag, count] of facts) add(this.facts, tag, count)
    for (const { tag } of operations) add(this.operations, tag, 1)
  }

  addInterleaving({ blockedCount, before, done, trace }: InterleavingResult): void {
    this.interleavingsCount++
    this.releasesCount += trace.length
    if (blockedCount > 0) this.blockedCount++
    this.#traces.add(JSON.stringify([before, done.map(({ operation }) => operation), trace]))
    const tags = done.map(({ operation }) => operation.tag).toSorted()
    for (const [index, one] of tags.entries())
      for (const other of tags.slice(index + 1)) add(this.pairs, `${one} and ${other}`, 1)
  }

  get distinctInterleavingsCount(): number {
    return this.#traces.size
  }

  isToTell(everyMs: number): boolean {
    const nowMs = performance.now()
    if (nowMs - this.#toldAtMs < everyMs) return false
    this.#toldAtMs = nowMs
    return true
  }

  get seconds(): number {
    return (performance.now() - this.#beganAtMs) / 1_000
  }

  sequencesText(of: number): string {
    const rate = (this.sequencesCount / this.seconds).toFixed(1)
    return `${this.sequencesCount}/${of} sequences, ${this.operationsCount} operations, ${rate} sequences a second`
  }

  interleavingsText(of: number): string {
    return `${this.interleavingsCount}/${of} interleavings, ${this.releasesCount} requests released, ${this.blockedCount} with one that was blocked`
  }
}

const add = (counts: Map<string, number>, name: string, count: number): void =>
  void counts.set(name, (counts.get(name) ?? 0) + count)
