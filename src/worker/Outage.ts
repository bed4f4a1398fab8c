import { Effect, Option, Result } from "effect"

/** First, and longest, wait between two tries of something that is not reachable. Doubles in between. */
export const retryWaitMsMin = 20
export const retryWaitMsMax = 2_000

/**
 * One thing the worker depends on, seen by all its fibers: reports when it goes away and when it comes back, not every
 * try in between.
 */
export type Outage = {
  /** Repeats the effect until it answers; none if `giveUp` says so after a failure. */
  readonly outlast: <A, E extends Error, R>(
    effect: Effect.Effect<A, E, R>,
    giveUp?: () => boolean
  ) => Effect.Effect<Option.Option<A>, never, R>
}

export const makeOutage = (dependency: string): Outage => {
  let isDown = false
  return {
    outlast: Effect.fnUntraced(function* (effect, giveUp = () => false) {
      let waitMs = retryWaitMsMin
      while (true) {
        const answer = yield* Effect.result(effect)
        if (Result.isSuccess(answer)) {
          if (isDown) {
            isDown = false
            yield* Effect.logInfo(`the ${dependency} answers again`)
          }
          return Option.some(answer.success)
        }
        if (!isDown) {
          isDown = true
          yield* Effect.logWarning(`the ${dependency} does not answer; trying until it does`, answer.failure.message)
        }
        if (giveUp()) return Option.none()
        yield* Effect.sleep(waitMs)
        waitMs = Math.min(waitMs * 2, retryWaitMsMax)
      }
    })
  }
}
