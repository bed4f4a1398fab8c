import { Effect } from "effect"
import type { Dispatch, Subscription } from "./Broker.ts"
import type { Room } from "./DispatchLanes.ts"

/**
 * How a consumer takes from dispatches that wait in this process. What there is it takes in one step, and only the wait is ever raced: an
 * end of the wait that comes together with a dispatch loses nothing.
 */
export const taking = (queue: {
  readonly take: (room: Room) => ReadonlyArray<Dispatch>
  /** Waits until something can be taken. */
  readonly arrivalFor: (room: Room) => Effect.Effect<void>
}): Subscription["take"] => {
  const take: Subscription["take"] = (room, unless) =>
    Effect.suspend(() => {
      const batch = queue.take(room)
      if (batch.length > 0) return Effect.succeed(batch)
      const arrival = Effect.as(queue.arrivalFor(room), true)
      const isThere = unless === undefined ? arrival : Effect.raceFirst(arrival, Effect.as(unless, false))
      return Effect.flatMap(isThere, (is) => (is ? take(room, unless) : Effect.succeed([])))
    })
  return take
}
