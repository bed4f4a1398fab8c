/**
 * The three ways tasks come in: a file, at once; a steady stream that does not care whether the scheduler keeps up;
 * and a burst that is due in one millisecond. Every task has a key, so what was scheduled before a kill is found again.
 */
import { Clock, Effect } from "effect"
import { Duetime, type ScheduleError, type UntypedTask } from "../../src/index.ts"
import type { Progress } from "./progress.ts"
import type { RunFolder } from "./runFolder.ts"
import { type AskedTask, steadyPerSecond } from "./taskFile.ts"

/** Tasks per call. */
const batchTasks = 500
const tickMs = 50
/** How long before its due time a steady task is scheduled. */
const leadMs = 1_000

/** The three ways in. What a run before this one has scheduled of the steady stream and the burst is not asked again. */
export const load = Effect.fnUntraced(function* (
  { asked, plan }: RunFolder,
  progress: Progress,
  known: ReadonlySet<string>
) {
  const isNew = ({ key, kind }: { readonly kind: string; readonly key: string }) => !known.has(`${kind} ${key}`)
  progress.phase = "scheduling"
  // All of the file again, also when a run before has scheduled some of it: their keys tell which are there.
  progress.scheduledCount -= asked.file.filter((task) => !isNew(task)).length
  yield* scheduleAll(asked.file, progress)
  progress.phase = "steady"
  const steady = asked.steady.filter(isNew)
  const burst = asked.burst.filter(isNew)
  const burstInMs = Math.max(2_000, Math.min(plan.steadySeconds, steady.length / 100) * 500)
  yield* Effect.all([steadyLoad(steady, progress), burstLoad(burst, burstInMs, progress)], { concurrency: 2 })
})

/** Schedules them all as they are; resumed runs meet tasks that are there already. */
const scheduleAll = Effect.fnUntraced(function* (
  tasks: ReadonlyArray<AskedTask>,
  progress: Progress
): Effect.fn.Return<void, ScheduleError, Duetime> {
  for (let from = 0; from < tasks.length; from += batchTasks) {
    yield* scheduleBatch(tasks.slice(from, from + batchTasks), progress)
  }
})

/** An open loop: each task has its instant, fixed beforehand, and is scheduled a second ahead of it. */
const steadyLoad = Effect.fnUntraced(function* (
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

const burstLoad = Effect.fnUntraced(function* (
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
