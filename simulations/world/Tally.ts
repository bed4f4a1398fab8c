/** What the histories of a run had in them, and whether that is enough for the run to show something. */
import { faultTags, type History } from "./History.ts"
import { windows, windowsOf } from "./windows.ts"
import type { Outcome } from "./World.ts"

/** Figures over the histories of a run. */
export class Tally {
  historiesCount = 0
  tasksCount = 0
  succeededCount = 0
  /** Tasks that were acknowledged, and that a failover or restore then took. */
  lostAcksCount = 0
  stepsCount = 0
  simulatedMs = 0
  /** Faults that had an effect, by `tag@step`. */
  readonly fired = new Map<string, number>()
  /** Histories in which each window of the protocol was met. */
  readonly windows = new Map<number, number>()
  /** Events by their tag. */
  readonly events = new Map<string, number>()
  /** Of traces. */
  readonly hashes = new Set<number>()

  add(outcome: Outcome, history: History): void {
    const { acknowledged, fired, lost, simulatedMs, stepsCount, streams, traceHash } = outcome
    for (const number of windowsOf(outcome, history)) this.windows.set(number, (this.windows.get(number) ?? 0) + 1)
    this.historiesCount++
    this.lostAcksCount += acknowledged.filter(({ id }) => lost.some(({ taskIds }) => taskIds.has(id))).length
    this.tasksCount += streams.length
    this.stepsCount += stepsCount
    this.simulatedMs += simulatedMs
    // 32 bits alone would take a few of 200,000 histories for each other.
    this.hashes.add(traceHash * 2 ** 20 + (stepsCount % 2 ** 20))
    for (const [name, count] of fired) this.fired.set(name, (this.fired.get(name) ?? 0) + count)
    for (const { events } of streams) {
      if (events.at(-1)?._tag === "AttemptSucceeded") this.succeededCount++
      for (const { _tag } of events) this.events.set(_tag, (this.events.get(_tag) ?? 0) + 1)
    }
  }

  /** What another thread has counted, in histories of other numbers. */
  merge(other: Counts): void {
    this.historiesCount += other.historiesCount
    this.tasksCount += other.tasksCount
    this.succeededCount += other.succeededCount
    this.lostAcksCount += other.lostAcksCount
    this.stepsCount += other.stepsCount
    this.simulatedMs += other.simulatedMs
    for (const hash of other.hashes) this.hashes.add(hash)
    addAll(this.fired, other.fired)
    addAll(this.windows, other.windows)
    addAll(this.events, other.events)
  }

  get distinctCount(): number {
    return this.hashes.size
  }

  firedTags(): ReadonlySet<string> {
    return new Set([...this.fired.keys()].map((name) => name.split("@")[0] ?? name))
  }

  /** Windows met less often than asked, of which a run with less histories has to have its share. */
  seldomWindows(): typeof windows {
    const metMin = windowsMetMin * Math.min(1, this.historiesCount / windowsFromHistories)
    return windows.filter(([number]) => (this.windows.get(number) ?? 0) < metMin)
  }

  /** Why the run shows nothing, though nothing broke; null if it does show something. */
  voidReason(): string | null {
    if (this.succeededCount < this.tasksCount * succeededShareMin) {
      return `only ${this.succeededCount} of ${this.tasksCount} tasks succeeded`
    }
    if (this.historiesCount < coverageFromHistories) return null
    const missing = faultTags.filter((tag) => !this.firedTags().has(tag))
    if (missing.length > 0) return `these faults never struck: ${missing.join(", ")}`
    if (this.historiesCount < windowsFromHistories) return null
    const unmet = this.seldomWindows()
    return unmet.length === 0
      ? null
      : `these windows were met less than ${windowsMetMin} times: ${unmet.map(([number, what]) => `${number} (${what})`).join(", ")}`
  }
}

/** What a tally says, as it goes from one thread to another. */
export type Counts = Pick<
  Tally,
  | "historiesCount"
  | "tasksCount"
  | "succeededCount"
  | "lostAcksCount"
  | "stepsCount"
  | "simulatedMs"
  | "fired"
  | "windows"
  | "events"
  | "hashes"
>

const addAll = <Key>(counts: Map<Key, number>, others: ReadonlyMap<Key, number>): void => {
  for (const [key, count] of others) counts.set(key, (counts.get(key) ?? 0) + count)
}

/** Below this share of tasks that succeed, the faults have hidden everything else. */
const succeededShareMin = 0.3
/** In fewer histories some kind of fault may be missing by chance. */
const coverageFromHistories = 100
/** As the reliability study asks of a night's run, which has many more histories. */
const windowsMetMin = 100
const windowsFromHistories = 20_000
