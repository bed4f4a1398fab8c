import { Cause, Deferred, Effect, Exit, Option, type Scope } from "effect"
import type { DueBeyondHorizon, StoreUnavailable } from "../StoreError.ts"
import { batchSizeMax, type NewTask, type Scheduled } from "../TaskStore.ts"

/**
 * Callers that schedule at the same time share statements and commits: what comes while two are under way makes up the next one.
 * Who comes alone waits for nobody. Each gets its own answer, and its own error: when a shared statement was refused, each of
 * its requests is tried by itself; when nobody knows whether it was committed, all of them are told so, and repeat.
 */
export type Schedule = (
  batch: ReadonlyArray<NewTask>
) => Effect.Effect<ReadonlyArray<Scheduled>, StoreUnavailable | DueBeyondHorizon>

/** One is being committed while the next one is sent. */
export const statementsAtOnceMax = 2

type Request = {
  readonly batch: ReadonlyArray<NewTask>
  readonly answered: Deferred.Deferred<ReadonlyArray<Scheduled>, StoreUnavailable | DueBeyondHorizon>
}

export const make = Effect.fnUntraced(function* (schedule: Schedule): Effect.fn.Return<Schedule, never, Scope.Scope> {
  const scope = yield* Effect.scope
  let statementsCount = 0
  /** Of at most one batch together: who finds no room there goes alone. */
  let waiting: Array<Request> = []

  const answer = (requests: ReadonlyArray<Request>) =>
    Effect.gen(function* () {
      const together = yield* Effect.exit(schedule(requests.flatMap(({ batch }) => batch)))
      let from = 0
      for (const { answered, batch } of requests) {
        const own = together.pipe(Exit.map((answers) => answers.slice(from, from + batch.length)))
        from += batch.length
        const isShared = requests.length > 1 && isRefused(together)
        Deferred.doneUnsafe(answered, isShared ? yield* Effect.exit(schedule(batch)) : own)
      }
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) return
          for (const { answered } of requests) Deferred.doneUnsafe(answered, Exit.failCause(exit.cause))
        })
      )
    )

  const ended: Effect.Effect<void> = Effect.suspend(() => {
    statementsCount--
    if (waiting.length === 0) return Effect.void
    const requests = waiting
    waiting = []
    statementsCount++
    return Effect.asVoid(Effect.forkIn(Effect.ensuring(answer(requests), ended), scope))
  })

  const wait = (batch: ReadonlyArray<NewTask>) =>
    Effect.suspend(() => {
      const request: Request = { batch, answered: Deferred.makeUnsafe() }
      waiting.push(request)
      return Effect.onInterrupt(Deferred.await(request.answered), () =>
        Effect.sync(() => {
          waiting = waiting.filter((other) => other !== request)
        })
      )
    })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const { answered } of waiting) Deferred.doneUnsafe(answered, Exit.interrupt())
    })
  )

  return (batch) =>
    Effect.uninterruptibleMask((restore) => {
      if (statementsCount < statementsAtOnceMax) {
        statementsCount++
        return Effect.ensuring(restore(schedule(batch)), ended)
      }
      const waitingTasks = waiting.reduce((sum, request) => sum + request.batch.length, 0)
      return restore(waitingTasks + batch.length > batchSizeMax ? schedule(batch) : wait(batch))
    })
})

/** Nothing was stored, and it is known: also when one of them cannot be stored at all, which is a defect. */
const isRefused = (exit: Exit.Exit<unknown, StoreUnavailable | DueBeyondHorizon>): boolean => {
  if (Exit.isSuccess(exit) || Cause.hasInterrupts(exit.cause)) return false
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return !(error?._tag === "StoreUnavailable" && error.commitUnknown)
}
