/** The lanes of a plan: which faults follow each other, and how often. A run of half an hour injects what counts.ts asks for. */
import { type Action, leaseMs, type Phase, type Place, type Role, type Store } from "./Action.ts"
import { between } from "./draw.ts"
import type { Direction } from "./Line.ts"

export type Lane = {
  readonly phase: Phase
  readonly name: string
  readonly everyMs: readonly [from: number, to: number]
  /** Each comes once in a round, in an order that is drawn. */
  readonly round: ReadonlyArray<(drawn: Drawn) => Action>
}

type Drawn = (what: string) => number
type Make = Lane["round"][number]

const downMsMax = 2_000
const dayMs = 86_400_000

const whole = (drawn: number, from: number, to: number) => Math.floor(between(drawn, from, to))
const memberOf = (drawn: Drawn) => whole(drawn("member"), 0, 1_000)
const downMsOf = (drawn: Drawn) => whole(drawn("down"), 0, downMsMax)
/** One in four meets all processes at once. */
const placeOf = (drawn: Drawn): Place => (drawn("all") < 0.25 ? "all" : memberOf(drawn))

const kill =
  (role: Role): Make =>
  (drawn) => ({ _tag: "Kill", role, member: memberOf(drawn), downMs: downMsOf(drawn) })
const killTwice =
  (role: Role): Make =>
  (drawn) => ({
    _tag: "KillTwice",
    role,
    member: memberOf(drawn),
    downMs: downMsOf(drawn),
    againMs: whole(drawn("again"), 200, 2_500)
  })
const pause =
  (role: Role): Make =>
  (drawn) => ({
    _tag: "Pause",
    role,
    member: memberOf(drawn),
    pauseMs: whole(drawn("pause"), 1.2 * leaseMs, 2 * leaseMs)
  })
const stop: Make = (drawn) => ({ _tag: "Stop", role: "worker", member: memberOf(drawn), downMs: downMsOf(drawn) })

/** From a second to a day, as many small jumps as great ones; some longer than ten seconds, after which a node asks the database again. */
const shiftClock =
  (role: Role, sign: 1 | -1): Make =>
  (drawn) => ({
    _tag: "ShiftClock",
    role,
    member: memberOf(drawn),
    offsetMs: sign * Math.round(1_000 * (dayMs / 1_000) ** drawn("offset")),
    forMs: whole(drawn("for"), 2_000, 13_000)
  })

const crashPostgres: Make = (drawn) => ({ _tag: "CrashPostgres", downMs: downMsOf(drawn) })
const terminateBackends: Make = (drawn) => ({ _tag: "TerminateBackends", forMs: whole(drawn("for"), 3_000, 6_000) })
const killKafka: Make = (drawn) => ({ _tag: "KillKafka", downMs: downMsOf(drawn) })
const wipeKafka: Make = (drawn) => ({ _tag: "WipeKafka", downMs: downMsOf(drawn) })

const delay =
  (store: Store): Make =>
  (drawn) => ({
    _tag: "Delay",
    store,
    place: placeOf(drawn),
    delayMs: whole(drawn("delay"), 20, 400),
    forMs: whole(drawn("for"), 2_000, 5_000)
  })
const cut =
  (store: Store): Make =>
  (drawn) => ({ _tag: "Cut", store, place: placeOf(drawn) })
const directions: ReadonlyArray<Direction> = ["both", "requests", "answers"]
const halfOpen =
  (store: Store, fromMs: number, toMs: number): Make =>
  (drawn) => ({
    _tag: "HalfOpen",
    store,
    place: placeOf(drawn),
    direction: directions[whole(drawn("direction"), 0, directions.length)] ?? "both",
    forMs: whole(drawn("for"), fromMs, toMs),
    afterwards: drawn("afterwards") < 0.5 ? "late" : "never"
  })

const networkTo = (store: Store): Lane => ({
  phase: "stores",
  name: `network to ${store}`,
  everyMs: [4_500, 6_500],
  round: [delay(store), cut(store), halfOpen(store, 1_000, 4_000), halfOpen(store, 1.1 * leaseMs, 1.8 * leaseMs)]
})

const clocks = (phase: Phase): Lane => ({
  phase,
  name: "clocks",
  everyMs: [8_000, 11_000],
  round: [shiftClock("engine", 1), shiftClock("engine", -1), shiftClock("worker", 1), shiftClock("worker", -1)]
})

export const lanes: ReadonlyArray<Lane> = [
  {
    phase: "kills",
    name: "workers",
    everyMs: [5_500, 7_500],
    round: [kill("worker"), kill("worker"), killTwice("worker"), stop]
  },
  { phase: "kills", name: "frozen workers", everyMs: [24_000, 32_000], round: [pause("worker")] },
  // Never both: the other one repairs, which takes a lease of quiet time (`settled` in fleet.ts), so each costs some ten seconds.
  {
    phase: "kills",
    name: "engines",
    everyMs: [10_000, 12_000],
    round: [kill("engine"), killTwice("engine"), pause("engine")]
  },
  clocks("kills"),
  { phase: "stores", name: "PostgreSQL", everyMs: [8_000, 12_000], round: [crashPostgres, terminateBackends] },
  { phase: "stores", name: "Kafka", everyMs: [14_000, 19_000], round: [killKafka, wipeKafka] },
  networkTo("PostgreSQL"),
  networkTo("Kafka"),
  {
    phase: "stores",
    name: "engines",
    everyMs: [6_500, 9_000],
    round: [kill("engine"), killTwice("engine"), killTwice("engine"), pause("engine")]
  },
  { phase: "stores", name: "workers", everyMs: [11_000, 15_000], round: [kill("worker"), pause("worker")] },
  clocks("stores")
]
