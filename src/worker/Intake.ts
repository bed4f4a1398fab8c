import { Effect, Option } from "effect"
import { Broker, type Dispatch, holdMsMax, type Room, type Subscription } from "../broker/Broker.ts"
import { batchSizeMax } from "../store/TaskStore.ts"
import type { Arrivals } from "./Arrivals.ts"
import type { DueStarter } from "./DueStarter.ts"
import type { Handler } from "./Handlers.ts"
import type { Outage } from "./Outage.ts"
import type { Slots } from "./Slots.ts"
import type { Candidate, Starter } from "./Starter.ts"

/** Wait before joining the queue again after its subscription has failed. */
const rejoinWaitMs = 500

/**
 * A dispatch older than this has been published again, or its claim was given up: after a night without this service
 * there may be many, and each would be a lost start. By the database's time, so that a node's own clock does not matter.
 */
export const staleAfterMs = 60_000

/**
 * Takes the dispatches of one queue while there are free slots, for ever. Several queues share the slots, so more may
 * arrive than there is room for: the rest waits a moment for a slot and is then declined. It was a hint, and must
 * neither hold up the broker nor stand behind the next one when a slot is free again. A suspect that comes while another
 * one runs here is not waited with: who knows for how long. Beside it, what an engine of this process offers is started.
 */
export const takeFrom = Effect.fnUntraced(function* (
  queue: string,
  parts: {
    readonly handlerOf: (kind: string) => Handler | undefined
    readonly slots: Slots
    readonly starter: Starter
    readonly dueStarter: DueStarter
    readonly outage: Outage
    readonly arrivals: Arrivals
    /** The database's time, as estimated. */
    readonly nowMs: () => number
  }
): Effect.fn.Return<never, never, Broker> {
  const { arrivals, dueStarter, handlerOf, nowMs, outage, slots, starter } = parts
  const broker = yield* Broker

  const takeWhileItLasts = Effect.gen(function* () {
    const subscription = yield* broker.consume(queue)
    yield* arrivals.watch(subscription)
    if (broker.reach === "process") yield* Effect.forkScoped(startOffered(subscription))
    while (true) {
      if (slots.free() <= 0) {
        yield* slots.until(() => slots.free() > 0)
        // Slots come back by the batch, and the first one has resumed this fiber: take for all of them.
        yield* Effect.yieldNow
      }
      const taken = yield* outage.outlast(take(subscription), () => true)
      if (Option.isNone(taken)) return
      arrivals.arrived()
      yield* admit(subscription, taken.value)
    }
  })

  const startOffered = Effect.fnUntraced(function* (subscription: Subscription): Effect.fn.Return<never> {
    while (true) {
      yield* slots.until(() => slots.open() > 0)
      const kinds = yield* subscription.offered
      // A kind that has caps by the policy here may have none yet by the engine's.
      const handlers = kinds.flatMap((kind) => handlerOf(kind) ?? []).filter(({ policy }) => policy.caps === null)
      yield* dueStarter.startDue(handlers)
    }
  })

  /** Who waits for critical dispatches alone begins anew when there is room for others. */
  const take = (subscription: Subscription) => {
    const room = roomOf(slots)
    return room.nonCriticalMax > 0
      ? subscription.take(room)
      : subscription.take(
          room,
          slots.until(() => slots.open() > 0)
        )
  }

  const admit = Effect.fnUntraced(function* (subscription: Subscription, dispatches: ReadonlyArray<Dispatch>) {
    const freshMs = nowMs() - staleAfterMs
    let suspectsLeft = slots.openToSuspects()
    const others: Array<Dispatch> = []
    let rest = dispatches.flatMap((dispatch): ReadonlyArray<Candidate> => {
      // A kind that another version of this service handles is left to a worker that has it.
      const handler = dispatch.dispatchedAtMs < freshMs ? undefined : handlerOf(dispatch.kind)
      if (handler !== undefined && (!dispatch.isSuspect || suspectsLeft-- > 0)) {
        return [{ task: dispatch, dispatched: { dispatch, subscription }, handler }]
      }
      others.push(dispatch)
      return []
    })
    if (others.length > 0) yield* outage.outlast(subscription.acknowledge(others), () => true)
    while (rest.length > 0) {
      const admitted = admittedOf(rest, slots)
      slots.take(admitted.map(({ task }) => task))
      starter.start(admitted)
      if (admitted.length === rest.length) break
      const isAdmitted = new Set(admitted)
      rest = rest.filter((candidate) => !isAdmitted.has(candidate))
      const hasRoom = yield* slots.until(() => admittedOf(rest, slots).length > 0).pipe(Effect.timeoutOption(holdMsMax))
      if (Option.isSome(hasRoom)) continue
      arrivals.declined(rest.length)
      const declined = rest.flatMap(({ dispatched }) => (dispatched === null ? [] : [dispatched.dispatch]))
      rest = []
      yield* outage.outlast(subscription.decline(declined), () => true)
    }
  })

  while (true) {
    yield* outage.outlast(Effect.scoped(takeWhileItLasts))
    yield* Effect.sleep(rejoinWaitMs)
  }
})

const roomOf = (slots: Slots): Room => ({
  dispatchesMax: Math.max(1, Math.min(slots.free(), batchSizeMax)),
  nonCriticalMax: Math.max(0, Math.min(slots.open(), batchSizeMax))
})

/** Those of the candidates that there are slots for, in their order. */
export const admittedOf = (candidates: ReadonlyArray<Candidate>, slots: Slots): ReadonlyArray<Candidate> => {
  let free = slots.free()
  let open = slots.open()
  let suspects = slots.openToSuspects()
  return candidates.filter(({ task }) => {
    if (free <= 0 || (task.priority !== "critical" && open <= 0)) return false
    if (task.isSuspect && suspects-- <= 0) return false
    free--
    open--
    return true
  })
}
