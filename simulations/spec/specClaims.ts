/** Which tasks a claim takes and a pull finds: the most urgent and oldest first. */
import type { Operation } from "./Operation.ts"
import { claimOf, startedOf } from "./specAnswers.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import { anything, type Name, type PriorityWord } from "./facts.ts"

export const urgency: ReadonlyArray<PriorityWord> = ["critical", "high", "normal", "low"]
const dayMs = 86_400_000

type Claim = Extract<Operation, { readonly tag: "Claim" }>

export const claimed = (spec: SpecDatabase, operation: Claim) => {
  const { concurrencyMax, kinds, limit, priorities, session } = operation
  const waiting = spec.names().filter((name) => {
    const { kind, priority, stage } = spec.task(name)
    const isAsked = kinds.includes(kind) && (priorities === null || priorities.includes(priority))
    return stage === "pending" && isAsked && !spec.isPaused(kind)
  })
  const inProgressCount = spec.names().filter((name) => {
    const { kind, stage } = spec.task(name)
    return kinds.includes(kind) && (stage === "claimed" || stage === "running")
  }).length
  const room = concurrencyMax === null ? Infinity : Math.max(0, concurrencyMax - inProgressCount)
  const isAlive = spec.isAlive(session)
  const horizonMs = spec.nowMs + (concurrencyMax === null ? operation.lookAheadMs : 0)
  const due = isAlive ? waiting.filter((name) => spec.task(name).dueAtMs <= horizonMs) : []
  const names = due.toSorted(mostUrgentFirst(spec)).slice(0, Math.min(limit, room))
  const left = waiting.filter((name) => !names.includes(name)).map((name) => spec.task(name).dueAtMs)
  const nextDueAtMs = Math.min(Infinity, ...left)
  return {
    names,
    /** A session without a lease asks for nothing. */
    nextDueAtMs: !isAlive ? anything : nextDueAtMs <= spec.nowMs + dayMs ? nextDueAtMs : null,
    isCapped: room < limit && names.length === room
  }
}

/** Claims and starts, in one. */
export const startDue = (spec: SpecDatabase, operation: Extract<Operation, { readonly tag: "StartDue" }>): unknown => {
  const { kinds, requests, session } = operation
  const asked = { session, kinds: kinds.map(({ kind }) => kind), limit: requests.length, lookAheadMs: 0 }
  const { names } = claimed(spec, { tag: "Claim", ...asked, priorities: null, concurrencyMax: null })
  return names.map((name, index) => {
    spec.move(name, { tag: "Claim", session }, null)
    const { fence, kind } = spec.task(name)
    const timeoutMs = kinds.find((served) => served.kind === kind)?.timeoutMs ?? 0
    const start = { fence: fence ?? 0, session, timeoutMs, dispatchedAtMs: null }
    spec.move(name, { tag: "Start", ...start }, requests[index] ?? null)
    return startedOf(spec, name)
  })
}

export const pulled = (spec: SpecDatabase, operation: Extract<Operation, { readonly tag: "Pull" }>): unknown => {
  const { fromLowest, kinds, limit, overdueMs, suspectsMax } = operation
  const overdue = spec.names().filter((name) => {
    const { dueAtMs, expiresAtMs, kind, stage } = spec.task(name)
    const mayStart = expiresAtMs === null || spec.nowMs < expiresAtMs
    return (
      stage === "claimed" &&
      mayStart &&
      kinds.includes(kind) &&
      !spec.isPaused(kind) &&
      dueAtMs <= spec.nowMs - overdueMs
    )
  })
  const ordered = overdue.toSorted(mostUrgentFirst(spec))
  const suspects = ordered.filter((name) => spec.task(name).deaths >= 2).slice(suspectsMax)
  const left = new Set(suspects)
  const fit = ordered.filter((name) => !left.has(name))
  const first = fit.slice(0, Math.max(0, limit - fromLowest))
  // Of the lower lanes the lowest, and of each lane the oldest.
  const lowest = fit.filter((name) => !first.includes(name)).toSorted(leastUrgentFirst(spec))
  return [...first, ...lowest.slice(0, limit - first.length)].toSorted().map((name) => claimOf(spec, name))
}

const mostUrgentFirst =
  (spec: SpecDatabase) =>
  (one: Name, other: Name): number =>
    rankOf(spec, one) - rankOf(spec, other) || oldestFirst(spec, one, other)

const leastUrgentFirst =
  (spec: SpecDatabase) =>
  (one: Name, other: Name): number =>
    rankOf(spec, other) - rankOf(spec, one) || oldestFirst(spec, one, other)

const rankOf = (spec: SpecDatabase, name: Name): number => urgency.indexOf(spec.task(name).priority)

const oldestFirst = (spec: SpecDatabase, one: Name, other: Name): number =>
  spec.task(one).dueAtMs - spec.task(other).dueAtMs ||
  ((idOf(spec, one) ?? one) < (idOf(spec, other) ?? other) ? -1 : 1)

const idOf = (spec: SpecDatabase, name: Name): string | null => spec.streams.get(name)?.id ?? null
