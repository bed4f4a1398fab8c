import { Cause, Effect } from "effect"

/**
 * Keeps a loop alive while a dependency does not answer: an hour without it is two lines in the log and not a line per
 * try, and the tries are paced, 50 ms doubling up to a second.
 */
export class Outage {
  readonly #dependency: string
  readonly #monotonicMs: () => number
  #sinceMs: number | undefined
  #failedTries = 0

  constructor(dependency: string, monotonicMs: () => number) {
    this.#dependency = dependency
    this.#monotonicMs = monotonicMs
  }

  /** Whether the last try failed. */
  get isOpen(): boolean {
    return this.#sinceMs !== undefined
  }

  /** Pause before the next try. */
  get backoffMs(): number {
    return Math.min(backoffMsMax, backoffMsMin * 2 ** Math.max(0, this.#failedTries - 1))
  }

  /** The value, or undefined after a failure or defect; only an interruption goes through. */
  attempt<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | undefined, never, R> {
    return effect.pipe(
      Effect.tap(() => this.#answered()),
      Effect.catchCause((cause) => (Cause.hasInterrupts(cause) ? Effect.interrupt : this.#failed(cause)))
    )
  }

  #failed(cause: Cause.Cause<unknown>): Effect.Effect<undefined> {
    this.#failedTries++
    if (this.#sinceMs !== undefined) return Effect.undefined
    this.#sinceMs = this.#monotonicMs()
    return Effect.as(
      Effect.logWarning(`${this.#dependency} does not answer; trying again until it does.`, messageOf(cause)),
      undefined
    )
  }

  #answered(): Effect.Effect<void> {
    if (this.#sinceMs === undefined) return Effect.void
    const seconds = ((this.#monotonicMs() - this.#sinceMs) / 1_000).toFixed(1)
    const message = `${this.#dependency} answers again after ${seconds} s and ${this.#failedTries} failed tries.`
    this.#sinceMs = undefined
    this.#failedTries = 0
    return Effect.logInfo(message)
  }
}

/** What is expected to happen needs no stack; a defect does. */
const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return Cause.hasDies(cause) || !(error instanceof Error) ? Cause.pretty(cause) : error.message
}

const backoffMsMin = 50
const backoffMsMax = 1_000
