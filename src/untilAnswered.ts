import { Effect, Schedule } from "effect"

/**
 * Repeats a request after an answer that was lost, 50, 100, ... 800 ms later; then the caller hears of it. It has to be idempotent: what
 * the first try has done, the next one finds done.
 */
export const untilAnswered = <A, E extends { readonly _tag: string; readonly commitUnknown?: boolean }, R>(
  request: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => Effect.retry(request, { ...again, while: ({ commitUnknown }) => commitUnknown === true })

const again = { schedule: Schedule.exponential("50 millis"), times: 5 }
