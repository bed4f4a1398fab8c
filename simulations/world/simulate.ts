/** Many histories, one after the other: what held, what was met on the way, and the least history that breaks a sentence. */
import * as fc from "fast-check"
import { type Breakage, unbroken } from "./Breakage.ts"
import { faultTags, type History, histories, historyOf } from "./History.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { brokenIn } from "./invariants.ts"
import { windows, windowsOf } from "./windows.ts"
import { type Outcome, runHistory } from "./World.ts"

export type Failure = {
  readonly seed: number
  /** Of fast-check: leads from the seed's history to the shrunk one. */
  readonly path: string
  readonly history: History
  readonly broken: ReadonlyArray<Broken>
  readonly outcome: Outcome
}

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
  readonly #hashes = new Set<number>()

  add(outcome: Outcome, history: History): void {
    const { acknowledged, fired, lost, simulatedMs, stepsCount, streams, traceHash } = outcome
    for (const number of windowsOf(outcome, history)) this.windows.set(number, (this.windows.get(number) ?? 0) + 1)
    this.historiesCount++
    this.lostAcksCount += acknowledged.filter(({ id }) => lost.some(({ taskIds }) => taskIds.has(id))).length
    this.tasksCount += streams.length
    this.stepsCount += stepsCount
    this.simulatedMs += simulatedMs
    // 32 bits alone would take a few of 200,000 histories for each other.
    this.#hashes.add(traceHash * 2 ** 20 + (stepsCount % 2 ** 20))
    for (const [name, count] of fired) this.fired.set(name, (this.fired.get(name) ?? 0) + count)
    for (const { events } of streams) {
      if (events.at(-1)?._tag === "AttemptSucceeded") this.succeededCount++
      for (const { _tag } of events) this.events.set(_tag, (this.events.get(_tag) ?? 0) + 1)
    }
  }

  get distinctCount(): number {
    return this.#hashes.size
  }

  firedTags(): ReadonlySet<string> {
    return new Set([...this.fired.keys()].map((name) => name.split("@")[0] ?? name))
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
    const unmet = windows.filter(([number]) => (this.windows.get(number) ?? 0) < windowsMetMin)
    return unmet.length === 0
      ? null
      : `these windows were met less than ${windowsMetMin} times: ${unmet.map(([number, what]) => `${number} (${what})`).join(", ")}`
  }
}

/** Below this share of tasks that succeed, the faults have hidden everything else. */
const succeededShareMin = 0.3
/** In fewer histories some kind of fault may be missing by chance. */
export const coverageFromHistories = 100
/** As the reliability study asks of a night's run, which has many more histories. */
const windowsMetMin = 100
const windowsFromHistories = 20_000
/** Of a failing history: so long is a smaller one looked for. */
const shrinkMsMax = 20_000

/** Runs the history of a number; with a path the shrunk one. Null: all held. */
export const simulateOne = (
  seed: number,
  options: {
    readonly tally?: Tally
    readonly path?: string | undefined
    readonly breakage?: Breakage
    /** Runs it once more and asks for the same steps. */
    readonly isTwice?: boolean
  } = {}
): Failure | null => {
  const { breakage = unbroken, path } = options
  const history = path === undefined ? historyOf(seed) : shrunkHistoryOf(seed, path)
  const outcome = runHistory(history, breakage)
  options.tally?.add(outcome, history)
  if (options.isTwice === true) {
    const { stepsCount, traceHash } = runHistory(history, breakage)
    if (stepsCount !== outcome.stepsCount || traceHash !== outcome.traceHash) {
      const message = `took ${outcome.stepsCount} steps (trace ${outcome.traceHash}), and then ${stepsCount} (trace ${traceHash})`
      return { seed, path: path ?? "", history, outcome, broken: [{ id: "same-twice", taskId: null, message }] }
    }
  }
  return judged(seed, history, outcome, path)
}

/** Null: all sentences hold. */
export const judged = (seed: number, history: History, outcome: Outcome, path = ""): Failure | null => {
  const broken = brokenIn(outcome, history)
  return broken.length === 0 ? null : { seed, path, history, broken, outcome }
}

/** The least history found that breaks a sentence which the failing one breaks, too. */
export const shrink = (failure: Failure, breakage: Breakage = unbroken): Failure => {
  const ids = new Set(failure.broken.map(({ id }) => id))
  const details = fc.check(
    fc.property(
      histories,
      (history) => !brokenIn(runHistory(history, breakage), history).some(({ id }) => ids.has(id))
    ),
    { seed: failure.seed, numRuns: 1, interruptAfterTimeLimit: shrinkMsMax }
  )
  if (details.counterexample === null || details.counterexamplePath === null) return failure
  const [history] = details.counterexample
  const outcome = runHistory(history, breakage)
  return { ...failure, path: details.counterexamplePath, history, outcome, broken: brokenIn(outcome, history) }
}

const shrunkHistoryOf = (seed: number, path: string): History => {
  const [history] = fc.sample(histories, { seed, path, numRuns: 1 })
  if (history === undefined) throw new Error(`seed ${seed} has no history at the path ${path}`)
  return history
}
