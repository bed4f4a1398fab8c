/** How soon: repairs after a process was killed, and starts where nothing went wrong. */
import { evolve } from "../../src/core/evolve.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import { leaseMsDefault } from "../../src/store/Session.ts"
import { kinds } from "./handlers.ts"
import type { History } from "./History.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import type { Outcome } from "./World.ts"

/** Two looks of a supervisor, a clock that is two in a hundred slow over a lease, and the ways to and fro. */
const repairMsMax = leaseMsDefault + 2 * 1_000 + 500

export function* deathsAreRepairedSoon({
  died,
  fired,
  healedAtMs,
  sinceStartMsOf,
  streams
}: Outcome): Iterable<Broken> {
  // Leases move with the database's clock.
  if (fired.has("DatabaseClockJump@instant")) return
  const diedAtMs = new Map(died.map(({ atMs, sessionId }) => [sessionId, atMs]))
  for (const { events, taskId } of streams) {
    let before: TaskState | null = null
    for (const event of events) {
      const isHeld = before?.stage === "claimed" || before?.stage === "running"
      const deadSinceMs = isHeld && before !== null ? diedAtMs.get(before.sessionId ?? -1) : undefined
      if (deadSinceMs !== undefined) {
        const sinceMs = Math.max(deadSinceMs, healedAtMs)
        const atMs = sinceStartMsOf(event)
        if (atMs > sinceMs + repairMsMax) {
          const message = `is moved ${atMs - sinceMs} ms after the process that held it died and all was whole`
          yield { id: "L2", taskId, message }
        }
      }
      before = evolve(before, event)
    }
  }
}

/** Idle poll of a quiet queue, a claim, and a pull should the dispatch meet a full worker. */
const lateMsMax = 1_500
const busyLookMs = 500

export function* nothingIsLateWithoutCause(
  { killedAtMs, streams }: Outcome,
  { concurrency, faults, pauses }: History
): Iterable<Broken> {
  // A node's own clock may say what it wants.
  if (faults.some(({ _tag }) => _tag !== "ClockJump") || pauses.length > 0 || killedAtMs.size > 0) return
  const running: Array<{ readonly fromMs: number; readonly untilMs: number }> = []
  const late: Array<{ readonly taskId: string; readonly atMs: number; readonly lateMs: number }> = []
  for (const { events, taskId } of streams) {
    let before: TaskState | null = null
    let startedAtMs: number | null = null
    let dueSinceMs = Number.POSITIVE_INFINITY
    for (const event of events) {
      if (startedAtMs !== null) {
        running.push({ fromMs: startedAtMs, untilMs: event.atMs })
        startedAtMs = null
      }
      if (event._tag === "AttemptStarted") {
        startedAtMs = event.atMs
        const lateMs = event.atMs - dueSinceMs
        if (lateMs > lateMsMax && before?.kind !== kinds.paced.kind) late.push({ taskId, atMs: event.atMs, lateMs })
      }
      before = evolve(before, event)
      if (before.stage === "running") startedAtMs ??= event.atMs
      else if (before.stage === "pending") dueSinceMs = Math.max(before.dueAtMs, event.atMs)
    }
  }
  // A worker with more than one slot keeps one for critical tasks.
  const busyCount = Math.max(1, concurrency - 1)
  for (const { atMs, lateMs, taskId } of late) {
    const seen = running.filter(({ fromMs, untilMs }) => fromMs < atMs && untilMs > atMs - busyLookMs)
    if (seen.length >= busyCount) continue
    yield { id: "L4", taskId, message: `starts ${lateMs} ms late, with ${seen.length} running and no fault at all` }
  }
}
