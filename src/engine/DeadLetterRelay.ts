/**
 * Announces dead letters to the outside, from the table that holds them as from an outbox: what has been announced is
 * marked, what could not be is announced later, and after a crash in between once more. Any number of engines may relay; each
 * letter is locked by one of them at a time.
 */
import { Clock, Effect } from "effect"
import type { Broker } from "../broker/Broker.ts"
import { announceMsMax, type TaskStore } from "../store/TaskStore.ts"
import { Outage } from "./Outage.ts"

export const deadLetterRelay = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly broker: Broker["Service"]
}): Effect.fn.Return<never> {
  const { broker, store } = parts
  const clock = yield* Clock.Clock
  const outage = new Outage(
    "The store or the broker (dead letters)",
    () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  )
  const announce = (letters: Parameters<Broker["Service"]["announceDead"]>[0]) =>
    broker.announceDead(letters).pipe(Effect.timeout(announceMsMax))

  while (true) {
    const relayed = yield* outage.attempt(store.relayDead(batchLettersMax, announce))
    if (relayed !== batchLettersMax) yield* Effect.sleep(outage.isOpen ? outage.backoffMs : pauseMs)
  }
})

/** Their rows are locked meanwhile, against a redrive and other engines. */
const batchLettersMax = 200
/** A dead letter is for a person, who does not mind a second. */
const pauseMs = 1_000
