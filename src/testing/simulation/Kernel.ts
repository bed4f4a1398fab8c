/**
 * One history's world: a virtual clock, the tasks that are ready to run, and the timers. It runs fibers synchronously, picks the
 * next one by the seed and never meets the event loop, so a seed decides every step.
 *
 * Every task and timer belongs to an incarnation of a node, or to nobody (the world itself). A crash marks the incarnation dead:
 * what it had ready or armed is dropped when its turn comes, so none of its fibers runs again and no finalizer does.
 */
import { Heap } from "../../store/memory/Heap.ts"
import { Chance, hashOf, hashOfNumber } from "./chance.ts"

/** The clocks of Berlin go back by an hour: ms since 1970. */
export const clocksGoBackMs = Date.UTC(2027, 9, 31, 1)
/** When each history begins: shortly before, so that every recurrence meets an hour that comes twice. */
export const epochMs = clocksGoBackMs - 6_000

export type Owner = { readonly name: string; isAlive: boolean; pausedUntilMs: number }

/** The world's own: never dead, never paused. */
export const world: Owner = { name: "world", isAlive: true, pausedUntilMs: 0 }

type Ready = { readonly owner: Owner; readonly run: () => void }
type Timer = { atMs: number; order: number; readonly owner: Owner; run: (() => void) | null }

export class Kernel {
  readonly chance: Chance
  /** Ms since the history began. */
  nowMs = 0
  stepsCount = 0
  /** Of everything noted so far. */
  traceHash = 0
  readonly #pick: () => number
  #order = 0
  #ready: Array<Ready> = []
  readonly #timers = new Heap<Timer>(
    (one, other) => one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)
  )

  constructor(seed: number) {
    this.chance = new Chance(seed)
    this.#pick = this.chance.drawsOf("pick")
  }

  /** Into the trace: two runs of one seed must note the same. */
  note(what: string): void {
    this.traceHash = hashOf(what, hashOfNumber(this.nowMs, this.traceHash))
  }

  schedule(owner: Owner, run: () => void): void {
    this.#ready.push({ owner, run })
  }

  /** Returns what disarms it. */
  at(owner: Owner, atMs: number, run: () => void): () => void {
    const timer: Timer = { atMs: Math.max(this.nowMs, atMs), order: this.#order++, owner, run }
    this.#timers.push(timer)
    return () => {
      timer.run = null
    }
  }

  after(owner: Owner, ms: number, run: () => void): () => void {
    return this.at(owner, this.nowMs + ms, run)
  }

  /** It has taken more steps than any history takes: something spins, and it was left there. */
  get isRestless(): boolean {
    return this.stepsCount > stepsMax
  }

  /** Until that time, or until it is over, asked at every instant; or until it is restless. */
  runUntil(untilMs: number, isOver: () => boolean = () => false): void {
    while (true) {
      this.#drain()
      if (this.isRestless) return
      const next = this.#timers.peek()
      if (next === undefined || next.atMs > untilMs || isOver()) break
      this.#timers.pop()
      this.nowMs = next.atMs
      this.#fire(next.owner, next)
    }
    this.nowMs = Math.max(this.nowMs, Math.min(untilMs, this.#timers.peek()?.atMs ?? untilMs))
  }

  #fire(owner: Owner, timer: Timer): void {
    const { run } = timer
    if (run === null || !owner.isAlive) return
    if (owner.pausedUntilMs > this.nowMs) {
      // The same entry, so that whoever armed it can still disarm it.
      timer.atMs = owner.pausedUntilMs
      timer.order = this.#order++
      this.#timers.push(timer)
      return
    }
    this.schedule(owner, () => timer.run?.())
  }

  #drain(): void {
    while (this.#ready.length > 0) {
      this.stepsCount++
      if (this.isRestless) return
      const index = this.#ready.length === 1 ? 0 : Math.floor(this.#pick() * this.#ready.length)
      const task = this.#ready[index]
      const last = this.#ready.pop()
      if (task === undefined || last === undefined) return
      if (index < this.#ready.length) this.#ready[index] = last
      const { owner, run } = task
      if (!owner.isAlive) continue
      if (owner.pausedUntilMs > this.nowMs) this.at(owner, owner.pausedUntilMs, run)
      else run()
    }
  }
}

/** A history takes some thousands, the longest ones 10^5; a fiber that spins would take for ever. */
export const stepsMax = 1_000_000
