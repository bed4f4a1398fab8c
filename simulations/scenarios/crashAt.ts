/** A scenario without a crash, with its legs counted; and again with whoever passes a leg killed there. */
import { fold } from "../../src/core/evolve.ts"
import { type Breakage, unbroken } from "../world/Breakage.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { brokenIn } from "../world/invariants.ts"
import type { Leg } from "../../src/testing/simulation/LegCut.ts"
import { type Outcome, runHistory } from "../world/World.ts"
import type { Scenario } from "./Scenario.ts"

export type Ran = {
  /** All legs that were passed, in order: the nth has the number n. */
  readonly legs: ReadonlyArray<Leg>
  /** Where somebody was killed. */
  readonly cut: ReadonlyArray<Leg>
  readonly outcome: Outcome
  readonly broken: ReadonlyArray<Broken>
}

/** Shorter than a lease: whoever comes back finds what it held still held by its former life. */
export const downMs = 1_000

/** @param legNumbers from 1: whoever passes the leg of that number dies there */
export const runScenario = (
  { endsAs, history, shows }: Scenario,
  legNumbers: ReadonlyArray<number>,
  breakage: Breakage = unbroken
): Ran => {
  const legs: Array<Leg> = []
  const cut: Array<Leg> = []
  const outcome = runHistory(history, breakage, (leg) => {
    const number = legs.push(leg)
    if (!legNumbers.includes(number)) return null
    cut.push(leg)
    return downMs
  })
  const broken = [...brokenIn(outcome, history)]
  const first = outcome.acknowledged.find(({ index }) => index === 0)
  const events = outcome.streams.find(({ taskId }) => taskId === first?.id)?.events ?? []
  const stage = fold(events)?.stage
  const taskId = first?.id ?? null
  if (stage === undefined || !endsAs.includes(stage)) {
    broken.push({ id: "scenario", taskId, message: `ends as ${stage ?? "nothing"} and not as ${endsAs.join(" or ")}` })
  }
  if (legNumbers.length === 0) {
    let found = 0
    for (const { _tag } of events) if (_tag === shows[found]) found++
    if (found < shows.length) {
      const message = `does not show ${shows.join(", ")}: ${events.map(({ _tag }) => _tag).join(", ")}`
      broken.push({ id: "scenario", taskId, message })
    }
  }
  return { legs, cut, outcome, broken }
}

/** A node by what it is, whatever life it is in. */
export const roleOf = ({ history }: Scenario, { owner }: Leg): string => {
  if (owner.startsWith("client")) return "client"
  return history.roles?.[Number(owner.slice(1).split(".")[0])] ?? "both"
}
