/** What no fault excuses: a process that lives and reaches the database keeps what it holds, and runs what it has started. */
import { evolve } from "../../src/core/evolve.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import type { Fault } from "../../src/testing/simulation/Fault.ts"
import type { History } from "./History.ts"
import type { Outcome } from "./World.ts"

/** A jump of the database's clock ends every lease on paper. Nothing may come of it. */
export function* theLivingAreNotLost({ died, nodeOfSession, streams }: Outcome, { faults }: History): Iterable<Broken> {
  const dead = new Set(died.map(({ sessionId }) => sessionId))
  for (const { events, taskId } of streams) {
    let before: TaskState | null = null
    for (const event of events) {
      const sessionId = before?.sessionId ?? null
      const isLost = event._tag !== "AttemptReleased" && "reason" in event && event.reason === "session-lost"
      const node = nodeOfSession.get(sessionId ?? -1)
      const isLiving = sessionId !== null && node !== undefined && !dead.has(sessionId)
      if (isLost && isLiving && !faults.some((fault) => mayCostLease(fault, node))) {
        const message = `${event._tag}: session ${sessionId} is said to be lost, its process lives and could reach the database`
        yield { id: "S5", taskId, message }
      }
      before = evolve(before, event)
    }
  }
}

/** An answer that was lost may be one to a start; what was started must not lie there until its deadline. */
export function* wonStartsAreCalled(
  { died, ledger, nodeOfSession, streams }: Outcome,
  { faults }: History
): Iterable<Broken> {
  const dead = new Set(died.map(({ sessionId }) => sessionId))
  const called = new Set(ledger.map(({ attempt, taskId }) => `${taskId} ${attempt}`))
  for (const { events, taskId } of streams) {
    let sessionId: number | null = null
    for (const event of events) {
      if (event._tag === "AttemptStarted") ({ sessionId } = event)
      const isTimedOut = event._tag === "AttemptExpired" || event._tag === "TaskParked"
      if (!isTimedOut || event.reason !== "deadline" || sessionId === null || dead.has(sessionId)) continue
      const node = nodeOfSession.get(sessionId)
      if (node === undefined || faults.some((fault) => mayCostTime(fault, node))) continue
      if (called.has(`${taskId} ${event.attempt}`)) continue
      const message = `attempt ${event.attempt} was started by session ${sessionId}, which lived, and never called`
      yield { id: "S6", taskId, message }
    }
  }
}

/** It stops a process of that node, keeps it from the database, or takes its session: what it says of others is nothing to it. */
const mayCostLease = (fault: Fault, node: number): boolean => {
  switch (fault._tag) {
    case "Failover":
    case "Restore":
      return true
    case "CutOff":
    case "Pause":
    case "PauseAtLeg":
    case "PoolExhausted":
      return fault.node === node
    case "Delay":
    case "Lose":
    case "Refuse":
      return fault.node === node && (fault.operation === "renew" || fault.operation === "openSession")
    default:
      return false
  }
}

const mayCostTime = (fault: Fault, node: number): boolean =>
  fault._tag === "DatabaseClockJump" || (fault._tag === "Delay" && fault.node === node) || mayCostLease(fault, node)
