/** How long it took until what a killed process held was somebody else's or free again, read from the histories. */
import type { TaskEvent } from "../../src/core/TaskEvent.ts"

export type Repairs = {
  /** Of attempts that a killed worker had started, in ms from the kill. */
  readonly attempts: Array<number>
  /** Of claims that a killed engine had and nobody had started. A claim that is due meanwhile is pulled by workers. */
  readonly claims: Array<number>
}

/** What ends a hold from outside. An outcome was on its way when its process died: nothing had to be repaired. */
const repairsAttempt = new Set<TaskEvent["_tag"]>(["AttemptExpired", "TaskParked", "TaskDeadLettered"])
const repairsClaim = new Set<TaskEvent["_tag"]>(["ClaimReleased", "AttemptStarted"])

/** @param killedAtMs by session, by the clock of this machine, which is the database's as well */
export const collectRepairs = (
  events: ReadonlyArray<TaskEvent>,
  killedAtMs: ReadonlyMap<number, number>,
  into: Repairs
): void => {
  for (const [index, event] of events.entries()) {
    if (event._tag !== "TaskClaimed" && event._tag !== "AttemptStarted") continue
    const killed = killedAtMs.get(event.sessionId)
    const next = events[index + 1]
    if (killed === undefined || event.atMs > killed || next === undefined || next.atMs <= killed) continue
    if (event._tag === "TaskClaimed" && repairsClaim.has(next._tag)) into.claims.push(next.atMs - killed)
    // A dead letter that its own worker had sent off comes at once.
    if (event._tag === "AttemptStarted" && repairsAttempt.has(next._tag) && !isOwn(next)) {
      into.attempts.push(next.atMs - killed)
    }
  }
}

/** A handler's failure made it, and not the supervisor. */
const isOwn = (event: TaskEvent): boolean => event._tag === "TaskDeadLettered" && event.error.name !== "AttemptExpired"

export type Summary = { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }

export const summaryOf = (samples: ReadonlyArray<number>): Summary => {
  const sorted = samples.toSorted((left, right) => left - right)
  const at = (share: number) => Math.round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0)
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}
