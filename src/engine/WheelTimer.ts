/**
 * The clock and the one timer of a `TimerWheel`. This file is the only place in the engine that touches the timers of Node.
 *
 * `setTimeout` counts whole milliseconds and may fire up to 2 ms early (measured: -1.84 ms), and plain rounding up is
 * half a millisecond late on average. So the live timer sleeps until less than a millisecond is left and then asks
 * again at every turn of the event loop (`setImmediate`), which keeps sockets served meanwhile. Such waiting costs up to one
 * millisecond of CPU per tick, which is nothing at a hundred ticks a second and a whole core at a thousand: a
 * budget bounds its share, and without budget left the timer rounds up.
 */
import { Clock, Context, Duration, Effect } from "effect"

export type WheelTimer = {
  /** This process's clock in ms since 1970 with fractions, the base of `TaskStore.clockOffsetMs`. */
  readonly nowMs: () => number
  /** Calls `fire` once, at `atMs` by `nowMs` or later, never before and never within `arm`. Returns what disarms it. */
  readonly arm: (atMs: number, fire: () => void) => () => void
}

/** Replaces the timer of every wheel built below it; undefined: by the `Clock`, live or not. */
export const WheelTimer = Context.Reference<WheelTimer | undefined>("duetime/engine/WheelTimer", {
  defaultValue: () => undefined
})

/** The given timer if there is one; else the live one on the live `Clock`, and sleeps of the `Clock` on any other. */
export const current: Effect.Effect<WheelTimer> = Effect.gen(function* () {
  const given = yield* WheelTimer
  if (given !== undefined) return given
  const clock = yield* Clock.Clock
  if (clock === Context.get(Context.empty(), Clock.Clock)) return live(clock)
  return ofClock(clock, yield* Effect.context<never>())
})

/** Longest sleep at one go: the wall clock may be set while the timer counts monotonic time, so it is read again each second. */
const sleepMsMax = 1_000
/** Part of a core that may be spent on asking at every turn of the event loop. */
const spinShareMax = 0.1
/** Spinning that may be spent at once, after a quiet time. */
const spinBudgetMsMax = 10

export const live = (clock: Clock.Clock): WheelTimer => {
  const nowMs = () => toMs(clock.currentTimeNanosUnsafe())
  const monotonicMs = () => toMs(clock.monotonicTimeNanosUnsafe())
  let budgetMs = spinBudgetMsMax
  let budgetAtMs = monotonicMs()

  /** The budget left after `spentMs` more of spinning. */
  const spend = (spentMs: number): number => {
    const atMs = monotonicMs()
    budgetMs = Math.min(spinBudgetMsMax, budgetMs + (atMs - budgetAtMs) * spinShareMax) - spentMs
    budgetAtMs = atMs
    return budgetMs
  }

  return {
    nowMs,
    arm: (atMs, fire) => {
      let timeout: NodeJS.Timeout | undefined
      let immediate: NodeJS.Immediate | undefined
      let spinsSinceMs: number | undefined

      const wait = () => {
        const remainingMs = atMs - nowMs()
        if (remainingMs <= 0) {
          endSpin()
          fire()
        } else if (remainingMs > 1) {
          endSpin()
          timeout = setTimeout(wait, Math.min(Math.ceil(remainingMs) - 1, sleepMsMax))
        } else if (spinsSinceMs !== undefined || spend(0) > 0) {
          spinsSinceMs ??= monotonicMs()
          immediate = setImmediate(wait)
        } else {
          timeout = setTimeout(wait, 1)
        }
      }
      const endSpin = () => {
        if (spinsSinceMs !== undefined) spend(monotonicMs() - spinsSinceMs)
        spinsSinceMs = undefined
      }
      immediate = setImmediate(wait)
      return () => {
        endSpin()
        clearTimeout(timeout)
        clearImmediate(immediate)
      }
    }
  }
}

/** One sleeping fiber per armed timer, on whatever clock and scheduler the context holds. */
export const ofClock = (clock: Clock.Clock, context: Context.Context<never>): WheelTimer => {
  const runFork = Effect.runForkWith(context)
  const nowMs = () => toMs(clock.currentTimeNanosUnsafe())
  return {
    nowMs,
    arm: (atMs, fire) => {
      const sleep = clock.sleep(Duration.millis(Math.max(1, Math.ceil(atMs - nowMs()))))
      const fiber = runFork(Effect.andThen(sleep, Effect.sync(fire)))
      return () => fiber.interruptUnsafe()
    }
  }
}

const toMs = (nanos: bigint): number => Number(nanos) / 1e6
