/** Every leg of every scenario, one crash at a time, and every pair of legs of the shortest ones. */
import type { Breakage } from "../world/Breakage.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import type { Leg } from "../../src/testing/simulation/LegCut.ts"
import { type Ran, roleOf, runScenario } from "./crashAt.ts"
import type { Scenario } from "./Scenario.ts"

export type LegFailure = {
  readonly scenario: string
  /** Empty: it breaks without any crash. */
  readonly legNumbers: ReadonlyArray<number>
  readonly cut: ReadonlyArray<Leg>
  readonly broken: ReadonlyArray<Broken>
}

export type LegsOfScenario = {
  readonly name: string
  readonly what: string
  readonly legsCount: number
  /** Of the undisturbed run, by who calls and what: `engine claim`. */
  readonly legsByCall: Readonly<Record<string, number>>
  /** Legs at which somebody was killed, one run each. */
  readonly crashedCount: number
  readonly pairsCount: number
  readonly failuresCount: number
  readonly firstFailures: ReadonlyArray<LegFailure>
}

/** Failures of a scenario that are kept and told in full. */
const failuresKeptMax = 3

/**
 * One run after another, so that whoever asks can stop between two.
 *
 * @param pairs also the pairs of the scenarios that ask for them
 * @yields after every run what has been found so far
 */
export function* runLegs(
  scenario: Scenario,
  { breakage, pairs }: { readonly breakage?: Breakage | undefined; readonly pairs: boolean }
): Generator<LegsOfScenario, LegsOfScenario> {
  const failures: Array<LegFailure> = []
  let failuresCount = 0
  let crashedCount = 0
  let pairsCount = 0
  const ran = (legNumbers: ReadonlyArray<number>): Ran => {
    const run = runScenario(scenario, legNumbers, breakage)
    if (run.broken.length > 0) {
      failuresCount++
      const { broken, cut } = run
      if (failures.length < failuresKeptMax) failures.push({ scenario: scenario.name, legNumbers, cut, broken })
    }
    return run
  }
  const { legs } = ran([])
  const legsByCall: Record<string, number> = {}
  for (const leg of legs) {
    const call = `${roleOf(scenario, leg)} ${leg.operation}`
    legsByCall[call] = (legsByCall[call] ?? 0) + 1
  }
  const soFar = (): LegsOfScenario => ({
    name: scenario.name,
    what: scenario.what,
    legsCount: legs.length,
    legsByCall,
    crashedCount,
    pairsCount,
    failuresCount,
    firstFailures: failures
  })
  yield soFar()
  for (let first = 1; first <= legs.length; first++) {
    const run = ran([first])
    crashedCount += run.cut.length
    yield soFar()
    if (!pairs || scenario.isPaired !== true) continue
    // The legs after a crash are those of the run with it: lives that began again have theirs, too.
    for (let second = first + 1; second <= run.legs.length; second++) {
      if (ran([first, second]).cut.length === 2) pairsCount++
      yield soFar()
    }
  }
  return soFar()
}
