/**
 * Decides the instants of recurrences some seconds ahead and has their tasks scheduled. Every engine does so, and there is no
 * leader: a recurrence's row is locked while somebody decides, and what is locked is left to them. A recurrence does not hang
 * on the task of its last instant: what that one does, or that it never ends, changes nothing of when the next one comes.
 *
 * While there is nothing to decide it costs one statement every 20 idle polls (5 s by default), and none before the time that
 * the store has named. What is made or changed is told of; a wake-up that is lost costs such a pause.
 */
import { Clock, Effect, Latch, Queue, type Scope } from "effect"
import { type RecurrenceStore, settleRecurrencesMax } from "../store/RecurrenceStore.ts"
import type { EngineConfig } from "./EngineConfig.ts"
import { Outage } from "./Outage.ts"

/** Idle polls between two looks at recurrences of which none is known to be near. */
const idlePollsPerLook = 20

export const decideRecurrences = Effect.fnUntraced(function* (parts: {
  readonly recurrences: RecurrenceStore["Service"]
  readonly config: EngineConfig
  /** By the database's clock, as estimated. */
  readonly nowMs: () => number
}): Effect.fn.Return<never, never, Scope.Scope> {
  const { config, nowMs, recurrences } = parts
  const clock = yield* Clock.Clock
  const outage = new Outage("The store (recurrences)", () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
  const idleMs = config.idlePollMs * idlePollsPerLook
  const woken = Latch.makeUnsafe()
  let looksAtMs = Infinity

  const wakeUps = yield* recurrences.wakeUps
  yield* Queue.takeAll(wakeUps).pipe(
    Effect.map((hints) => {
      if (hints.some((decideAtMs) => decideAtMs < looksAtMs)) woken.openUnsafe()
    }),
    Effect.forever,
    Effect.forkScoped
  )

  while (true) {
    woken.closeUnsafe()
    looksAtMs = Infinity
    const settled = yield* outage.attempt(recurrences.settle(settleRecurrencesMax))
    const pauseMs = settled === undefined ? outage.backoffMs : Math.ceil(Math.min(settled.nextInMs ?? idleMs, idleMs))
    looksAtMs = nowMs() + pauseMs
    if (pauseMs === 0) yield* Effect.yieldNow
    else yield* Effect.raceFirst(Effect.sleep(pauseMs), woken.await)
  }
})
