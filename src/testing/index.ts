import { Clock, Context, Duration, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { layer as memoryBroker } from "../broker/MemoryBroker.ts"
import { fold } from "../core/evolve.ts"
import type { TaskEvent } from "../core/TaskEvent.ts"
import { isEnded, type Stage, type TaskState } from "../core/TaskState.ts"
import { Duetime, type LookUpError } from "../Duetime.ts"
import { defaults, EngineConfig } from "../engine/EngineConfig.ts"
import { Engine } from "../engine/Engine.ts"
import { Recurrences } from "../Recurrences.ts"
import { make as makeDatabase } from "../store/memory/MemoryDatabase.ts"
import { layerOn } from "../store/MemoryStore.ts"
import { type StoredStream, TaskStore } from "../store/TaskStore.ts"
import { Worker, type WorkerOptions } from "../worker/Worker.ts"

export type { Draw } from "./simulation/Draw.ts"
export type { SimulatedFault } from "./simulation/faultDraws.ts"
export type { Finding, Invariants, Violation } from "./simulation/judge.ts"
export type { By } from "./simulation/Kept.ts"
export { Ledger, type LedgerRow, type LedgerTable } from "./simulation/Ledger.ts"
export {
  Outside,
  type OutsideEffect,
  OutsideRefused,
  type OutsideService,
  OutsideUnavailable
} from "./simulation/Outside.ts"
export { plan, type Planned, type PlanOptions } from "./simulation/plan.ts"
export type { SimulatedNode, SimulatedOutcome, SimulatedTask } from "./simulation/runPlanned.ts"
export { simulate, type SimulateOptions, type SimulationFailure, type SimulationReport } from "./simulation/simulate.ts"
export { HandlerLeft, type Only, SimulationFailed, SimulationVoid } from "./simulation/SimulationError.ts"
export type { SimulatedCall, SimulatedServices } from "./simulation/userNode.ts"

/**
 * The whole scheduler in one test: memory store, memory broker, engine and worker on Effect's `TestClock`. Nothing runs
 * until the test moves the clock, three hours pass in a second, and the history says what happened.
 *
 * ```ts
 * it.effect("reminds after three hours", () =>
 *   Effect.gen(function* () {
 *     const { id } = yield* SendReminder.schedule({ email: "ada@example.com" }, { in: "3 hours" })
 *     yield* TestClock.adjust("3 hours")
 *     assert.deepStrictEqual((yield* TestDuetime.history(id)).map((event) => event._tag).at(-1), "AttemptSucceeded")
 *   }).pipe(Effect.provide(TestDuetime.layer(reminders)))
 * )
 * ```
 *
 * The clock does not see work outside Effect: let handlers under test wait with `Effect.sleep`, not with real timers.
 */
export class TestDuetime extends Context.Service<
  TestDuetime,
  {
    /** All events of a task. */
    readonly history: (id: string) => Effect.Effect<ReadonlyArray<TaskEvent>, LookUpError>
    /**
     * Moves the clock and lets everything finish that is due until then. `TestClock.adjust` does the same for what is due
     * later, but does not wait for what the test itself has just scheduled to be due now.
     */
    readonly pass: (duration: Duration.Input) => Effect.Effect<void>
    /** Start minus due time of each attempt of a task, in ms. */
    readonly driftMs: (id: string) => Effect.Effect<ReadonlyArray<number>, LookUpError>
    /** Moves the clock until the task has ended or is parked; fails as a defect if that takes longer than the limit (default 30 days). */
    readonly untilEnded: (id: string, limit?: Duration.Input) => Effect.Effect<Stage, LookUpError>
    /** Moves the clock to the next due time, again and again, until no task is due within the limit (default 1 day). */
    readonly runAllDue: (limit?: Duration.Input) => Effect.Effect<void>
  }
>()("duetime/testing/TestDuetime") {
  static readonly history = (id: string) => TestDuetime.use((test) => test.history(id))
  static readonly pass = (duration: Duration.Input) => TestDuetime.use((test) => test.pass(duration))
  static readonly driftMs = (id: string) => TestDuetime.use((test) => test.driftMs(id))
  static readonly untilEnded = (id: string, limit?: Duration.Input) =>
    TestDuetime.use((test) => test.untilEnded(id, limit))
  static readonly runAllDue = (limit?: Duration.Input) => TestDuetime.use((test) => test.runAllDue(limit))

  /** Everything, with these handlers: a layer, or several merged, made by `kind.handle`. */
  static readonly layer = <E, R>(handlers: Layer.Layer<never, E, R>, options: WorkerOptions = {}) =>
    Layer.mergeAll(Engine.layer, Layer.effect(TestDuetime, make)).pipe(
      // An engine that starts before the kinds are announced would find them at its next poll only.
      Layer.provideMerge(Layer.provideMerge(announced, handlers)),
      // A grace would wait for a clock that nobody moves once the test has ended.
      Layer.provideMerge(Worker.layer({ drainGrace: 0, ...options })),
      Layer.provideMerge(Layer.merge(Duetime.layer, Recurrences.layer)),
      Layer.provideMerge(Layer.mergeAll(testStore, memoryBroker)),
      Layer.provide(Layer.succeed(EngineConfig, { ...defaults, ...testTimes }))
    )
}

/**
 * In one process the store's wake-ups tell of every task due within the look-ahead, and the idle poll finds the others
 * before they are due: so nothing is late, and idle hours pass quickly.
 */
const testTimes = { lookAheadMs: 10_000, idlePollMs: 5_000 }
/** A virtual hour of the default lease is 2,880 renewals. */
const testLeaseMs = 60_000
/** Only what moves the clock needs one that can be moved. */
const moving = (moves: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.flatMap(Clock.Clock, (clock) => ("adjust" in clock ? moves : Effect.die(new Error(withoutTestClock))))
const withoutTestClock =
  "TestDuetime moves the clock of the test, and this one runs by itself. Use it.effect of @effect/vitest, or provide TestClock.layer() of effect/testing to the whole test, TestDuetime.layer included."
/** Step of the clock while a handler runs. */
const stepMs = 100
/** Turns of the event loop that a dispatch takes from its claim to its outcome, twice over. */
const settledTurns = 50
const settled = Effect.yieldNow.pipe(Effect.repeat({ times: settledTurns }), Effect.asVoid)
/** Streams looked through at a time. */
const pageSize = 1_000

const announced = Layer.effectDiscard(
  Effect.gen(function* () {
    const worker = yield* Worker
    while (!worker.status().isAnnounced) yield* Effect.yieldNow
  })
)

const testStore = Layer.unwrap(Effect.map(makeDatabase({ leaseMs: testLeaseMs }), layerOn))

const make = Effect.gen(function* () {
  const duetime = yield* Duetime
  const store = yield* TaskStore

  /** The earliest instant something is to happen to an unfinished task; now while a handler runs. */
  const nextAtMs = Effect.gen(function* () {
    const nowMs = yield* Clock.currentTimeMillis
    let earliestMs = Infinity
    let after: string | null = null
    while (true) {
      const page: ReadonlyArray<StoredStream> = yield* Effect.orDie(store.streams(after, pageSize))
      for (const { events } of page) {
        const state = fold(events)
        if (state !== null) earliestMs = Math.min(earliestMs, nextAtMsOf(state, nowMs))
      }
      if (page.length < pageSize) return earliestMs
      after = page.at(-1)?.taskId ?? null
    }
  })

  /** Moves the clock to the instant, or by a step if that is now or past; false if the limit comes first. */
  const moveTo = Effect.fnUntraced(function* (atMs: number, limitAtMs: number) {
    const nowMs = yield* Clock.currentTimeMillis
    const targetMs = Math.max(atMs, nowMs + stepMs)
    if (targetMs > limitAtMs) return false
    yield* moving(TestClock.setTime(targetMs))
    yield* settled
    return true
  })

  const limitAtMs = (limit: Duration.Input) =>
    Effect.map(Clock.currentTimeMillis, (nowMs) => nowMs + Duration.toMillis(limit))

  return TestDuetime.of({
    history: duetime.history,
    pass: (duration) => settled.pipe(Effect.andThen(moving(TestClock.adjust(duration))), Effect.andThen(settled)),
    driftMs: (id) =>
      Effect.map(duetime.history(id), (history) =>
        history.flatMap((event, index) => {
          if (event._tag !== "AttemptStarted") return []
          const due = fold(history.slice(0, index))
          return due === null ? [] : [event.atMs - due.dueAtMs]
        })
      ),
    untilEnded: Effect.fnUntraced(function* (id, limit = "30 days") {
      const untilMs = yield* limitAtMs(limit)
      while (true) {
        // What is due now runs without moving the clock.
        yield* settled
        const state = fold(yield* duetime.history(id))
        if (state === null) return yield* Effect.die(new Error(`task ${id} has no events`))
        if (isEnded(state.stage) || state.stage === "parked") return state.stage
        const nowMs = yield* Clock.currentTimeMillis
        if (yield* moveTo(nextAtMsOf(state, nowMs), untilMs)) continue
        return yield* Effect.die(
          new Error(`task ${id} is still ${state.stage} after ${Duration.format(Duration.fromInputUnsafe(limit))}`)
        )
      }
    }),
    runAllDue: Effect.fnUntraced(function* (limit = "1 day") {
      const untilMs = yield* limitAtMs(limit)
      yield* settled
      while (yield* moveTo(yield* nextAtMs, untilMs)) continue
    })
  })
})

const nextAtMsOf = (state: TaskState, nowMs: number): number => {
  if (isEnded(state.stage) || state.stage === "parked") return Infinity
  return state.stage === "running" ? nowMs : state.dueAtMs
}
