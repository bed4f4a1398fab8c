import { assert, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Broker } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { audit } from "../../src/core/audit.ts"
import { Duetime } from "../../src/Duetime.ts"
import { Engine } from "../../src/engine/Engine.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import type { Handlers } from "../../src/worker/Handlers.ts"
import { Worker, type WorkerOptions } from "../../src/worker/Worker.ts"

export type ProcessOptions = WorkerOptions & {
  /** Wraps the real store, to count its calls or to lose their answers. */
  readonly store?: (store: TaskStore["Service"]) => TaskStore["Service"]
  /** Stands in for the broker of the process. */
  readonly broker?: (broker: Broker["Service"]) => Broker["Service"]
}

/** One process: memory store and broker, engine and worker with these handlers. */
export const processOf = <E, R>(
  handlers: Layer.Layer<never, E, R | Handlers>,
  { broker = (real) => real, store = (real) => real, ...options }: ProcessOptions = {}
) => {
  const wrapped = Layer.effect(TaskStore, Effect.map(TaskStore, store)).pipe(Layer.provideMerge(MemoryStore.layer))
  const wrappedBroker = Layer.effect(Broker, Effect.map(Broker, broker)).pipe(Layer.provide(MemoryBroker.layer))
  return Engine.layer.pipe(
    Layer.provideMerge(Layer.provideMerge(announced, handlers)),
    // A grace would wait for a clock that nobody moves once the test has ended.
    Layer.provideMerge(Worker.layer({ drainGrace: 0, ...options })),
    Layer.provideMerge(Duetime.layer),
    Layer.provideMerge(Layer.mergeAll(wrapped, wrappedBroker))
  )
}

const announced = Layer.effectDiscard(
  Effect.gen(function* () {
    const worker = yield* Worker
    while (!worker.status().isAnnounced) yield* Effect.yieldNow
  })
)

/** Looks at every stream of the store as the auditor does; part of each test below. */
export const audited = Effect.gen(function* () {
  const store = yield* TaskStore
  const streams = yield* store.streams(null, 1_000)
  assert.deepStrictEqual(audit(streams), [])
  return streams.length
})

type Process = Layer.Success<ReturnType<typeof processOf<never, never>>>

/** A test of one process on the virtual clock, with an audit of all that it left in the store. */
export const itRuns = <E>(
  name: string,
  make: () => {
    readonly handlers: Layer.Layer<never, unknown, Handlers | Duetime>
    readonly options?: ProcessOptions
    /** What the whole process is built in: a logger, an observer. */
    readonly around?: Layer.Layer<never>
    readonly test: Effect.Effect<void, E, Process | Scope.Scope>
  }
) =>
  it.effect(name, () => {
    const { around = Layer.empty, handlers, options, test } = make()
    return Effect.andThen(test, audited).pipe(Effect.provide(Layer.provideMerge(processOf(handlers, options), around)))
  })

/**
 * Moves the virtual clock. It waits for what its own timers wake, not for what a call of the test has set going: that
 * gets some turns of the event loop before and after.
 */
export const passMs = (ms: number) => settled.pipe(Effect.andThen(TestClock.adjust(ms)), Effect.andThen(settled))

export const settled = Effect.yieldNow.pipe(Effect.repeat({ times: 50 }), Effect.asVoid)

/** Loses the answers of the first calls of an operation: the change is made ("after") or not ("before"). */
export const losing =
  (operation: "start" | "finish", fault: "before" | "after", times: number) =>
  (store: TaskStore["Service"]): TaskStore["Service"] => {
    let left = times
    const lose = <A>(call: Effect.Effect<A, StoreUnavailable>): Effect.Effect<A, StoreUnavailable> =>
      Effect.suspend(() => {
        if (left === 0) return call
        left--
        const lost = new StoreUnavailable({ operation, commitUnknown: fault === "after", reason: "lost by the test" })
        return fault === "before" ? Effect.fail(lost) : Effect.andThen(call, Effect.fail(lost))
      })
    return operation === "start"
      ? { ...store, start: (sessionId, batch) => lose(store.start(sessionId, batch)) }
      : { ...store, finish: (batch) => lose(store.finish(batch)) }
  }
