/**
 * The points of the protocol at which a process can be hit, each once: where, what happens to it there, which window of
 * docs/explain/guarantees.md that is, and what may be found afterwards. Every worker's point has a kind and a queue of its own, so that
 * its tasks come to the processes that are armed with it.
 */
import type { Family } from "./kinds.ts"

/** Named by what has just happened, or is just about to, in the process that is hit. */
export type Place =
  | "claim asked"
  | "claim answered"
  | "publishing"
  | "published"
  | "expired"
  | "released"
  | "renewal sent"
  | "announced"
  | "hint taken"
  | "start answered"
  | "acknowledged"
  | "handling"
  | "called"
  | "outcome asked in its transaction"
  | "committed"
  | "outcome ready"
  | "outcome recorded"
  | "failure recorded"
  | "pulled"
  | "answer of the outside ready"
  | "schedule answered"

export type Deed =
  /** SIGKILL by its own hand, and the next process. */
  | "crash"
  /** SIGSTOP by its own hand, for 1.4 leases; then it goes on, and so does its process. */
  | "freeze"
  /** What was asked has been done, and the process learns that nobody knows whether it has. */
  | "lose"
  /** Nothing happens there: the wall clock of the whole process is off. */
  | "skew"

export type Role = "engine" | "worker" | "client"

/** What follows, in the history of a task, the event that the process knew last. */
export type Found =
  | "given back uncharged"
  | "started"
  | "charged, tried again"
  | "failed, tried again"
  | "parked"
  | "succeeded"
  | "dead letter"
  | "answered by the outside"
  | "let go on by a person"
  | "found by its own event"
  /** It had been somebody else's in between. */
  | "recorded though lost"
  | "gone on"
  | "over"

export type Point = {
  readonly name: string
  readonly role: Role
  readonly place: Place
  readonly deed: Deed
  /** Number in docs/explain/guarantees.md. */
  readonly window: number
  /** Of the point's own kind; null: it meets all kinds. */
  readonly family: Family | null
  readonly says: string
  /** Points of one name are hit by one crash, each in another fiber of the process. */
  readonly company: string
  /** Anything else breaks the promise. */
  readonly allowed: ReadonlyArray<Found>
}

const claims: ReadonlyArray<Found> = ["given back uncharged", "started"]
const charged: ReadonlyArray<Found> = ["charged, tried again"]
/** Its session may not have been ended on a busy machine: then it goes on, or fails for want of a lease. */
const thawed: ReadonlyArray<Found> = ["charged, tried again", "failed, tried again", "succeeded"]
/** Whoever comes first; a process that wakes up before the supervisor has looked may still be it. */
const first: ReadonlyArray<Found> = ["charged, tried again", "found by its own event"]

const engine = (name: string, deed: Deed, place: Place, window: number, says: string, allowed = claims): Point => ({
  name: `engine-${name}`,
  role: "engine",
  place,
  deed,
  window,
  family: null,
  says,
  company: inCompany("engine", ["claim answered", "published", "expired", "announced"], name, deed, place),
  allowed
})

const worker = (
  name: string,
  deed: Deed,
  place: Place,
  window: number,
  family: Family,
  says: string,
  allowed: ReadonlyArray<Found>
): Point => ({
  name: `worker-${name}`,
  role: "worker",
  place,
  deed,
  window,
  family,
  says,
  company: startPlaces.includes(place)
    ? inCompany("starts", startPlaces, name, deed, place)
    : inCompany("attempts", attemptPlaces, name, deed, place),
  allowed
})

/** A process starts in two fibers and pulls in a third. */
const startPlaces: ReadonlyArray<Place> = ["hint taken", "start answered", "pulled"]
/** Each attempt has a fiber of its own. */
const attemptPlaces: ReadonlyArray<Place> = [
  "acknowledged",
  "handling",
  "called",
  "outcome asked in its transaction",
  "committed",
  "failure recorded",
  "answer of the outside ready"
]

const inCompany = (company: string, places: ReadonlyArray<Place>, name: string, deed: Deed, place: Place): string =>
  deed === "crash" && places.includes(place) ? company : name

export const points: ReadonlyArray<Point> = [
  {
    name: "client-unanswered",
    role: "client",
    place: "schedule answered",
    deed: "lose",
    window: 1,
    family: "plain",
    says: "its schedule has committed, and the answer is lost",
    company: "client",
    allowed: ["found by its own event"]
  },
  engine("claiming", "crash", "claim asked", 4, "before its next claim, holding the one before"),
  engine("claimed", "crash", "claim answered", 4, "the claim has committed, nothing is published"),
  engine("unanswered", "lose", "claim answered", 4, "the claim has committed, and the answer is lost"),
  engine("mute", "lose", "publishing", 5, "the publish is accepted, and lost"),
  engine("published", "crash", "published", 6, "published, and its claims not noted as such"),
  engine("frozen", "freeze", "claim answered", 7, "holds claims beyond its lease, and then publishes them"),
  engine("repairing", "crash", "expired", 14, "has taken back what others held", ["gone on"]),
  engine("giving-back", "crash", "released", 4, "stops in order, and has given its claims back", [
    "found by its own event"
  ]),
  engine("renewing", "crash", "renewal sent", 4, "its thread has sent the renewal of the lease"),
  engine("announcing", "crash", "announced", 15, "has announced dead letters, and not marked them", ["over"]),
  engine("ahead", "skew", "published", 16, "its clock is 20 s ahead", ["started", "given back uncharged"]),
  worker("hinted", "crash", "hint taken", 7, "plain", "has taken a hint, and not started it", claims),
  worker("started", "crash", "start answered", 8, "plain", "the start has committed, nothing is acknowledged", charged),
  worker("acknowledged", "crash", "acknowledged", 8, "plain", "acknowledged, the handler has done nothing", charged),
  worker("unanswered", "lose", "start answered", 8, "plain", "the start has committed, and the answer is lost", [
    "succeeded"
  ]),
  worker("pulled", "crash", "pulled", 8, "plain", "has pulled a claim, and not started it", claims),
  worker("handling", "crash", "handling", 9, "commit", "in its handler, before any SQL", charged),
  worker("poisoned", "crash", "handling", 9, "poison", "by a payload that kills every process, twice allowed", [
    "charged, tried again",
    "dead letter"
  ]),
  worker("writing", "crash", "outcome asked in its transaction", 10, "commit", "its SQL has run, no outcome", charged),
  worker("called", "crash", "called", 11, "call", "has called the outside, no outcome", charged),
  worker("called-once", "crash", "called", 11, "ask", "the same, where the policy is to park", ["parked"]),
  worker(
    "asking",
    "crash",
    "answer of the outside ready",
    11,
    "hang",
    "has asked the outside, not recorded the answer",
    ["answered by the outside", "let go on by a person"]
  ),
  worker("frozen-hinted", "freeze", "hint taken", 7, "commit", "starts a hint beyond its lease", claims),
  worker("frozen-started", "freeze", "start answered", 12, "commit", "frozen between start and handler", thawed),
  worker("frozen-handling", "freeze", "handling", 12, "commit", "frozen in its handler, before its SQL", thawed),
  worker(
    "frozen-writing",
    "freeze",
    "outcome asked in its transaction",
    12,
    "commit",
    "frozen in its transaction",
    first
  ),
  worker("frozen-done", "freeze", "outcome ready", 14, "plain", "frozen with an outcome that is not sent", first),
  worker("committed", "crash", "committed", 13, "commit", "its commit has committed, the answer is not used", [
    "found by its own event"
  ]),
  worker("commit-unanswered", "lose", "committed", 13, "commit", "the answer to its COMMIT is lost", [
    "found by its own event"
  ]),
  worker("recorded", "crash", "failure recorded", 13, "fail", "a failure is recorded, the answer is not used", [
    "found by its own event"
  ]),
  worker("outcome-unanswered", "lose", "outcome recorded", 13, "fail", "the answer to its outcomes is lost", [
    "found by its own event"
  ]),
  worker("ahead", "skew", "start answered", 16, "commit", "its clock is 20 s ahead", [
    "succeeded",
    "charged, tried again"
  ])
]

/** Of a clock that is wrong. */
export const skewMs = 20_000

export const pointOf = (name: string): Point | undefined => points.find((point) => point.name === name)
