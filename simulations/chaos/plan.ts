/**
 * What is done to the system, and when: drawn from the seed before the run begins. Two phases. In the first processes of duetime
 * die and freeze while both stores are up, so that repairs can be timed; in the second the stores and the network to them fail as
 * well. Clocks of nodes jump in both.
 *
 * Faults stand in lanes (lanes.ts). Those of one lane follow each other, however long each takes; lanes do not wait for each other.
 */
import { type Action, leaseMs, type Phase } from "./Action.ts"
import { between, draw } from "./draw.ts"
import { type Lane, lanes } from "./lanes.ts"

export type Fault = { readonly phase: Phase; readonly lane: string; readonly atMs: number; readonly action: Action }

export type Plan = {
  readonly seed: number
  readonly durationMs: number
  /** Of the load that goes on over both phases: what is killed by then is repaired before a store fails. */
  readonly phases: Readonly<Record<Phase, { readonly fromMs: number; readonly untilMs: number }>>
  readonly faults: ReadonlyArray<Fault>
}

/** The load runs this long before the first fault. */
const calmMs = 1_000
/** Between the phases, and at the end of the load, so that not much is left to be done after it: a lease, two seconds of repair, the longest restart. */
const repairMs = leaseMs + 4_000

export const planOf = (seed: number, minutes: number): Plan => {
  const durationMs = minutes * 60_000
  const halfMs = durationMs / 2
  const phases = {
    kills: { fromMs: calmMs, untilMs: halfMs - repairMs },
    stores: { fromMs: halfMs, untilMs: durationMs - repairMs }
  }
  const faults = lanes.flatMap((lane) => faultsOf(seed, lane, phases[lane.phase]))
  return { seed, durationMs, phases, faults: faults.toSorted((left, right) => left.atMs - right.atMs) }
}

const faultsOf = (seed: number, lane: Lane, { fromMs, untilMs }: { fromMs: number; untilMs: number }) => {
  const { everyMs, name, phase, round } = lane
  const faults: Array<Fault> = []
  let atMs = fromMs
  for (let n = 0; ; n++) {
    const drawn = (what: string) => draw(seed, phase, name, n, what)
    const [from, to] = everyMs
    // The first of a lane comes soon.
    atMs += Math.floor(n === 0 ? drawn("gap") * 2_000 : between(drawn("gap"), from, to))
    if (atMs >= untilMs) return faults
    const order = orderOf(seed, lane, Math.floor(n / round.length))
    const make = order[n % round.length]
    if (make !== undefined) faults.push({ phase, lane: name, atMs, action: make(drawn) })
  }
}

const orderOf = (seed: number, { name, phase, round }: Lane, turn: number) =>
  round
    .map((make, index) => ({ make, rank: draw(seed, phase, name, "order", turn, index) }))
    .toSorted((left, right) => left.rank - right.rank)
    .map(({ make }) => make)
