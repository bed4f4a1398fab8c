import { Effect, Queue } from "effect"
import { type Broker, BrokerUnavailable, type Dispatch } from "../../src/broker/Broker.ts"
import type { DeadLetter } from "../../src/core/DeadLetter.ts"
import type { EventId } from "../../src/core/TaskId.ts"

/** What a test sees of, and does to, a broker between processes. */
export type FleetBroker = {
  readonly wrap: (own: Broker["Service"]) => Broker["Service"]
  readonly published: Array<Dispatch>
  readonly announced: Array<DeadLetter>
  /** Hints of starts get lost. */
  losesHints: boolean
  /** Nothing can be asked of it. */
  isDown: boolean
  /** Dispatches that get lost on the way. */
  loses: (dispatch: Dispatch) => boolean
}

/** The broker of one process, made to behave as one of the fleet: hints instead of an exact lag, and it may lose anything. */
export const fleetBroker = (): FleetBroker => {
  const listeners = new Set<Queue.Queue<ReadonlyArray<EventId>>>()
  const down = (operation: string) => new BrokerUnavailable({ operation, reason: "taken down by the test" })
  const whileUp = <A, E, R>(operation: string, effect: Effect.Effect<A, E, R>) =>
    Effect.suspend((): Effect.Effect<A, E | BrokerUnavailable, R> => (self.isDown ? down(operation) : effect))
  const self: FleetBroker = {
    published: [],
    announced: [],
    losesHints: false,
    isDown: false,
    loses: () => false,
    wrap: (own) => ({
      ...own,
      reach: "fleet",
      publish: (batch) =>
        whileUp(
          "publish",
          Effect.gen(function* () {
            self.published.push(...batch)
            yield* own.publish(batch.filter((dispatch) => !self.loses(dispatch)))
            return batch.map(() => "Published" as const)
          })
        ),
      lag: (queue) => whileUp("lag", own.lag(queue)),
      consume: (queue) =>
        Effect.map(own.consume(queue), (subscription) => ({ ...subscription, decline: subscription.acknowledge })),
      tellStarted: (claims) =>
        whileUp(
          "tellStarted",
          Effect.sync(() => {
            if (!self.losesHints) for (const listener of listeners) Queue.offerUnsafe(listener, claims)
          })
        ),
      startedHints: Effect.acquireRelease(
        Effect.tap(Queue.sliding<ReadonlyArray<EventId>>(1_000), (queue) => Effect.sync(() => listeners.add(queue))),
        (queue) => Effect.sync(() => listeners.delete(queue))
      ),
      announceDead: (letters) =>
        whileUp(
          "announceDead",
          Effect.sync(() => void self.announced.push(...letters))
        )
    })
  }
  return self
}
