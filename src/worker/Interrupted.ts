import type { Effect } from "effect"
import type { ExpiryReason } from "../core/TaskEvent.ts"
import type { Parked } from "../store/TaskStore.ts"
import type { Answer } from "./Answer.ts"
import { type AttemptFacts, dateAt, untilSettled } from "./Attempt.ts"
import { recordGraceMs } from "./Deadlines.ts"

/** What a reconciler knows about the attempt that was interrupted: the facts its handler had, and how it ended. */
export interface Interrupted extends Omit<AttemptFacts, "traceparent"> {
  readonly parkedAt: Date
  /** The worker died or lost its lease, or the attempt ran too long. */
  readonly reason: ExpiryReason
  /** Counted from 1: how often the outside has been asked about this attempt, this time included. */
  readonly ask: number
}

/** The same for an async function. */
export interface AsyncInterrupted extends Interrupted {
  /** Aborted when the outside takes too long to answer, or the worker stops. */
  readonly signal: AbortSignal
}

export const interruptedOf = (parked: Parked): Interrupted => ({
  taskId: parked.taskId,
  kind: parked.kind,
  number: parked.attempt,
  dueAt: dateAt(parked.dueAtMs),
  startedAt: dateAt(parked.startedAtMs),
  deadline: dateAt(parked.deadlineAtMs - recordGraceMs),
  idempotencyKey: parked.taskId,
  fence: parked.attemptFence.version,
  parkedAt: dateAt(parked.parkedAtMs),
  reason: parked.reason,
  ask: parked.askedCount
})

export const reconcileAsync = <Result>(
  interrupted: Interrupted,
  reconcile: (interrupted: AsyncInterrupted) => Promise<Answer<Result>>
): Effect.Effect<Answer<Result>, unknown> => untilSettled((signal) => reconcile({ ...interrupted, signal }))
