/** What no fault excuses: a process that lives and reaches the database keeps what it holds, and runs what it has started. */
import { evolve } from "../../src/core/evolve.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { Broken } from "./Broken.ts"
import type { FaultTag } from "./Fault.ts"
import type { Outcome } from "./World.ts"

/** Faults that take no lease from anybody. */
const harmlessToLeases: ReadonlyArray<FaultTag> = [
  "BrokerDown",
  "BrokerEmptied",
  "ClockJump",
  "Crash",
  "CrashAtLeg",
  "DatabaseClockJump",
  "Duplicate",
  "Unreliable"
]

/** A jump of the database's clock ends every lease on paper. Nothing may come of it. */
export function* theLivingAreNotLost({ died, fired, streams }: Outcome): Iterable<Broken> {
  if (!isOnly(fired, harmlessToLeases)) return
  const dead = new Set(died.map(({ sessionId }) => sessionId))
  for (const { events, taskId } of streams) {
    let before: TaskState | null = null
    for (const event of events) {
      const sessionId = before?.sessionId ?? null
      const isLost = event._tag !== "AttemptReleased" && "reason" in event && event.reason === "session-lost"
      if (isLost && sessionId !== null && !dead.has(sessionId)) {
        const message = `${event._tag}: session ${sessionId} is said to be lost, its process lives and could reach the database`
        yield { id: "S5", taskId, message }
      }
      before = evolve(before, event)
    }
  }
}

/** Faults that leave a process its time: none stops it, or keeps anything from it for long. */
const harmlessToTime: ReadonlyArray<FaultTag> = [
  ...harmlessToLeases.filter((tag) => tag !== "DatabaseClockJump"),
  "Lose",
  "Refuse"
]

/** An answer that was lost may be one to a start; what was started must not lie there until its deadline. */
export function* wonStartsAreCalled({ died, fired, ledger, streams }: Outcome): Iterable<Broken> {
  if (!isOnly(fired, harmlessToTime)) return
  const dead = new Set(died.map(({ sessionId }) => sessionId))
  const called = new Set(ledger.map(({ attempt, taskId }) => `${taskId} ${attempt}`))
  for (const { events, taskId } of streams) {
    let sessionId: number | null = null
    for (const event of events) {
      if (event._tag === "AttemptStarted") ({ sessionId } = event)
      const isTimedOut = event._tag === "AttemptExpired" || event._tag === "TaskParked"
      if (!isTimedOut || event.reason !== "deadline" || sessionId === null || dead.has(sessionId)) continue
      if (called.has(`${taskId} ${event.attempt}`)) continue
      const message = `attempt ${event.attempt} was started by session ${sessionId}, which lived, and never called`
      yield { id: "S6", taskId, message }
    }
  }
}

const isOnly = (fired: Outcome["fired"], tags: ReadonlyArray<FaultTag>): boolean =>
  [...fired.keys()].every((name) => tags.some((tag) => name.startsWith(`${tag}@`)))
