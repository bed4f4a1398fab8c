import { Effect, Fiber } from "effect"
import { Lateness } from "./report.ts"

/**
 * Calls at instants drawn beforehand, whether or not the ones before have been answered: what is slow makes nobody wait, and
 * is counted from the instant at which it was meant to be sent (no coordinated omission). A timer has whole milliseconds, so
 * calls are sent up to one late; that counts as well, and is told apart in `sent`.
 */
export const callAtRate = <A, E, R>(options: {
  readonly ratePerSecond: number
  readonly seconds: number
  readonly random: () => number
  readonly call: (n: number) => Effect.Effect<A, E, R>
  readonly answered: (count: number) => void
}): Effect.Effect<{ readonly answer: Lateness; readonly sent: Lateness }, E, R> =>
  Effect.gen(function* () {
    const answer = new Lateness()
    const sent = new Lateness()
    const fromMs = (yield* nowMs) + 100
    const instantsMs = Array.from(
      { length: options.ratePerSecond * options.seconds },
      () => fromMs + options.random() * options.seconds * 1_000
    ).toSorted((left, right) => left - right)
    const calls: Array<Fiber.Fiber<void, E>> = []
    for (const [n, atMs] of instantsMs.entries()) {
      while ((yield* nowMs) < atMs) yield* sleepUntil(atMs)
      const call = Effect.gen(function* () {
        sent.record((yield* nowMs) - atMs)
        yield* options.call(n)
        answer.record((yield* nowMs) - atMs)
        options.answered(answer.count)
      })
      calls.push(yield* Effect.forkChild(call))
    }
    yield* Effect.forEach(calls, Fiber.join, { discard: true })
    return { answer, sent }
  })

export const nowMs = Effect.map(
  Effect.clockWith((clock) => clock.currentTimeNanos),
  (nanos) => Number(nanos) / 1e6
)

export const sleepUntil = (atMs: number) => Effect.flatMap(nowMs, (now) => Effect.sleep(Math.max(0, atMs - now)))

/** False if it still does not hold when the time has passed. */
export const waitUntil = (holds: () => boolean, timeoutMs: number) =>
  Effect.gen(function* () {
    while (!holds()) yield* Effect.sleep(20)
  }).pipe(
    Effect.timeoutOption(timeoutMs),
    Effect.map((held) => held._tag === "Some")
  )
