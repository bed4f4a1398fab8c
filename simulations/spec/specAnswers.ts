/** What the spec answers about a task: as whoever holds it, has started it or is to ask about it is told. */
import type { Json } from "../../src/core/TaskEvent.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import type { Name, Recorded } from "./facts.ts"

export const claimOf = (spec: SpecDatabase, name: Name) => {
  const { deaths, dueAtMs, fence, kind, priority } = spec.task(name)
  return { task: name, kind, priority, dueAtMs, fence, isSuspect: deaths >= 2 }
}

export const startedOf = (spec: SpecDatabase, name: Name) => {
  const { attempt, charged, deadlineAtMs, dueAtMs, fence, followed, kind, priority } = spec.task(name)
  const times = { dueAtMs, startedAtMs: spec.factAt(name, fence)?.atMs, deadlineAtMs }
  const payload = payloadOf(spec, name)
  return { tag: "Started", task: name, kind, priority, ...times, attempt, charged, fence, payload, followed }
}

export const parkedOf = (spec: SpecDatabase, name: Name, askedCount: number, isLastAsk: boolean) => {
  const { attempt, dueAtMs, fence, kind, priority } = spec.task(name)
  const facts = factsOf(spec, name)
  const start = facts.findLast(({ tag }) => tag === "AttemptStarted")
  const parking = facts.at(-1)
  return {
    task: name,
    kind,
    priority,
    payload: payloadOf(spec, name),
    attempt,
    dueAtMs,
    startedAtMs: start?.atMs,
    deadlineAtMs: start?.tag === "AttemptStarted" ? start.deadlineAtMs : null,
    attemptFence: start?.version,
    parkedAtMs: parking?.atMs,
    reason: parking?.tag === "TaskParked" ? parking.reason : null,
    fence,
    askedCount,
    isLastAsk
  }
}

export const letterOf = (spec: SpecDatabase, name: Name) => {
  const { attempt, kind, priority, version } = spec.task(name)
  const death = factsOf(spec, name).at(-1)
  const of = death?.tag === "TaskDeadLettered" ? { reason: death.reason, errorName: death.error.name } : {}
  return { task: name, version, kind, priority, attempt, deadAtMs: death?.atMs, ...of }
}

/** The last fact of a task that has ended; null: it has not. */
export const endOf = (spec: SpecDatabase, name: Name) => {
  const last = factsOf(spec, name).at(-1)
  return { task: name, end: last !== undefined && ends.has(last.tag) ? last : null }
}

const ends = new Set<Recorded["tag"]>([
  "AttemptSucceeded",
  "TaskReconciled",
  "TaskDeadLettered",
  "TaskCancelled",
  "TaskExpired"
])

const factsOf = (spec: SpecDatabase, name: Name): ReadonlyArray<Recorded> => spec.streams.get(name)?.facts ?? []

const payloadOf = (spec: SpecDatabase, name: Name): Json => {
  const [first] = factsOf(spec, name)
  return first?.tag === "TaskScheduled" ? first.payload : null
}
