import { Clock, Effect, Random } from "effect"
import { holdMsMax } from "../broker/Broker.ts"
import { batchSizeMax, type TaskStore } from "../store/TaskStore.ts"
import type { Handler } from "./Handlers.ts"
import { admittedOf } from "./Intake.ts"
import type { Outage } from "./Outage.ts"
import type { Slots } from "./Slots.ts"
import type { Candidate, Starter } from "./Starter.ts"

/**
 * Starts what no dispatch has brought. While a worker has a free slot it asks the store four times a second for claims
 * of its kinds that are overdue and not started, whoever claimed them, and starts them by the same compare-and-set. So
 * a broker that is away costs a quarter of a second and not its own absence; so does a partition whose consumer has died,
 * or a dispatch that a full worker has dropped.
 *
 * While it finds something it asks more often and for what is less overdue: then the store is the way on which work
 * comes. What it finds goes by priority, with one of sixteen from the least urgent end.
 */
export const pullForEver = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly handlers: ReadonlyMap<string, Handler>
  readonly slots: Slots
  readonly starter: Starter
  readonly outage: Outage
  readonly isAlive: () => boolean
  /** Told how many were found. */
  readonly onPulled: (count: number) => void
}): Effect.fn.Return<never> {
  const { handlers, isAlive, onPulled, outage, slots, starter, store } = parts
  const clock = yield* Clock.Clock
  let isFinding = false

  const pull = Effect.gen(function* () {
    const limit = Math.min(slots.free(), batchSizeMax)
    if (limit <= 0 || handlers.size === 0 || !isAlive()) return 0
    const tasks = yield* store.pull({
      kinds: [...handlers.keys()],
      overdueMs: isFinding ? holdMsMax / 2 : overdueMs,
      limit,
      fromLowest: fromLowestOf(limit, clock)
    })
    const candidates = tasks.flatMap((task): ReadonlyArray<Candidate> => {
      const handler = handlers.get(task.kind)
      return handler === undefined ? [] : [{ task, dispatched: null, handler }]
    })
    // Slots may have been taken while the store was asked.
    const admitted = admittedOf(candidates, slots)
    slots.take(admitted.length)
    starter.start(admitted)
    return admitted.length
  })

  while (true) {
    if (slots.free() <= 0) yield* slots.until(() => slots.free() > 0)
    const found = yield* outage.outlast(pull, () => true)
    const count = found._tag === "Some" ? found.value : 0
    isFinding = count > 0
    onPulled(count)
    // Spread, so that the workers of a fleet do not ask in one voice.
    const spread = yield* Random.nextBetween(0.8, 1.2)
    yield* Effect.sleep((isFinding ? findingPauseMs : pauseMs) * spread)
  }
})

/** What is due for less is probably on its way. */
const overdueMs = 200
const pauseMs = 200
/** Between two pulls while they bring something. Shorter gains nothing: starts are committed meanwhile. */
const findingPauseMs = 20
/** One of so many comes from the least urgent end. */
const floorEvery = 16

/** Of few slots the share is less than one task, so time decides whose turn it is. */
const fromLowestOf = (limit: number, clock: Clock.Clock): number =>
  limit >= floorEvery
    ? Math.floor(limit / floorEvery)
    : Number((clock.monotonicTimeNanosUnsafe() / 1_000_000n) % BigInt(floorEvery)) < limit
      ? 1
      : 0
