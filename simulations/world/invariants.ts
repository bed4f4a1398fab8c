/** What no history may break, each with the sentence it holds. The events themselves are judged by the auditor of `src/core`. */
import { fold } from "../../src/core/evolve.ts"
import { isEnded } from "../../src/core/TaskState.ts"
import { type Broken, kindOf, streamsById } from "../../src/testing/simulation/Broken.ts"
import {
  auditorFindsNothing,
  deathsAreAnnounced,
  nothingFalls
} from "../../src/testing/simulation/protocolInvariants.ts"
import { backlogDrains, enginesAreServed } from "./fairInvariants.ts"
import { policies, receipt, timeoutMsOf } from "./handlers.ts"
import { attemptsEndUnknown, clockStepMsMaxOf, type History, leasesEndUnknown } from "./History.ts"
import { hasLost, isLost } from "./Standby.ts"
import { theLivingAreNotLost, wonStartsAreCalled } from "./livingInvariants.ts"
import { operationsAreInOrder } from "./realTimeOrder.ts"
import { commitsAreAnsweredTruly, parkedIsAskedAbout, receiptsMatch } from "./receipts.ts"
import {
  changesStand,
  everyInstantHasOneFate,
  fatesAreDecidedInTime,
  fatesFollowPolicies,
  whatFiredHasOneTask
} from "./recurrenceInvariants.ts"
import { claimsStayWithinCaps, pausesHold, wishesAreAnsweredTruly } from "./wishInvariants.ts"
import { deathsAreRepairedSoon, nothingIsLateWithoutCause } from "./timeInvariants.ts"
import type { Outcome } from "./World.ts"

type Check = (outcome: Outcome, history: History) => Iterable<Broken>

type WorldInvariant = {
  readonly id: string
  readonly sentence: string
  readonly check: Check
}

const auditorFindsNothingWrong: Check = (outcome, history) =>
  auditorFindsNothing(outcome, {
    policyOf: (kind) =>
      outcome.lost.some(({ unannounced }) => unannounced.has(kind)) ? undefined : policies.get(kind),
    clockStepMsMax: clockStepMsMaxOf(history)
  })

function* callsAreWonStarts({ ledger, lost, streams }: Outcome, history: History): Iterable<Broken> {
  const byId = streamsById(streams)
  const seen = new Map<string, number>()
  for (const { atMs, attempt, begunForMs, fence, isLeaseOver, node, taskId } of ledger) {
    if (isLeaseOver && !leasesEndUnknown(history, atMs - begunForMs))
      yield { id: "S5", taskId, message: `${node} calls attempt ${attempt} after its lease has ended` }
    // Of those that are there, and of those that a failover has taken: a number may be issued twice.
    const histories = [byId.get(taskId)?.events ?? [], ...lost.map(({ events }) => events.get(taskId) ?? [])]
    const starts = histories
      .flat()
      .filter((event) => event._tag === "AttemptStarted" && event.version === fence && event.attempt === attempt)
    if (starts.length === 0)
      yield { id: "S6", taskId, message: `${node} calls attempt ${attempt}, which no start gives the right to` }
    const name = `${taskId} ${attempt} ${fence}`
    const calledCount = (seen.get(name) ?? 0) + 1
    if (calledCount > Math.max(1, starts.length))
      yield { id: "S6", taskId, message: `attempt ${attempt} is called twice` }
    seen.set(name, calledCount)
  }
}

function* fencesGrow({ ledger, lost, streams }: Outcome, history: History): Iterable<Broken> {
  const byId = streamsById(streams)
  const greatest = new Map<string, number>()
  for (const { atMs, begunForMs, fence, taskId } of ledger) {
    // With an asynchronous standby the same numbers are issued again.
    if (hasLost(lost, taskId)) continue
    // Whoever was frozen between the look at its lease and the call is what a fence is there for: the outside refuses it.
    if (begunForMs > 0) continue
    const stream = byId.get(taskId)
    const timeoutMs = timeoutMsOf(stream === undefined ? null : kindOf(stream))
    if (fence < (greatest.get(taskId) ?? 0) && !attemptsEndUnknown(history, atMs, timeoutMs))
      yield { id: "S9", taskId, message: `fence ${fence} comes after a greater one` }
    greatest.set(taskId, Math.max(fence, greatest.get(taskId) ?? 0))
  }
}

function* cancellationsHold({ ledger, lost, streams, told }: Outcome): Iterable<Broken> {
  const byId = streamsById(streams)
  for (const { askedAtMs, id, stage: toldStage, toldAtMs } of told) {
    if (toldStage !== "cancelled" || isLost(lost, askedAtMs, toldAtMs)) continue
    const events = byId.get(id)?.events ?? []
    const stage = fold(events)?.stage
    if (stage !== "cancelled") yield { id: "S14", taskId: id, message: `told to be cancelled, and is ${stage}` }
    const at = events.find(({ _tag }) => _tag === "TaskCancelled")?.version ?? 0
    // Calls of before a failover are of a history that may have gone on otherwise.
    const lostAtMs = lost.reduce((ms, { atMs, events: gone }) => (gone.has(id) ? Math.max(ms, atMs) : ms), -1)
    if (ledger.some(({ atMs, fence, taskId }) => taskId === id && fence > at && atMs > lostAtMs)) {
      yield { id: "S14", taskId: id, message: "is called after it was cancelled" }
    }
  }
}

function* oneTaskPerKey({ acknowledged, lost, streams }: Outcome, { tasks }: History): Iterable<Broken> {
  const keyedCount = streams.filter(
    (stream) =>
      stream.events[0]?._tag === "TaskScheduled" && stream.events[0].key !== null && kindOf(stream) !== receipt.kind
  ).length
  if (keyedCount > tasks.length) {
    yield { id: "S15", taskId: null, message: `${keyedCount} tasks of ${tasks.length} keys` }
  }
  const ids = new Set(acknowledged.map(({ id }) => id))
  if (ids.size < acknowledged.length) yield { id: "S15", taskId: null, message: "two keys have one task" }
  for (const { id, twinId } of acknowledged) {
    const isGone = lost.some(({ taskIds }) => taskIds.has(id) || taskIds.has(twinId ?? id))
    if (twinId !== null && twinId !== id && !isGone)
      yield { id: "S15", taskId: id, message: `one key has this task and ${twinId}` }
  }
}

function* acknowledgedIsPresent({ acknowledged, lost, streams }: Outcome): Iterable<Broken> {
  const byId = streamsById(streams)
  for (const { id } of acknowledged)
    if (!byId.has(id) && !lost.some(({ taskIds }) => taskIds.has(id)))
      yield { id: "S17", taskId: id, message: "is acknowledged and gone" }
}

function* everythingEnds(
  { acknowledged, notes, streams, told }: Outcome,
  { recurrences, tasks }: History
): Iterable<Broken> {
  const leftCount = recurrences.length - notes.recurrences.filter(({ isOver }) => isOver).length
  if (leftCount > 0) yield { id: "L1", taskId: null, message: `${leftCount} recurrences were never answered for` }
  const wishesCount = tasks.reduce((sum, { wishes }) => sum + wishes.length, 0)
  if (told.length < wishesCount) {
    yield { id: "L1", taskId: null, message: `${wishesCount - told.length} wishes were never answered` }
  }
  if (acknowledged.length < tasks.length) {
    yield { id: "L1", taskId: null, message: `${tasks.length - acknowledged.length} tasks were never acknowledged` }
  }
  for (const { events, taskId } of streams) {
    const stage = fold(events)?.stage
    if (stage === undefined || !isEnded(stage))
      yield { id: "L1", taskId, message: `is ${stage} long after everything has healed` }
  }
}

function* workPerTaskIsBounded({ streams }: Outcome): Iterable<Broken> {
  for (const { events, taskId } of streams) {
    if (events.length > eventsPerTaskMax) yield { id: "L3", taskId, message: `has ${events.length} events` }
  }
}

function* witnessSawNothing({ witnessed }: Outcome): Iterable<Broken> {
  yield* witnessed
}

/** Within a process there is nobody outside to tell. */
const deathsAreAnnouncedToOthers: Check = (outcome, { reach }) =>
  reach === "process" ? [] : deathsAreAnnounced(outcome)

/** A task of these histories meets at most some ten crashes, each of which costs it at most three events. */
const eventsPerTaskMax = 200

export const invariants: ReadonlyArray<WorldInvariant> = [
  {
    id: "S1-S20",
    sentence: "The auditor finds nothing in any stream, nor between an end and what follows it",
    check: auditorFindsNothingWrong
  },
  {
    id: "S6",
    sentence: "A handler is called once for each start that was won, and never without",
    check: callsAreWonStarts
  },
  {
    id: "S6",
    sentence: "A start that was won by a process that lives is called",
    check: wonStartsAreCalled
  },
  {
    id: "S5",
    sentence: "A process that lives and reaches the database is never said to be lost",
    check: theLivingAreNotLost
  },
  {
    id: "S7",
    sentence: "A transaction's effect is there once if its attempt succeeded, and never else",
    check: receiptsMatch
  },
  {
    id: "S8",
    sentence: "Nothing that may have called the outside is tried again before it was asked",
    check: parkedIsAskedAbout
  },
  { id: "S18", sentence: "What a commit was told is what was recorded", check: commitsAreAnsweredTruly },
  {
    id: "S9",
    sentence:
      "The outside never sees a fence after a greater one, but of a process that was frozen right before the call, or did not know that the database's clock was set ahead",
    check: fencesGrow
  },
  { id: "S14", sentence: "What was told to be cancelled stays so and is not called again", check: cancellationsHold },
  { id: "S15", sentence: "One key has one task, however often it was scheduled", check: oneTaskPerKey },
  { id: "S17", sentence: "What was acknowledged is there", check: acknowledgedIsPresent },
  { id: "S18", sentence: "Every answer to a wish was true while it was on its way", check: wishesAreAnsweredTruly },
  {
    id: "S20, L5",
    sentence: "No secret leaves the store, no claim leaves more urgent tasks behind",
    check: witnessSawNothing
  },
  {
    id: "S16",
    sentence: "Every instant that an oracle finds has one fate, and nothing else has any",
    check: everyInstantHasOneFate
  },
  { id: "S16", sentence: "A change of a recurrence stands from its answer on", check: changesStand },
  { id: "S16", sentence: "What fired has one task of its own, and there are no others", check: whatFiredHasOneTask },
  { id: "S16", sentence: "Every fate is one that the policies allow", check: fatesFollowPolicies },
  { id: "L4", sentence: "Without faults an instant is decided in time", check: fatesAreDecidedInTime },
  { id: "S22", sentence: "Nothing of a paused kind is claimed or started", check: pausesHold },
  { id: "S23", sentence: "The caps of a kind hold over all engines", check: claimsStayWithinCaps },
  { id: "S21", sentence: "No program ends unless it is killed", check: nothingFalls },
  { id: "L1", sentence: "After healing every task ends", check: everythingEnds },
  { id: "L1", sentence: "Every dead letter is announced", check: deathsAreAnnouncedToOthers },
  {
    id: "L2",
    sentence: "What a killed process held is moved within its lease and two ticks",
    check: deathsAreRepairedSoon
  },
  { id: "L4", sentence: "Without faults no start is late while a slot is free", check: nothingIsLateWithoutCause },
  {
    id: "S19",
    sentence: "What was answered before something else was asked for is of a smaller version, and had happened",
    check: operationsAreInOrder
  },
  {
    id: "L6",
    sentence: "While tasks wait, every healthy engine asks, and a claim answered short leaves nothing behind",
    check: enginesAreServed
  },
  { id: "L7", sentence: "Once all is whole, what waits gets less and nothing falls back", check: backlogDrains },
  { id: "L3", sentence: "No task is moved without end", check: workPerTaskIsBounded },
  { id: "L3", sentence: "A history comes to rest", check: comesToRest }
]

/** Hundreds of times what a history takes. */
function* comesToRest({ isRestless, simulatedMs, stepsCount }: Outcome): Iterable<Broken> {
  if (!isRestless) return
  const message = `after ${stepsCount} steps it is at ${Math.round(simulatedMs)} ms, and was given up: something spins`
  yield { id: "L3", taskId: null, message }
}

/** What was seen when it happened comes first, and is not told again for being found in the end. */
export const brokenIn = (outcome: Outcome, history: History): ReadonlyArray<Broken> => {
  const known = new Map<string, Broken>()
  const all = [...outcome.witnessed, ...invariants.flatMap(({ check }) => [...check(outcome, history)])]
  for (const broken of all) {
    const name = `${broken.id} ${broken.taskId} ${broken.message}`
    if (!known.has(name)) known.set(name, broken)
  }
  return [...known.values()]
}
