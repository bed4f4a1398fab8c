import { Effect } from "effect"
import { TaskStore } from "../../src/store/TaskStore.ts"

/** Longest wait for the last retries and for the leases of a run that was killed. */
const drainMsMax = 60_000
const lookIntervalMs = 250

/** Waits until no task is waiting or in progress. One that takes too long is for the check to report. */
export const drained = Effect.gen(function* () {
  const store = yield* TaskStore
  const isEmpty = Effect.map(
    Effect.forEach(["pending", "claimed", "running"] as const, (stage) => store.find({ stage, limit: 1 })),
    (pages) => pages.every(({ tasks }) => tasks.length === 0)
  )
  while (!(yield* isEmpty)) yield* Effect.sleep(lookIntervalMs)
}).pipe(Effect.timeoutOption(drainMsMax))
