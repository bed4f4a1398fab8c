import { assert, it } from "@effect/vitest"
import { Effect, Layer, Metric, References, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import { Duetime } from "../../src/Duetime.ts"
import {
  attemptsInFlight,
  attemptsTotal,
  byLane,
  claimLagMs,
  deadLettersTotal,
  deliveryLagMs,
  dispatchLagMs,
  driftMs,
  kindsMax,
  otherKind,
  outcomesTotal,
  retriesTotal
} from "../../src/DuetimeMetrics.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { MemoryControl } from "../../src/store/MemoryStore.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import * as Task from "../../src/Task.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { audited, itRuns, passMs, processOf } from "./process.ts"

const behaviours = ["succeed", "fail", "die", "snooze", "discard", "slow", "never", "deaf"] as const

const Random = Task.define("random", {
  payload: { behaviour: Schema.Literals(behaviours) },
  retry: RetryPolicy.fixed({ delay: "500 millis", attemptsMax: 3 }),
  timeout: "2 seconds"
})

it.effect("whatever handlers do and whichever answers are lost, every task ends and every call was a won start", () =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...behaviours), fc.integer({ min: 0, max: 5_000 })), {
          minLength: 1,
          maxLength: 60
        }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.constantFrom("before", "after", "cut" as const)), {
          maxLength: 20
        }),
        fc.integer({ min: 1, max: 8 }),
        (tasks, faults, concurrency) => {
          let calls = 0
          const handlers = Random.handle(({ behaviour }, { number }) =>
            Effect.suspend((): Effect.Effect<unknown, unknown> => {
              calls++
              switch (behaviour) {
                case "succeed":
                  return Effect.succeed(number)
                case "fail":
                  return Effect.fail(new Error("random"))
                case "die":
                  return Effect.die("random")
                case "snooze":
                  return number < 3 ? Effect.fail(Task.snooze("100 millis")) : Effect.void
                case "discard":
                  return Effect.fail(Task.discard("random"))
                case "slow":
                  return Effect.sleep("1 second")
                case "never":
                  return Effect.never
                case "deaf":
                  return Effect.uninterruptible(Effect.sleep("5 seconds"))
              }
            })
          )
          return Effect.gen(function* () {
            const control = yield* MemoryControl
            yield* Random.scheduleMany(tasks.map(([behaviour, inMs]) => ({ payload: { behaviour }, in: inMs })))
            for (const [pauseMs, fault] of faults) {
              yield* passMs(pauseMs)
              if (fault !== "cut") yield* control.failNext(fault)
              else {
                // One such gap costs no lease; several in a row may.
                yield* control.cutOff(true)
                yield* passMs(700)
                yield* control.cutOff(false)
              }
            }
            yield* passMs(300_000)
            const store = yield* TaskStore
            const streams = yield* store.streams(null, 1_000)
            const count = (isMeant: (event: TaskEvent) => boolean) =>
              streams.reduce((sum, { events }) => sum + events.filter(isMeant).length, 0)
            const starts = count((event) => event._tag === "AttemptStarted")
            const uncalled = count(
              (event) =>
                event._tag === "AttemptExpired" ||
                (event._tag === "AttemptReleased" && event.reason === "session-lost") ||
                (event._tag === "TaskDeadLettered" && event.error.name === "AttemptExpired")
            )
            // A start whose lease was lost with its answer runs no handler: it is given back, or expires.
            assert.isTrue(
              calls <= starts && calls >= starts - uncalled,
              `${calls} calls, ${starts} starts, ${uncalled} expired or given back`
            )
            for (const { events } of streams) {
              assert.include(["AttemptSucceeded", "TaskDeadLettered"], events.at(-1)?._tag)
            }
            assert.strictEqual((yield* Worker).status().inFlight, 0)
            assert.strictEqual(yield* audited, tasks.length)
          }).pipe(
            // After a failure something may still run, and closing waits for it.
            Effect.exit,
            Effect.tap(() => passMs(60_000)),
            Effect.flatten,
            Effect.provide(
              Layer.provideMerge(processOf(handlers, { concurrency }), Layer.mergeAll(TestClock.layer(), silent))
            ),
            Effect.runPromise
          )
        }
      ),
      { numRuns: 15 }
    )
  )
)

/** The lines of hundreds of lost answers say nothing here. */
const silent = Layer.succeed(References.MinimumLogLevel, "None")

const Metered = Task.define("metered", {
  payload: {},
  priority: "high",
  queue: "meters",
  retry: RetryPolicy.fixed({ delay: 10, attemptsMax: 2 })
})

itRuns("metrics count attempts, outcomes, retries, dead letters and each part of the drift by lane", () => ({
  handlers: Metered.handle(() => Effect.fail("always")),
  test: Effect.gen(function* () {
    yield* Metered.schedule({}, { in: "1 second" })
    yield* passMs(60_000)
    const of = <Input, State>(metric: Metric.Metric<Input, State>) =>
      Metric.value(Metric.withAttributes(metric, { kind: "metered", queue: "meters", priority: "high" }))
    assert.strictEqual((yield* of(attemptsTotal)).count, 2)
    assert.strictEqual((yield* of(retriesTotal)).count, 1)
    assert.strictEqual((yield* of(deadLettersTotal)).count, 1)
    const failed = Metric.withAttributes(outcomesTotal, { outcome: "failed" })
    assert.strictEqual((yield* of(failed)).count, 2)
    for (const part of [driftMs, claimLagMs, dispatchLagMs, deliveryLagMs]) {
      const { count, max } = yield* of(part)
      assert.deepStrictEqual([part.id, count, max], [part.id, 2, 0])
    }
    assert.strictEqual((yield* Metric.value(attemptsInFlight)).value, 0)
    assert.strictEqual((yield* Duetime.use((duetime) => duetime.find({ stage: "dead" }))).tasks.length, 1)
  })
}))

it("metrics tell 200 kinds of a process apart, and count all others as one", () => {
  const handles = byLane(({ kind, queue }) => `${kind} of ${queue}`)
  const laneOf = (kind: string, queue = "mail") => ({ kind, queue, priority: "low" as const })
  for (let n = 0; n < kindsMax; n++) assert.strictEqual(handles(laneOf(`kind-${n}`)), `kind-${n} of mail`)
  for (const kind of ["made", "up", "kinds"]) {
    assert.strictEqual(handles(laneOf(kind)), `${otherKind} of ${otherKind}`)
  }
  assert.strictEqual(handles(laneOf("kind-7")), "kind-7 of mail")
  assert.strictEqual(handles(laneOf("kind-7", "post")), "kind-7 of post")
})
