import { Clock, Deferred, Duration, Effect, Exit, Option, type Scope, Semaphore } from "effect"
import type { AttemptError, DeadReason, Json } from "./core/TaskEvent.ts"
import type { TaskId } from "./core/TaskId.ts"
import { type StoreUnavailable, TaskNotFound } from "./store/StoreError.ts"
import { batchSizeMax, type EndEvent, type TaskStore } from "./store/TaskStore.ts"

/** How a task has ended, or that it has not. `TaskEnd`, not outcome: that is how one attempt ended. */
export type TaskEnd =
  | { readonly _tag: "Succeeded"; readonly result: Json }
  /** A dead letter; only a person's redrive reopens it. */
  | { readonly _tag: "Dead"; readonly reason: DeadReason; readonly error: AttemptError }
  | { readonly _tag: "Cancelled"; readonly reason: string | null }
  /** It had not started in time, or could not be tried again in time after this failure. */
  | { readonly _tag: "Expired"; readonly error: AttemptError | null }
  /** The wait is over and the task is not: it waits, runs or is parked. */
  | { readonly _tag: "Waiting" }

/** Tasks that one process asks the store about at the same time; who comes later waits for a place, within its timeout. */
export const endsAwaitedMax = 10_000
/** A task is asked about again after a tenth of the time that it has been awaited, within these bounds. */
export const askAgainMsMin = 50
export const askAgainMsMax = 2_000
const askAgainShare = 1 / 10
/** Of a wait: default and longest. Who waits longer asks again. */
export const endTimeoutMsDefault = 30_000
export const endTimeoutMsMax = 86_400_000

export type AwaitEnd = (taskId: TaskId, timeoutMs: number) => Effect.Effect<TaskEnd, StoreUnavailable | TaskNotFound>

type Awaited = {
  readonly answered: Deferred.Deferred<TaskEnd, StoreUnavailable>
  readonly sinceMs: number
  waitersCount: number
  askAtMs: number
}

/**
 * All waits of a process share one fiber, which asks about all of their tasks in statements of up to 1,000 ids; it ends with
 * the last of them. Nobody holds a connection while waiting, and no process has to tell another one: the history does.
 */
export const make = Effect.fnUntraced(function* (
  ends: TaskStore["Service"]["ends"]
): Effect.fn.Return<AwaitEnd, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const places = yield* Semaphore.make(endsAwaitedMax)
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const awaited = new Map<TaskId, Awaited>()
  let isAsking = false

  const askAbout = Effect.fnUntraced(function* (batch: ReadonlyArray<readonly [TaskId, Awaited]>) {
    const exit = yield* Effect.exit(ends(batch.map(([taskId]) => taskId)))
    const nowMs = monotonicMs()
    if (Exit.isFailure(exit)) {
      for (const [, { answered }] of batch) Deferred.doneUnsafe(answered, Exit.failCause(exit.cause))
      return
    }
    const found = new Map(exit.value.map(({ end, taskId }) => [taskId, end]))
    for (const [taskId, task] of batch) {
      const end = found.get(taskId) ?? null
      if (end !== null) Deferred.doneUnsafe(task.answered, Effect.succeed(endOf(end)))
      const againMs = (nowMs - task.sinceMs) * askAgainShare
      task.askAtMs = nowMs + Math.min(askAgainMsMax, Math.max(askAgainMsMin, againMs))
    }
  })

  const ask = Effect.gen(function* () {
    while (true) {
      yield* Effect.sleep(askAgainMsMin)
      if (awaited.size === 0) {
        // In one step with the look, or who comes in between would wait for nobody.
        isAsking = false
        return
      }
      const nowMs = monotonicMs()
      const due = Array.from(awaited).filter(([, { askAtMs }]) => askAtMs <= nowMs)
      for (let from = 0; from < due.length; from += batchSizeMax) yield* askAbout(due.slice(from, from + batchSizeMax))
    }
  })

  const join = (taskId: TaskId) =>
    Effect.suspend(() => {
      const nowMs = monotonicMs()
      const task = awaited.get(taskId) ?? {
        answered: Deferred.makeUnsafe(),
        sinceMs: nowMs,
        waitersCount: 0,
        askAtMs: 0
      }
      awaited.set(taskId, task)
      task.waitersCount++
      task.askAtMs = Math.min(task.askAtMs, nowMs)
      if (isAsking) return Effect.succeed(task)
      isAsking = true
      return Effect.as(Effect.forkIn(ask, scope), task)
    })

  const leave = (taskId: TaskId, task: Awaited) =>
    Effect.sync(() => {
      if (--task.waitersCount === 0 && awaited.get(taskId) === task) awaited.delete(taskId)
    })

  const wait = (taskId: TaskId) =>
    places.withPermit(
      Effect.acquireUseRelease(
        join(taskId),
        ({ answered }) => Deferred.await(answered),
        (task) => leave(taskId, task)
      )
    )

  return Effect.fnUntraced(function* (taskId, timeoutMs) {
    const [first] = yield* ends([taskId])
    if (first === undefined) return yield* new TaskNotFound({ taskId })
    if (first.end !== null) return endOf(first.end)
    if (timeoutMs === 0) return stillWaiting
    const answer = yield* Effect.timeoutOption(wait(taskId), Duration.millis(timeoutMs))
    return Option.getOrElse(answer, () => stillWaiting)
  })
})

const stillWaiting: TaskEnd = { _tag: "Waiting" }

const endOf = (event: EndEvent): TaskEnd => {
  switch (event._tag) {
    case "AttemptSucceeded":
    case "TaskReconciled":
      return { _tag: "Succeeded", result: event.result }
    case "TaskDeadLettered":
      return { _tag: "Dead", reason: event.reason, error: event.error }
    case "TaskCancelled":
      return { _tag: "Cancelled", reason: event.reason }
    case "TaskExpired":
      return { _tag: "Expired", error: event.error }
  }
}
