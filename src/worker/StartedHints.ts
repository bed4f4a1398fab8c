import { Effect } from "effect"
import type { Broker } from "../broker/Broker.ts"
import type { EventId } from "../core/TaskId.ts"
import { makeGate } from "../broker/Gate.ts"

/**
 * Tells engines which of their claims have been started, many at a time: what is started while one batch is sent, and for a
 * moment after it, makes up the next. Hints: those that cannot be told are dropped, and engines look them up.
 */
export type StartedHints = { readonly tell: (claims: ReadonlyArray<EventId>) => void }

export const makeStartedHints = Effect.fnUntraced(function* (broker: Broker["Service"]) {
  const gate = makeGate()
  let waiting: Array<EventId> = []
  yield* Effect.gen(function* () {
    while (true) {
      yield* gate.until(() => waiting.length > 0)
      const batch = waiting
      waiting = []
      yield* broker.tellStarted(batch).pipe(
        Effect.timeout(tellMsMax),
        Effect.catch((error) => Effect.logDebug("engines were not told of starts and will look them up", error))
      )
      yield* Effect.sleep(pauseMs)
    }
  }).pipe(Effect.forkScoped)

  return {
    tell: (claims: ReadonlyArray<EventId>) => {
      if (waiting.length < waitingMax) waiting.push(...claims)
      gate.changed()
    }
  }
})

/** Between two batches: 50 messages a second from each worker, and news for an engine well before it refills its window. */
const pauseMs = 20
const tellMsMax = 1_000
/** A second of starts; more have been looked up before they could be told. */
const waitingMax = 10_000
