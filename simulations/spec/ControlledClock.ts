import { type Clock, Effect } from "effect"

/** A clock that stands until it is set. Nobody who sleeps by it wakes up: what is done in the background is not done here. */
export class ControlledClock implements Clock.Clock {
  nowMs = 0
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = this.currentTimeNanos

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.nowMs)
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.round(this.nowMs * 1e6))
  }

  monotonicTimeNanosUnsafe(): bigint {
    return this.currentTimeNanosUnsafe()
  }

  sleep(): Effect.Effect<void> {
    return Effect.never
  }
}
