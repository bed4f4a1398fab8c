/** Many histories, one after the other: what held, what was met on the way, and the least history that breaks a sentence. */
import * as fc from "fast-check"
import { type Breakage, unbroken } from "./Breakage.ts"
import { type History, histories, historyOf } from "./History.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { brokenIn } from "./invariants.ts"
import type { Tally } from "./Tally.ts"
import { type Outcome, runHistory } from "./World.ts"

export type Failure = {
  readonly seed: number
  /** Of fast-check: leads from the seed's history to the shrunk one. */
  readonly path: string
  readonly history: History
  readonly broken: ReadonlyArray<Broken>
  readonly outcome: Outcome
}

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
  const outcome = ran(seed, history, breakage)
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

/** Of many histories on several threads an error has to say which one it is of. */
const ran = (seed: number, history: History, breakage: Breakage): Outcome => {
  try {
    return runHistory(history, breakage)
  } catch (cause) {
    throw new Error(`seed ${seed} cannot be run: ${String(cause)}`, { cause })
  }
}

/** Null: all sentences hold. */
export const judged = (seed: number, history: History, outcome: Outcome, path = ""): Failure | null => {
  const broken = brokenIn(outcome, history)
  return broken.length === 0 ? null : { seed, path, history, broken, outcome }
}

/** Of a history that was run elsewhere, and what it broke there. */
export const failureOf = (
  seed: number,
  broken: ReadonlyArray<Broken>,
  { breakage, path }: { readonly path: string | undefined; readonly breakage: Breakage }
): Failure => {
  const history = path === undefined ? historyOf(seed) : shrunkHistoryOf(seed, path)
  return { seed, path: path ?? "", history, broken, outcome: runHistory(history, breakage) }
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
