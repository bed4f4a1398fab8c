import { Effect, Option } from "effect"
import { Broker, type Dispatch, type Subscription } from "../broker/Broker.ts"
import { batchSizeMax } from "../store/TaskStore.ts"
import type { Handler } from "./Handlers.ts"
import type { Outage } from "./Outage.ts"
import type { Slots } from "./Slots.ts"
import type { Starter } from "./Starter.ts"

/** How long dispatches are kept that arrived when all slots were taken. */
const slotWaitMsMax = 100
/** Wait before joining the queue again after its subscription has failed. */
const rejoinWaitMs = 500

/**
 * Takes the dispatches of one queue while there are free slots, for ever. Several queues share the slots, so more may
 * arrive than there is room for: the rest waits a moment for a slot and is then declined. It was a hint, and must
 * neither hold up the broker nor stand behind the next one when a slot is free again.
 */
export const takeFrom = Effect.fnUntraced(function* (
  queue: string,
  handlerOf: (kind: string) => Handler | undefined,
  slots: Slots,
  starter: Starter,
  outage: Outage
): Effect.fn.Return<never, never, Broker> {
  const broker = yield* Broker

  const takeWhileItLasts = Effect.gen(function* () {
    const subscription = yield* broker.consume(queue)
    while (true) {
      if (slots.free() <= 0) {
        yield* slots.until(() => slots.free() > 0)
        // Slots come back by the batch, and the first one has resumed this fiber: take for all of them.
        yield* Effect.yieldNow
      }
      const taken = yield* outage.outlast(
        subscription.take(Math.max(1, Math.min(slots.free(), batchSizeMax))),
        () => true
      )
      if (Option.isNone(taken)) return
      yield* admit(subscription, taken.value)
    }
  })

  const admit = Effect.fnUntraced(function* (subscription: Subscription, dispatches: ReadonlyArray<Dispatch>) {
    // A kind that another version of this service handles is left to a worker that has it.
    const unknown = dispatches.filter((dispatch) => handlerOf(dispatch.kind) === undefined)
    if (unknown.length > 0) yield* outage.outlast(subscription.acknowledge(unknown), () => true)
    let rest = dispatches.flatMap((dispatch) => {
      const handler = handlerOf(dispatch.kind)
      return handler === undefined ? [] : [{ dispatch, subscription, handler }]
    })
    while (rest.length > 0) {
      const room = Math.max(0, Math.min(slots.free(), rest.length))
      slots.take(room)
      starter.start(rest.slice(0, room))
      rest = rest.slice(room)
      if (rest.length === 0) break
      const hasRoom = yield* slots.until(() => slots.free() > 0).pipe(Effect.timeoutOption(slotWaitMsMax))
      if (Option.isSome(hasRoom)) continue
      const declined = rest.map((candidate) => candidate.dispatch)
      rest = []
      yield* outage.outlast(subscription.decline(declined), () => true)
    }
  })

  while (true) {
    yield* outage.outlast(Effect.scoped(takeWhileItLasts))
    yield* Effect.sleep(rejoinWaitMs)
  }
})
