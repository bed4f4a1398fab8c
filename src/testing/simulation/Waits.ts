/**
 * What user code waits for inside the kernel: its turns, its sleeps, its calls. When there is nothing of it and a handler has not
 * ended, the handler waits for something that the simulation will never bring.
 */
import { Clock, Context, Effect, Layer, Scheduler } from "effect"

export class Waits {
  count = 0

  during<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.sync(() => this.count++),
      () => effect,
      () => Effect.sync(() => this.count--)
    )
  }
}

/** Of the code that runs now; null: the code is duetime's own. */
export const CurrentWaits = Context.Reference<Waits | null>("duetime/testing/CurrentWaits", {
  defaultValue: () => null
})

/** Of a call that user code makes through a port of duetime. */
export const counted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(CurrentWaits, (waits) => (waits === null ? effect : waits.during(effect)))

/** Below user code: the kernel's clock and scheduler, counted. */
export const layerCounted = (waits: Waits): Layer.Layer<never> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const scheduler = yield* Scheduler.Scheduler
      return Context.empty().pipe(
        Context.add(CurrentWaits, waits),
        Context.add(Clock.Clock, { ...clock, sleep: (duration) => waits.during(clock.sleep(duration)) }),
        Context.add(Scheduler.Scheduler, countedScheduler(waits, scheduler))
      )
    })
  )

const countedScheduler = (waits: Waits, scheduler: Scheduler.Scheduler): Scheduler.Scheduler => ({
  ...scheduler,
  makeDispatcher: () => {
    const dispatcher = scheduler.makeDispatcher()
    return {
      flush: () => dispatcher.flush(),
      scheduleTask: (run, priority) => {
        waits.count++
        dispatcher.scheduleTask(() => {
          waits.count--
          run()
        }, priority)
      }
    }
  }
})
