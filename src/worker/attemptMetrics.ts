import { type Context, Metric } from "effect"
import type { Stage } from "../core/TaskState.ts"
import { attemptsTotal, deadLettersTotal, driftMs, lostOutcomesTotal, retriesTotal } from "../DuetimeMetrics.ts"
import type { Started } from "../store/TaskStore.ts"

/** Updates the metrics of attempts. Handles with attributes are made once per kind and priority, not per attempt. */
export const makeAttemptMetrics = (context: Context.Context<never>) => {
  const handlesByLane = new Map<string, ReturnType<typeof handlesOf>>()
  const handles = (started: Started) => {
    const lane = `${started.priority} ${started.kind}`
    let found = handlesByLane.get(lane)
    if (found === undefined) {
      found = handlesOf(started)
      handlesByLane.set(lane, found)
    }
    return found
  }
  return {
    started: (started: Started): void => {
      const { attempts, drift } = handles(started)
      drift.updateUnsafe(Math.max(0, started.startedAtMs - started.dueAtMs), context)
      attempts.updateUnsafe(1, context)
    },
    ended: (started: Started, stage: Stage | "lost"): void => {
      if (stage === "pending") handles(started).retries.updateUnsafe(1, context)
      else if (stage === "dead") handles(started).deadLetters.updateUnsafe(1, context)
      else if (stage === "lost") lostOutcomesTotal.updateUnsafe(1, context)
    }
  }
}

const handlesOf = ({ kind, priority }: Started) => ({
  drift: Metric.withAttributes(driftMs, { kind, priority }),
  attempts: Metric.withAttributes(attemptsTotal, { kind, priority }),
  retries: Metric.withAttributes(retriesTotal, { kind, priority }),
  deadLetters: Metric.withAttributes(deadLettersTotal, { kind, priority })
})
