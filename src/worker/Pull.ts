import { Clock, Effect, Random } from "effect"
import { holdMsMax } from "../broker/Broker.ts"
import { batchSizeMax, type TaskStore } from "../store/TaskStore.ts"
import type { Arrivals } from "./Arrivals.ts"
import type { Handler } from "./Handlers.ts"
import { admittedOf } from "./Intake.ts"
import type { Outage } from "./Outage.ts"
import type { Slots } from "./Slots.ts"
import type { Candidate, Starter } from "./Starter.ts"

/**
 * Starts what no dispatch has brought. While a worker has a free slot it asks the store five times a second for claims
 * of its kinds that are overdue and not started, whoever claimed them, and starts them by the same compare-and-set. So
 * a partition whose consumer has died, or a dispatch lost on the way, costs a quarter of a second.
 *
 * The store becomes the way on which work comes, asked often and for all that is overdue a little, while
 * - the broker brings nothing: it is away, or has lost what it had, or nothing is due;
 * - this worker has let dispatches go for want of a slot, and now has one: what it gets then is the most urgent of all
 *   that waits, decided in the store.
 * Otherwise it would take from under the broker's hands what is just being delivered.
 *
 * What it finds goes by priority, with one of ten from the least urgent end. Of suspects it asks for one, and for none while
 * one runs here.
 */
export const pullForEver = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly handlers: ReadonlyMap<string, Handler>
  readonly slots: Slots
  readonly starter: Starter
  readonly arrivals: Arrivals
  readonly outage: Outage
  readonly isAlive: () => boolean
  /** Told how many were found. */
  readonly onPulled: (count: number) => void
}): Effect.fn.Return<never> {
  const { arrivals, handlers, isAlive, onPulled, outage, slots, starter, store } = parts
  const clock = yield* Clock.Clock
  let letGoSeen = 0
  /** Whether something that was let go may still wait. */
  let isBehind = false
  let isFinding = false
  const isTheWay = () => isFinding && (isBehind || arrivals.silentForMs > silentMs)

  const pull = Effect.gen(function* () {
    const limit = Math.min(slots.free(), batchSizeMax)
    if (limit <= 0 || handlers.size === 0 || !isAlive()) return 0
    const tasks = yield* store.pull({
      kinds: [...handlers.keys()],
      overdueMs: isBehind ? holdMsMax : isTheWay() ? silentOverdueMs : overdueMs,
      limit,
      fromLowest: fromLowestOf(limit, clock),
      suspectsMax: slots.openToSuspects()
    })
    const candidates = tasks.flatMap((task): ReadonlyArray<Candidate> => {
      const handler = handlers.get(task.kind)
      return handler === undefined ? [] : [{ task, dispatched: null, handler }]
    })
    // Slots may have been taken while the store was asked.
    const admitted = admittedOf(candidates, slots)
    slots.take(admitted.map(({ task }) => task))
    starter.start(admitted)
    return admitted.length
  })

  while (true) {
    if (slots.free() <= 0) yield* slots.until(() => slots.free() > 0)
    const { letGoCount } = arrivals
    if (letGoCount !== letGoSeen) isBehind = true
    letGoSeen = letGoCount
    const found = yield* outage.outlast(pull, () => true)
    const count = found._tag === "Some" ? found.value : 0
    isFinding = count > 0
    // With nothing but slots kept for critical tasks it has found no others, whether they wait or not.
    if (!isFinding && slots.open() > 0) isBehind = false
    onPulled(count)
    // Spread, so that the workers of a fleet do not ask in one voice.
    const spread = yield* Random.nextBetween(0.8, 1.2)
    yield* Effect.sleep(findingPauseMs * spread)
    if (isTheWay()) continue
    const restOfPause = Effect.sleep((pauseMs - findingPauseMs) * spread)
    yield* isBehind
      ? Effect.raceFirst(
          restOfPause,
          slots.until(() => slots.open() > 0)
        )
      : restOfPause
  }
})

/** No dispatch for so long: the broker is not the way on which work comes now. */
const silentMs = 250
/** What is due for less is probably on its way. */
const overdueMs = 200
/** While the broker is silent anyway nothing is on its way; but an engine's first try may have been made a moment ago. */
const silentOverdueMs = 20
const pauseMs = 200
/** Between two pulls while they bring something. Shorter gains nothing: starts are committed meanwhile. */
const findingPauseMs = 20
/** One of so many comes from the least urgent end. */
const floorEvery = 10

/** Of few slots the share is less than one task, so time decides whose turn it is. */
const fromLowestOf = (limit: number, clock: Clock.Clock): number =>
  limit >= floorEvery
    ? Math.floor(limit / floorEvery)
    : Number((clock.monotonicTimeNanosUnsafe() / 1_000_000n) % BigInt(floorEvery)) < limit
      ? 1
      : 0
