/** L6 and L7: that no engine is left out while work waits, and that what waits gets less once all is whole. */
import { evolve } from "../../src/core/evolve.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import { leaseMsDefault } from "../../src/store/Session.ts"
import { type Broken, kindOf } from "../../src/testing/simulation/Broken.ts"
import { kinds } from "./handlers.ts"
import { clockStepMsMaxOf, type History } from "./History.ts"
import type { Ask } from "./operations.ts"
import type { Outcome } from "./World.ts"

/**
 * Longest time between two claims of an engine that lives, has nothing in its hands and for which tasks wait: the poll of a queue
 * that was long empty (four times 250 ms), the way there and back of a claim (4 ms), and as much again for turns that are lost.
 */
const askGapMsMax = 2_000

/**
 * That a claim which is answered short leaves nothing behind is witnessed at each claim. This is the other half: a healthy engine
 * goes on asking while tasks wait, unless it holds claims already. Together, no engine starves beside another.
 */
export function* enginesAreServed(outcome: Outcome, history: History): Iterable<Broken> {
  const { asks, killedAtMs, simulatedMs } = outcome
  const calmAtMs = calmAtMsOf(outcome, history)
  const waits = waitsOf(outcome)
  const heldBy = holdsOf(outcome)
  const byOwner = new Map<string, Array<Ask>>()
  for (const ask of asks) {
    const known = byOwner.get(ask.owner)
    if (known === undefined) byOwner.set(ask.owner, [ask])
    else known.push(ask)
  }
  if (byOwner.size < 2) return
  for (const [owner, own] of byOwner) {
    for (const [index, { askedAtMs, sessionId }] of own.entries()) {
      const untilMs = own[index + 1]?.askedAtMs ?? killedAtMs.get(owner) ?? simulatedMs
      const fromMs = Math.max(askedAtMs, calmAtMs)
      if (untilMs - fromMs <= askGapMsMax) continue
      const waiting = waits.find((wait) => overlapMs(wait, { fromMs, untilMs }) > askGapMsMax)
      if (waiting === undefined) continue
      const span = { fromMs: Math.max(fromMs, waiting.fromMs), untilMs: Math.min(untilMs, waiting.untilMs) }
      if ((heldBy.get(sessionId) ?? []).some((hold) => overlapMs(hold, span) > 0)) continue
      const message = `${owner} has not asked for ${(span.untilMs - span.fromMs).toFixed(0)} ms from ${span.fromMs.toFixed(0)} ms on, while this task waited`
      yield { id: "L6", taskId: waiting.taskId, message }
    }
  }
}

/** The longest attempt of any kind, after which a slot is free for sure, and what a start may be late. */
const drainGapMsMax = 10_000 + 1_500

/**
 * Once all is whole, tasks that are due and not started get fewer: none falls back to waiting because of a claim or an attempt
 * that was lost, and while any waits, one starts within the longest attempt.
 */
export function* backlogDrains(outcome: Outcome, history: History): Iterable<Broken> {
  const { simulatedMs, sinceStartMsOf, streams } = outcome
  const calmAtMs = calmAtMsOf(outcome, history)
  const startsAtMs: Array<number> = []
  for (const { events, taskId } of streams) {
    for (const event of events) {
      const atMs = sinceStartMsOf(event)
      if (event._tag === "AttemptStarted") startsAtMs.push(atMs)
      if (atMs <= calmAtMs || !fallsBack(event)) continue
      const reason = "reason" in event ? event.reason : ""
      const message = `falls back (${event._tag}, ${reason}) at ${atMs.toFixed(0)} ms, when all had been whole for a lease`
      yield { id: "L7", taskId, message }
    }
  }
  startsAtMs.push(simulatedMs)
  startsAtMs.sort((one, other) => one - other)
  for (const wait of waitsOf(outcome)) {
    const fromMs = Math.max(wait.fromMs, calmAtMs)
    if (wait.untilMs - fromMs <= drainGapMsMax) continue
    let lastMs = fromMs
    for (const atMs of startsAtMs) {
      if (atMs <= fromMs) continue
      if (lastMs >= wait.untilMs) break
      if (Math.min(atMs, wait.untilMs) - lastMs > drainGapMsMax) {
        const message = `waits, and nothing starts for ${(Math.min(atMs, wait.untilMs) - lastMs).toFixed(0)} ms from ${lastMs.toFixed(0)} ms on`
        yield { id: "L7", taskId: wait.taskId, message }
        return
      }
      lastMs = atMs
    }
  }
}

const fallsBack = (event: TaskEvent): boolean =>
  event._tag === "ClaimReleased" ||
  event._tag === "AttemptReleased" ||
  (event._tag === "AttemptExpired" && event.reason !== "deadline")

type Span = { readonly fromMs: number; readonly untilMs: number }
type Wait = Span & { readonly taskId: string }

const overlapMs = (one: Span, other: Span): number =>
  Math.min(one.untilMs, other.untilMs) - Math.max(one.fromMs, other.fromMs)

/** From then on nothing is broken, paused, held by the dead, or asked for any more. A clock set back makes leases last so much longer. */
const calmAtMsOf = ({ healedAtMs, lost, paused, told }: Outcome, history: History): number => {
  const lastToldMs = told.reduce((latest, { toldAtMs }) => Math.max(latest, toldAtMs), 0)
  const lastPausedMs = paused.reduce((latest, { untilMs }) => Math.max(latest, untilMs + resumedMsMax), 0)
  const knownAtMs = healedAtMs + (lost.length > 0 ? announcedAgainMsMax : 0)
  return Math.max(knownAtMs + repairedMsMax + clockStepMsMaxOf(history), lastToldMs, lastPausedMs)
}

/** A lease by the slowest clock, two looks of a supervisor, and the time after which a broker has given away what the dead held. */
const repairedMsMax = leaseMsDefault + 2 * 1_000 + 2_500
/**
 * A failover may take what a worker has announced and leave its session. Engines hold that nobody serves these kinds until the worker
 * announces them once more: a renewal misses them, the worker looks once in a lease, on a clock that is two in a hundred slow, and the
 * rest of a second lease is for the calls.
 */
const announcedAgainMsMax = 2 * leaseMsDefault * 1.02
/** Until the resume of a kind is done, and known to all engines. */
const resumedMsMax = 2_500

/** When tasks were due and pending, but for those whose kind has caps. */
const waitsOf = ({ databaseMsOf, simulatedMs, sinceStartMsOf, streams }: Outcome): ReadonlyArray<Wait> => {
  const waits: Array<Wait> = []
  // As the database's clock is in the end: once all is calm it has been so.
  const startAtDatabaseMs = databaseMsOf(simulatedMs) - simulatedMs
  for (const stream of streams) {
    if (kindOf(stream) === kinds.paced.kind) continue
    const { events, taskId } = stream
    let before: TaskState | null = null
    let sinceMs = 0
    for (const event of events) {
      const atMs = sinceStartMsOf(event)
      if (before?.stage === "pending" && atMs > sinceMs) waits.push({ taskId, fromMs: sinceMs, untilMs: atMs })
      before = evolve(before, event)
      sinceMs = Math.max(before.dueAtMs - startAtDatabaseMs, atMs)
    }
    if (before?.stage === "pending" && simulatedMs > sinceMs)
      waits.push({ taskId, fromMs: sinceMs, untilMs: simulatedMs })
  }
  return waits
}

/** When sessions held claims that had not started. */
const holdsOf = ({ simulatedMs, sinceStartMsOf, streams }: Outcome): ReadonlyMap<number, ReadonlyArray<Span>> => {
  const holds = new Map<number, Array<Span>>()
  for (const { events } of streams) {
    for (const [index, event] of events.entries()) {
      if (event._tag !== "TaskClaimed") continue
      const next = events[index + 1]
      const span = { fromMs: sinceStartMsOf(event), untilMs: next === undefined ? simulatedMs : sinceStartMsOf(next) }
      const known = holds.get(event.sessionId)
      if (known === undefined) holds.set(event.sessionId, [span])
      else known.push(span)
    }
  }
  return holds
}
