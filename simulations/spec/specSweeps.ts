/** What is done for tasks that nobody has named: by supervisors, by whoever asks about what is parked, by the relay of dead letters. */
import type { Operation } from "./Operation.ts"
import { letterOf, parkedOf } from "./specAnswers.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import type { Name } from "./facts.ts"

export const isAnyExpired = (spec: SpecDatabase): boolean =>
  spec.sessions.some(({ ended, leaseUntilMs }) => ended === null && leaseUntilMs <= spec.nowMs) ||
  spec.names().some((name) => {
    const { deadlineAtMs, expiresAtMs, session, stage } = spec.task(name)
    const isLate = stage === "pending" || stage === "claimed" ? expiresAtMs : deadlineAtMs
    return (isLate ?? Infinity) <= spec.nowMs || (session !== null && spec.sessions[session]?.ended !== null)
  })

export const endSessions = (spec: SpecDatabase): null => {
  for (const session of spec.sessions)
    if (session.ended === null && session.leaseUntilMs <= spec.nowMs) session.ended = "lost"
  return null
}

/** Null: its session lives, and its deadline has not passed. */
export const interrupt = (spec: SpecDatabase, name: Name) => {
  const { deadlineAtMs, fence, session, stage: from } = spec.task(name)
  if (session === null || fence === null) return null
  const ended = spec.sessions[session]?.ended ?? null
  if (ended === null && (deadlineAtMs ?? Infinity) > spec.nowMs) return null
  const reason = ended === null ? "deadline" : ended === "left" ? "session-left" : "session-lost"
  spec.move(name, { tag: "Interrupt", fence, reason }, null)
  return { task: name, from, stage: spec.task(name).stage }
}

export const expire = (spec: SpecDatabase) => {
  endSessions(spec)
  return byName(spec).flatMap((name) => interrupt(spec, name) ?? [])
}

/** 20 asks: the second 10 s after the first, then after twice as long each time, up to ten minutes. */
const asksMax = 20
const waitMsAfter = (asks: number): number | null =>
  asks < asksMax ? Math.min(10_000 * 2 ** (asks - 1), 600_000) : null

export const takeParked = (
  spec: SpecDatabase,
  { kinds, limit }: Extract<Operation, { readonly tag: "TakeParked" }>
) => {
  const waiting = byName(spec).flatMap((name) => {
    const ask = spec.asks.get(name)
    const { kind } = spec.task(name)
    const isTime = ask !== undefined && ask.atMs !== null && ask.atMs <= spec.nowMs
    return isTime && kinds.includes(kind) && !spec.isPaused(kind) ? [{ ask, name }] : []
  })
  return waiting.slice(0, limit).map(({ ask, name }) => {
    ask.count++
    const waitMs = waitMsAfter(ask.count)
    ask.atMs = waitMs === null ? null : spec.nowMs + waitMs
    return parkedOf(spec, name, ask.count, waitMs === null)
  })
}

export const relayDead = (spec: SpecDatabase, isHeard: boolean) => {
  const names = byName(spec).filter((name) => {
    const { stage, version } = spec.task(name)
    return stage === "dead" && spec.announced.get(name) !== version
  })
  const letters = names.map((name) => letterOf(spec, name))
  if (isHeard) for (const name of names) spec.announced.set(name, spec.task(name).version)
  return { letters, count: isHeard || names.length === 0 ? names.length : "unheard" }
}

const byName = (spec: SpecDatabase): ReadonlyArray<Name> => spec.names().toSorted()
