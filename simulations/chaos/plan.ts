/**
 * What is done to the system, and when: drawn from the seed before the run begins. Two phases. In the first processes of duetime
 * die and freeze while both stores are up, so that repairs can be timed; in the second the stores fail as well.
 *
 * Faults stand in lanes. Those of one lane follow each other, however long each takes; lanes do not wait for each other.
 */
import { between, draw } from "./draw.ts"

export const leaseMs = 5_000

export type Role = "engine" | "worker"

export type Action =
  /** SIGKILL, and a new process after a while. */
  | { readonly _tag: "Kill"; readonly role: Role; readonly member: number; readonly downMs: number }
  /** The new process is killed as well, while it starts or recovers. */
  | {
      readonly _tag: "KillTwice"
      readonly role: Role
      readonly member: number
      readonly downMs: number
      readonly againMs: number
    }
  /** SIGSTOP beyond the lease, then SIGCONT: a zombie. */
  | { readonly _tag: "Pause"; readonly role: Role; readonly member: number; readonly pauseMs: number }
  /** SIGTERM: a deployment. */
  | { readonly _tag: "Stop"; readonly role: Role; readonly member: number; readonly downMs: number }
  | { readonly _tag: "CrashPostgres"; readonly downMs: number }
  /** Every fifth of a second some sessions of duetime are terminated. */
  | { readonly _tag: "TerminateBackends"; readonly forMs: number }
  | { readonly _tag: "KillKafka"; readonly downMs: number }
  /** Killed, and all its data are gone: topics, groups, offsets. */
  | { readonly _tag: "WipeKafka"; readonly downMs: number }

export type Phase = "kills" | "stores"

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
/** Between the phases: a lease, two seconds of repair, and the longest restart. */
const repairMs = leaseMs + 4_000
const downMsMax = 2_000

type Lane = {
  readonly phase: Phase
  readonly name: string
  readonly everyMs: readonly [from: number, to: number]
  /** Each comes once in a round, in an order that is drawn. */
  readonly round: ReadonlyArray<(drawn: (what: string) => number) => Action>
}

const memberOf = (drawn: (what: string) => number) => Math.floor(drawn("member") * 1_000)
const downMsOf = (drawn: (what: string) => number) => Math.floor(between(drawn("down"), 0, downMsMax))

const kill =
  (role: Role): Lane["round"][number] =>
  (drawn) => ({ _tag: "Kill", role, member: memberOf(drawn), downMs: downMsOf(drawn) })
const killTwice =
  (role: Role): Lane["round"][number] =>
  (drawn) => ({
    _tag: "KillTwice",
    role,
    member: memberOf(drawn),
    downMs: downMsOf(drawn),
    againMs: Math.floor(between(drawn("again"), 200, 2_500))
  })
const pause =
  (role: Role): Lane["round"][number] =>
  (drawn) => ({
    _tag: "Pause",
    role,
    member: memberOf(drawn),
    pauseMs: Math.floor(between(drawn("pause"), 1.2, 2) * leaseMs)
  })
const stop: Lane["round"][number] = (drawn) => ({
  _tag: "Stop",
  role: "worker",
  member: memberOf(drawn),
  downMs: downMsOf(drawn)
})
const crashPostgres: Lane["round"][number] = (drawn) => ({ _tag: "CrashPostgres", downMs: downMsOf(drawn) })
const terminateBackends: Lane["round"][number] = (drawn) => ({
  _tag: "TerminateBackends",
  forMs: Math.floor(between(drawn("for"), 2_000, 4_000))
})
const killKafka: Lane["round"][number] = (drawn) => ({ _tag: "KillKafka", downMs: downMsOf(drawn) })
const wipeKafka: Lane["round"][number] = (drawn) => ({ _tag: "WipeKafka", downMs: downMsOf(drawn) })

const lanes: ReadonlyArray<Lane> = [
  {
    phase: "kills",
    name: "workers",
    everyMs: [2_000, 3_500],
    round: [kill("worker"), kill("worker"), killTwice("worker"), stop]
  },
  { phase: "kills", name: "frozen workers", everyMs: [10_000, 14_000], round: [pause("worker")] },
  // Never both: the other one repairs, which takes a lease of quiet time. See `settled` in fleet.ts.
  {
    phase: "kills",
    name: "engines",
    everyMs: [14_000, 18_000],
    round: [kill("engine"), pause("engine"), killTwice("engine")]
  },
  { phase: "stores", name: "PostgreSQL", everyMs: [5_000, 8_000], round: [crashPostgres, terminateBackends] },
  { phase: "stores", name: "Kafka", everyMs: [8_000, 11_000], round: [killKafka, wipeKafka] },
  {
    phase: "stores",
    name: "processes",
    everyMs: [4_000, 6_000],
    round: [kill("worker"), kill("engine"), killTwice("engine"), pause("worker")]
  }
]

export const planOf = (seed: number, minutes: number): Plan => {
  const durationMs = minutes * 60_000
  const halfMs = durationMs / 2
  const phases = {
    kills: { fromMs: calmMs, untilMs: halfMs - repairMs },
    stores: { fromMs: halfMs, untilMs: durationMs - calmMs }
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

/** How people call it. */
export const nameOf = (action: Action): string => {
  switch (action._tag) {
    case "Kill":
      return `${action.role} killed`
    case "KillTwice":
      return `${action.role} killed again in recovery`
    case "Pause":
      return `${action.role} frozen beyond its lease`
    case "Stop":
      return `${action.role} stopped in order`
    case "CrashPostgres":
      return "PostgreSQL crashed"
    case "TerminateBackends":
      return "backends terminated"
    case "KillKafka":
      return "Kafka killed"
    case "WipeKafka":
      return "Kafka wiped"
  }
}
