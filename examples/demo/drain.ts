import { Clock, Effect } from "effect"
import { TaskStore } from "../../src/store/TaskStore.ts"
import type { Progress } from "./progress.ts"

/**
 * Longest wait for one more task to end. The lease of a run that was killed takes 5 s, and so does the longest retry; what
 * was cut off is asked about a few seconds later, and again after 10 s. A slow machine may take its time, but something
 * must end now and then.
 */
const standstillMsMax = 30_000
const lookIntervalMs = 250

/**
 * The stages are looked at one after the other, and the claims of a dead session go back from one to the other in between
 * (seen once: 181 tasks of a killed run in none of them). Not twice in a row.
 */
const emptyLooksMin = 2

/** Waits until no task is waiting, in progress or parked, or nothing moves any more, which is for the check to report. */
export const drained = Effect.fnUntraced(function* (progress: Progress) {
  const store = yield* TaskStore
  const isEmpty = Effect.map(
    Effect.forEach(["pending", "claimed", "running", "parked"] as const, (stage) => store.find({ stage, limit: 1 })),
    (pages) => pages.every(({ tasks }) => tasks.length === 0)
  )
  let endedCount = progress.endedCount
  let endedAtMs = yield* Clock.currentTimeMillis
  let emptyLooks = 0
  while (true) {
    emptyLooks = (yield* isEmpty) ? emptyLooks + 1 : 0
    if (emptyLooks === emptyLooksMin) return
    yield* Effect.sleep(lookIntervalMs)
    const nowMs = yield* Clock.currentTimeMillis
    if (progress.endedCount > endedCount) endedAtMs = nowMs
    else if (nowMs - endedAtMs > standstillMsMax) return
    endedCount = progress.endedCount
  }
})
