import { Clock, Effect, Option, type Scope } from "effect"
import { makeGate } from "../broker/Gate.ts"

/**
 * The deadline in the database lies this much behind the attempt's timeout: the worker ends an attempt in time and records
 * why, and the supervisor steps in only where there is no such worker. Otherwise both would race at the same millisecond.
 */
export const recordGraceMs = 2_000

/**
 * Attempt timeouts with one timer instead of one per attempt. The timer is armed for the earliest deadline; when it
 * rings, the running attempts (never more than slots) are looked through once for those over, and for the next
 * earliest. An attempt that ends in time costs a Set operation; the timer may ring for nobody, once per timeout.
 */
export type Deadlines<A extends HasDeadline> = {
  readonly watch: (attempt: A) => void
  readonly forget: (attempt: A) => void
  readonly watched: ReadonlySet<A>
}

export type HasDeadline = {
  /** On the monotonic clock, in ms. */
  readonly deadlineMonotonicMs: number
}

export const makeDeadlines = Effect.fnUntraced(function* <A extends HasDeadline>(
  passed: (attempt: A) => void
): Effect.fn.Return<Deadlines<A>, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const watched = new Set<A>()
  const gate = makeGate()
  let armedMs = Infinity
  let earliestMs = Infinity

  const ring = () => {
    const nowMs = monotonicMsOf(clock)
    earliestMs = Infinity
    const over: Array<A> = []
    for (const attempt of watched) {
      if (attempt.deadlineMonotonicMs <= nowMs) over.push(attempt)
      else earliestMs = Math.min(earliestMs, attempt.deadlineMonotonicMs)
    }
    for (const attempt of over) {
      watched.delete(attempt)
      passed(attempt)
    }
  }

  yield* Effect.gen(function* () {
    while (true) {
      yield* gate.until(() => earliestMs < Infinity)
      armedMs = earliestMs
      // Rounded up: a timer that rings early would only have to be armed again.
      const waitMs = Math.max(0, Math.ceil(armedMs - monotonicMsOf(clock)))
      const isEarlierWanted = yield* gate
        .until(() => earliestMs < armedMs)
        .pipe(Effect.timeoutOption(waitMs), Effect.map(Option.isSome))
      armedMs = Infinity
      if (!isEarlierWanted) ring()
    }
  }).pipe(Effect.forkScoped)

  return {
    watched,
    watch: (attempt) => {
      watched.add(attempt)
      if (attempt.deadlineMonotonicMs < earliestMs) {
        earliestMs = attempt.deadlineMonotonicMs
        gate.changed()
      }
    },
    forget: (attempt) => watched.delete(attempt)
  }
})

/** Milliseconds for measuring spans: not moved by steps of the wall clock. */
export const monotonicMsOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
