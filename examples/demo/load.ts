/**
 * The three ways tasks come in: a file, at once; a steady stream that does not care whether the scheduler keeps up;
 * and a burst that is due in one millisecond. Every task has a key, so what was scheduled before a kill is found again.
 */
import { Clock, Effect } from "effect"
import { Duetime, type ScheduleError, type UntypedTask } from "../../src/index.ts"
import type { Progress } from "./progress.ts"
import { type AskedTask, steadyPerSecond } from "./taskFile.ts"

/** Tasks per call. */
const batchTasks = 500
const tickMs = 50
/** How long before its due time a steady task is scheduled. */
const leadMs = 1_000

/** Schedules them all as they are; resumed runs meet tasks that are there already. */
export const scheduleAll = Effect.fnUntraced(function* (
  tasks: ReadonlyArray<AskedTask>,
  progress: Progress
): Effect.fn.Return<void, ScheduleError, Duetime> {
  for (let from = 0; from < tasks.length; from += batchTasks) {
    yield* scheduleBatch(tasks.slice(from, from + batchTasks), progress)
  }
})

/** An open loop: each task has its instant, fixed beforehand, and is scheduled a second ahead of it. */
export const steadyLoad = Effect.fnUntraced(function* (
  tasks: ReadonlyArray<AskedTask>,
  progress: Progress
): Effect.fn.Return<void, ScheduleError, Duetime> {
  const firstDueAtMs = (yield* Clock.currentTimeMillis) + leadMs
  const planned = tasks.map((task, index) => ({ ...task, at: firstDueAtMs + (index * 1_000) / steadyPerSecond }))
  let next = 0
  while (next < planned.length) {
    const untilMs = (yield* Clock.currentTimeMillis) + leadMs
    const from = next
    while (next < planned.length && (planned[next]?.at ?? 0) <= untilMs) next++
    yield* scheduleBatch(planned.slice(from, next), progress)
    yield* Effect.sleep(tickMs)
  }
  // Until the last one is due.
  yield* Effect.sleep(leadMs)
})

export const burstLoad = Effect.fnUntraced(function* (
  tasks: ReadonlyArray<AskedTask>,
  inMs: number,
  progress: Progress
): Effect.fn.Return<void, ScheduleError, Duetime> {
  const at = (yield* Clock.currentTimeMillis) + inMs
  for (let from = 0; from < tasks.length; from += batchTasks) {
    const batch = tasks.slice(from, from + batchTasks).map((task) => ({ ...task, at }))
    yield* scheduleBatch(batch, progress)
  }
})

const scheduleBatch = Effect.fnUntraced(function* (tasks: ReadonlyArray<UntypedTask>, progress: Progress) {
  if (tasks.length === 0) return
  const duetime = yield* Duetime
  const receipts = yield* duetime.scheduleUntyped(tasks)
  const conflict = receipts.findIndex((receipt) => receipt.keyConflict)
  if (conflict !== -1) return yield* Effect.die(new Error(`the key ${tasks[conflict]?.key} was used for another task`))
  progress.scheduledCount += tasks.length
})
