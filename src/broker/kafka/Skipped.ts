/** Counts what was acknowledged unread, and tells a person of it without flooding the log. */
import { Effect } from "effect"
import { type SkipReason, skipReasons } from "./envelope.ts"

/** Per topic at most one line in this time. */
const reportIntervalMs = 60_000
const lookIntervalMs = 1_000

export class Skipped {
  readonly #monotonicMs: () => number
  readonly #counts: Record<SkipReason, number> = { malformed: 0, foreign: 0, "future-format": 0, overflow: 0 }
  readonly #topics = new Map<string, { counts: Map<SkipReason, number>; reportedAtMs: number }>()

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  readonly count = (topic: string, reason: SkipReason): void => {
    this.#counts[reason]++
    let unreported = this.#topics.get(topic)
    if (unreported === undefined) {
      unreported = { counts: new Map(), reportedAtMs: Number.NEGATIVE_INFINITY }
      this.#topics.set(topic, unreported)
    }
    unreported.counts.set(reason, (unreported.counts.get(reason) ?? 0) + 1)
  }

  counts(): Readonly<Record<SkipReason, number>> {
    return { ...this.#counts }
  }

  readonly report: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    while (true) {
      yield* Effect.sleep(lookIntervalMs)
      for (const [topic, unreported] of this.#topics) {
        if (unreported.counts.size === 0 || this.#monotonicMs() - unreported.reportedAtMs < reportIntervalMs) continue
        const counts = skipReasons.flatMap((reason) => {
          const count = unreported.counts.get(reason)
          return count === undefined ? [] : [`${count} ${reason}`]
        })
        unreported.reportedAtMs = this.#monotonicMs()
        unreported.counts.clear()
        yield* Effect.logWarning(`Messages of ${topic} were skipped: ${counts.join(", ")}.`)
      }
    }
  })
}
