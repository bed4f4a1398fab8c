import type { Context } from "effect"
import {
  armedTasks,
  byLane,
  claimLagMs,
  counterOf,
  dispatchLagMs,
  histogramOf,
  type Lane,
  republishedTotal
} from "../DuetimeMetrics.ts"
import type { Armed } from "./QueueLoad.ts"

/** Updates the metrics of what an engine brings on its way: the first two parts of the drift. */
export type DispatchMetrics = {
  readonly claimed: (armed: Armed) => void
  readonly published: (armed: Armed, dispatchedAtMs: number) => void
  /** So many are claimed and not yet due. */
  readonly armed: (count: number) => void
}

export const makeDispatchMetrics = (context: Context.Context<never>): DispatchMetrics => {
  const handles = byLane(handlesOf)
  const laneOf = ({ load, task }: Armed): Lane => ({ kind: task.kind, queue: load.queue, priority: task.priority })
  return {
    claimed: (armed) => {
      const { claimedAtMs = 0, task } = armed
      handles(laneOf(armed)).claimLag.updateUnsafe(Math.max(0, claimedAtMs - task.dueAtMs), context)
    },
    published: (armed, dispatchedAtMs) => {
      const { claimedAtMs, repeat = 0, task } = armed
      const { dispatchLag, republished } = handles(laneOf(armed))
      if (repeat > 0) return republished.updateUnsafe(1, context)
      const readyAtMs = Math.max(task.dueAtMs, claimedAtMs ?? task.dueAtMs)
      dispatchLag.updateUnsafe(Math.max(0, dispatchedAtMs - readyAtMs), context)
    },
    armed: (count) => armedTasks.updateUnsafe(count, context)
  }
}

const handlesOf = (lane: Lane) => ({
  claimLag: histogramOf(claimLagMs, lane),
  dispatchLag: histogramOf(dispatchLagMs, lane),
  republished: counterOf(republishedTotal, lane)
})
