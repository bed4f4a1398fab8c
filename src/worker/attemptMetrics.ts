import type { Context } from "effect"
import type { Outcome } from "../core/TaskCommand.ts"
import type { Stage } from "../core/TaskState.ts"
import {
  attemptsTotal,
  byLane,
  claimLagMs,
  counterOf,
  deadLettersTotal,
  deliveryLagMs,
  driftMs,
  histogramOf,
  type Lane,
  lostOutcomesTotal,
  outcomesTotal,
  retriesTotal
} from "../DuetimeMetrics.ts"
import type { Started } from "../store/TaskStore.ts"

/** How a start came to the worker: when it was published, or without a dispatch pulled from the store or claimed at once. */
export type Arrival = number | "pulled" | "direct"

export type OutcomeWord = "succeeded" | "failed" | "snoozed" | "discarded" | "released" | "lost"

export const outcomeWords: Readonly<Record<Outcome["_tag"], OutcomeWord>> = {
  Succeed: "succeeded",
  Fail: "failed",
  Snooze: "snoozed",
  Discard: "discarded",
  Release: "released"
}

/** Updates the metrics of attempts. */
export const makeAttemptMetrics = (context: Context.Context<never>) => {
  const handles = byLane(handlesOf)
  const laneOf = ({ kind, priority }: Started, queue: string): Lane => ({ kind, queue, priority })
  return {
    started: (started: Started, queue: string, arrival: Arrival): void => {
      const { attempts, claimLag, deliveryLag, drift } = handles(laneOf(started, queue))
      const driftMs = Math.max(0, started.startedAtMs - started.dueAtMs)
      drift.updateUnsafe(driftMs, context)
      attempts.updateUnsafe(1, context)
      if (arrival === "direct") claimLag.updateUnsafe(driftMs, context)
      else if (arrival !== "pulled") deliveryLag.updateUnsafe(Math.max(0, started.startedAtMs - arrival), context)
    },
    ended: (started: Started, queue: string, outcome: OutcomeWord, stage: Stage | "lost"): void => {
      const { deadLetters, outcomes, retries } = handles(laneOf(started, queue))
      outcomes[outcome].updateUnsafe(1, context)
      if (stage === "pending") retries.updateUnsafe(1, context)
      else if (stage === "dead") deadLetters.updateUnsafe(1, context)
      else if (stage === "lost") lostOutcomesTotal.updateUnsafe(1, context)
    }
  }
}

const handlesOf = (lane: Lane) => {
  const outcome = (word: OutcomeWord) => counterOf(outcomesTotal, { ...lane, outcome: word })
  return {
    drift: histogramOf(driftMs, lane),
    claimLag: histogramOf(claimLagMs, lane),
    deliveryLag: histogramOf(deliveryLagMs, lane),
    attempts: counterOf(attemptsTotal, lane),
    retries: counterOf(retriesTotal, lane),
    deadLetters: counterOf(deadLettersTotal, lane),
    outcomes: {
      succeeded: outcome("succeeded"),
      failed: outcome("failed"),
      snoozed: outcome("snoozed"),
      discarded: outcome("discarded"),
      released: outcome("released"),
      lost: outcome("lost")
    }
  }
}
