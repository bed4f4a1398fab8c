/**
 * The broker of a single process: what `Engine` and `Worker` speak through when no Kafka is configured.
 *
 * Each queue has its lanes (`DispatchLanes.ts`), and whichever consumer asks first takes from them. A dispatch counts towards the lag until it is acknowledged; what a consumer took and did not
 * acknowledge goes back to the front of its lane when the consumer's scope closes, as a consumer group would hand it to
 * the next member. Nothing is deduplicated (a hint may repeat) and nothing survives the process: the claim in the store
 * does, and whoever holds it publishes again.
 */
import { Effect, Layer, Queue } from "effect"
import type { Priority } from "../core/Priority.ts"
import type { EventId } from "../core/TaskId.ts"
import { Broker, type Dispatch, type Subscription } from "./Broker.ts"
import { DispatchLanes, type Room } from "./DispatchLanes.ts"
import { makeGate } from "./Gate.ts"
import { taking } from "./taking.ts"

/**
 * Dispatches of one queue waiting or unacknowledged, beyond which more are refused. Five times the largest window of
 * an engine: it is reached only when several engines share the process or hints repeat, and costs about 2 MB.
 */
export const capacityPerQueueDefault = 10_000

export const layerWith = (options: { readonly capacityPerQueue: number }) =>
  Layer.sync(Broker, () => make(options.capacityPerQueue))

export const layer = layerWith({ capacityPerQueue: capacityPerQueueDefault })

const make = (capacityPerQueue: number): Broker["Service"] => {
  const queues = new Map<string, DispatchQueue>()
  const queueOf = (name: string): DispatchQueue => {
    let queue = queues.get(name)
    if (queue === undefined) {
      queue = new DispatchQueue(capacityPerQueue)
      queues.set(name, queue)
    }
    return queue
  }
  return {
    reach: "process",
    publish: (batch) =>
      Effect.sync(() => {
        const touched = new Set<DispatchQueue>()
        const answers = batch.map((dispatch) => {
          const queue = queueOf(dispatch.queue)
          if (!queue.offer(dispatch)) return "Refused"
          touched.add(queue)
          return "Published"
        })
        for (const queue of touched) queue.wakeTakers()
        return answers
      }),
    offerDue: (name, kinds) => queues.get(name)?.offerDue(kinds) ?? false,
    consume: (name) =>
      Effect.gen(function* () {
        const queue = queueOf(name)
        const held = new Map<Dispatch, number>()
        yield* Effect.addFinalizer(() => Effect.sync(() => queue.takeBack(heldOf(held))))
        return subscriptionOf(queue, held)
      }),
    lag: (name) => Effect.sync(() => ({ ...(queues.get(name)?.lag ?? noLag) })),
    // Within a process the lag says as much at once, and there is nobody outside to tell.
    tellStarted: () => Effect.void,
    startedHints: Effect.acquireRelease(Queue.sliding<ReadonlyArray<EventId>>(1), Queue.shutdown),
    announceDead: () => Effect.void
  }
}

const heldOf = (held: Map<Dispatch, number>): ReadonlyArray<Dispatch> => {
  const dispatches = [...held].flatMap(([dispatch, count]) => Array.from({ length: count }, () => dispatch))
  held.clear()
  return dispatches
}

/** `held` counts how often this consumer holds each dispatch: the same one may have been published twice. */
const subscriptionOf = (queue: DispatchQueue, held: Map<Dispatch, number>): Subscription => {
  const take = taking({
    take: (room) => {
      const batch = queue.take(room)
      for (const dispatch of batch) held.set(dispatch, (held.get(dispatch) ?? 0) + 1)
      return batch
    },
    arrivalFor: queue.arrivalFor
  })
  /** Whether this consumer held it. */
  const letGo = (dispatch: Dispatch): boolean => {
    const count = held.get(dispatch)
    if (count === undefined) return false
    if (count === 1) held.delete(dispatch)
    else held.set(dispatch, count - 1)
    return true
  }
  return {
    droppedCount: () => 0,
    take,
    offered: queue.offered,
    acknowledge: (batch) =>
      Effect.sync(() => {
        for (const dispatch of batch) if (letGo(dispatch)) queue.acknowledged(dispatch)
      }),
    decline: (batch) => Effect.sync(() => queue.takeBack(batch.filter(letGo)))
  }
}

const noLag: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }

class DispatchQueue {
  readonly capacity: number
  readonly lag: Record<Priority, number> = { ...noLag }
  readonly #lanes = new DispatchLanes<Dispatch>()
  #lagTotal = 0
  readonly #arrivals = makeGate()
  #offerWaiters: Array<(kinds: ReadonlyArray<string>) => void> = []

  constructor(capacity: number) {
    this.capacity = capacity
  }

  offer(dispatch: Dispatch): boolean {
    if (this.#lagTotal >= this.capacity) return false
    this.#lagTotal++
    this.lag[dispatch.priority]++
    this.#lanes.push(dispatch)
    return true
  }

  take(room: Room): ReadonlyArray<Dispatch> {
    return this.#lanes.take(room)
  }

  acknowledged(dispatch: Dispatch): void {
    this.#lagTotal--
    this.lag[dispatch.priority]--
  }

  /** To the front of their lanes, in the order they were taken. */
  takeBack(dispatches: ReadonlyArray<Dispatch>): void {
    for (const dispatch of dispatches.toReversed()) this.#lanes.pushFront(dispatch)
    if (dispatches.length > 0) this.wakeTakers()
  }

  /** All who have room are woken: they are few, and a dispatch whose taker is interrupted is left to the others. */
  readonly arrivalFor = (room: Room): Effect.Effect<void> => this.#arrivals.until(() => this.#lanes.hasFor(room))

  /** To whoever waits longest; it waits for the next one when it has started what it found. */
  offerDue(kinds: ReadonlyArray<string>): boolean {
    const waiter = this.#offerWaiters.shift()
    waiter?.(kinds)
    return waiter !== undefined
  }

  readonly offered: Effect.Effect<ReadonlyArray<string>> = Effect.callback<ReadonlyArray<string>>((resume) => {
    const waiter = (kinds: ReadonlyArray<string>) => resume(Effect.succeed(kinds))
    this.#offerWaiters.push(waiter)
    return Effect.sync(() => {
      this.#offerWaiters = this.#offerWaiters.filter((other) => other !== waiter)
    })
  })

  wakeTakers(): void {
    this.#arrivals.changed()
  }
}
