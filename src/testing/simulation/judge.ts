/** What is held against each history of a simulation: what duetime promises of every task, and what the user wants to be true. */
import { fold } from "../../core/evolve.ts"
import { isEnded } from "../../core/TaskState.ts"
import { type Broken, kindOf, streamsById } from "./Broken.ts"
import {
  acknowledgedIsPresent,
  auditorFindsNothing,
  callsAreWonStarts,
  deathsAreAnnounced,
  fencesGrow,
  nothingFalls,
  sentences
} from "./protocolInvariants.ts"
import type { PlannedHistory, Ran, Setup, SimulatedOutcome } from "./runPlanned.ts"

/** What an invariant finds wrong: a text, or one with the task that its timeline is to be shown of. */
export type Finding = string | { readonly taskId?: string | null; readonly message: string }

/** By the sentence that is to hold: a function that finds where it does not. */
export type Invariants = Readonly<Record<string, (outcome: SimulatedOutcome) => Iterable<Finding>>>

export type Violation = {
  /** The sentence that does not hold. */
  readonly invariant: string
  readonly taskId: string | null
  readonly message: string
}

type Check = (ran: Ran, setup: Setup, history: PlannedHistory) => Iterable<Omit<Broken, "id">>

const builtIn: Readonly<Record<string, Check>> = {
  [sentences.falls]: nothingFalls,
  "Every kind that is scheduled is named in tasks and has a handler": kindsAreServed,
  [sentences.acknowledged]: acknowledgedIsPresent,
  [sentences.ends]: everythingEnds,
  [sentences.calls]: (ran) => callsAreWonStarts({ streams: ran.streams, ledger: handlerCallsOf(ran) }),
  [sentences.fences]: (ran) => fencesGrow({ ledger: handlerCallsOf(ran) }),
  "What a transaction writes is there once if its attempt succeeded, and never else": commitsMatch,
  [sentences.announced]: deathsAreAnnounced,
  [sentences.auditor]: (ran, { policies }) => auditorFindsNothing(ran, { policyOf: (kind) => policies.get(kind) })
}

export const builtInSentences: ReadonlyArray<string> = Object.keys(builtIn)

export const violationsIn = (
  ran: Ran,
  setup: Setup,
  history: PlannedHistory,
  invariants: Invariants
): ReadonlyArray<Violation> => [
  ...Object.entries(builtIn).flatMap(([invariant, check]) =>
    Array.from(check(ran, setup, history), ({ message, taskId }) => ({ invariant, taskId, message }))
  ),
  ...Object.entries(invariants).flatMap(([invariant, check]) =>
    Array.from(check(ran.outcome), (finding) =>
      typeof finding === "string"
        ? { invariant, taskId: null, message: finding }
        : { invariant, taskId: finding.taskId ?? null, message: finding.message }
    )
  )
]

const handlerCallsOf = ({ outcome }: Ran) => outcome.calls.filter(({ what }) => what === "handler")

function* kindsAreServed({ served, streams }: Ran, { policies }: Setup): Iterable<Omit<Broken, "id">> {
  const kinds = new Set([...policies.keys(), ...streams.flatMap((stream) => kindOf(stream) ?? [])])
  for (const kind of kinds) {
    if (!policies.has(kind)) yield { taskId: null, message: `"${kind}" is scheduled: name it in tasks` }
    if (!served.has(kind)) yield { taskId: null, message: `"${kind}" has no handler: give its layer in handlers` }
  }
}

function* everythingEnds(
  { acknowledged, served, simulatedMs, streams }: Ran,
  { chaosMs, endWithinMs }: Setup,
  { tasks }: PlannedHistory
): Iterable<Omit<Broken, "id">> {
  const atMs = Math.round(simulatedMs)
  const afterwards = tasks.filter(({ of }) => of.afterMs > chaosMs + endWithinMs)
  if (afterwards.length > 0) {
    const message = `${afterwards.length} tasks are planned for when the history is over, after ${atMs} ms: give them an earlier after, or give chaos and endWithin that take longer`
    yield { taskId: null, message }
  } else if (acknowledged.length < tasks.length) {
    const message = `${tasks.length - acknowledged.length} planned tasks were never acknowledged within ${atMs} ms`
    yield { taskId: null, message }
  }
  for (const { events, taskId } of streams) {
    const state = fold(events)
    if (state === null || isEnded(state.stage)) continue
    if (state.stage === "parked" && served.get(state.kind)?.reconciles !== true) continue
    yield { taskId, message: `is ${state.stage} after ${atMs} ms, long after everything has healed` }
  }
}

function* commitsMatch({ outcome, streams }: Ran): Iterable<Omit<Broken, "id">> {
  const byId = streamsById(streams)
  for (const [name, count] of outcome.kept.commits) {
    const [taskId = "", attempt] = name.split(" ")
    const succeeded = byId
      .get(taskId)
      ?.events.some((event) => event._tag === "AttemptSucceeded" && event.attempt === Number(attempt))
    if (succeeded === true && count === 1) continue
    const message = `the rows of attempt ${attempt} are there ${count} times, and it has ${succeeded === true ? "" : "not "}succeeded`
    yield { taskId, message }
  }
}
