import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Logger, References, Schema } from "effect"
import { Duetime } from "../../src/Duetime.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import { MemoryControl } from "../../src/store/MemoryStore.ts"
import * as Task from "../../src/Task.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { itRuns, losing, passMs, processOf } from "./process.ts"

const Work = Task.define("work", {
  payload: { name: Schema.String },
  retry: RetryPolicy.fixed({ delay: "1 second", attemptsMax: 3 }),
  timeout: "30 seconds"
})

const names = (count: number) => Array.from({ length: count }, (_, index) => ({ payload: { name: `task ${index}` } }))
const get = (id: string) => Duetime.use((duetime) => duetime.get(id))
const inFlight = Effect.map(Worker, (worker) => worker.status().inFlight)

describe("slots", () => {
  itRuns("no more attempts run at a time than the worker has slots, and all run in the end", () => {
    let running = 0
    let most = 0
    return {
      options: { concurrency: 3 },
      handlers: Work.handle(() =>
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }).pipe(Effect.andThen(Effect.sleep("1 second")), Effect.ensuring(Effect.sync(() => running--)))
      ),
      test: Effect.gen(function* () {
        const receipts = yield* Work.scheduleMany(names(20))
        yield* passMs(20_000)
        assert.strictEqual(most, 3)
        for (const { id } of receipts) assert.strictEqual((yield* get(id)).stage, "succeeded")
        assert.strictEqual(yield* inFlight, 0)
      })
    }
  })

  it.effect("a number of slots that makes no sense is refused when the layer is built", () =>
    Effect.gen(function* () {
      for (const concurrency of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(processOf(Layer.empty, { concurrency }))))
        assert.strictEqual(error._tag, "ConfigInvalid")
        assert.include(error.message, `concurrency is ${concurrency}`)
      }
    })
  )

  itRuns("queues share the slots, and a dispatch that found none is started when the engine sends it again", () => {
    const Other = Task.define("other", { payload: {}, queue: "other" })
    return {
      options: { concurrency: 1 },
      handlers: Layer.mergeAll(
        Work.handle(() => Effect.sleep("5 seconds")),
        Other.handle(() => Effect.void)
      ),
      test: Effect.gen(function* () {
        yield* Work.schedule({ name: "long" })
        const { id } = yield* Other.schedule({})
        yield* passMs(60_000)
        assert.strictEqual((yield* get(id)).stage, "succeeded")
        assert.strictEqual(yield* inFlight, 0)
      })
    }
  })
})

describe("batches", () => {
  itRuns(
    "of tasks that are due together the first fifty are started by themselves, and the others in the next batch",
    () => {
      const sizes: { start: Array<number>; finish: Array<number> } = { start: [], finish: [] }
      return {
        options: {
          concurrency: 200,
          store: (store) => ({
            ...store,
            start: (sessionId, batch) => {
              sizes.start.push(batch.length)
              return store.start(sessionId, batch)
            },
            finish: (batch) => {
              sizes.finish.push(batch.length)
              return store.finish(batch)
            }
          })
        },
        handlers: Work.handle(() => Effect.void),
        test: Effect.gen(function* () {
          yield* Work.scheduleMany(names(100).map((entry) => ({ ...entry, in: "1 minute" })))
          yield* passMs(60_000)
          assert.deepStrictEqual(sizes.start, [50, 50])
          assert.strictEqual(
            sizes.finish.reduce((sum, size) => sum + size, 0),
            100
          )
          assert.isAtMost(sizes.finish.length, 2)
        })
      }
    }
  )
})

describe("timeouts", () => {
  itRuns("a handler is interrupted at its timeout, and the attempt is recorded as failed then", () => {
    let interruptedAtMs = 0
    return {
      handlers: Work.handle(() =>
        Effect.never.pipe(
          Effect.onInterrupt(() =>
            Effect.clockWith((clock) =>
              Effect.sync(() => {
                interruptedAtMs = clock.currentTimeMillisUnsafe()
              })
            )
          )
        )
      ),
      test: Effect.gen(function* () {
        const { id } = yield* Work.schedule({ name: "slow" }, { in: "10 seconds" })
        yield* passMs(39_999)
        assert.strictEqual((yield* get(id)).stage, "running")
        yield* passMs(1)
        const view = yield* get(id)
        assert.strictEqual(view.lastError?.name, "AttemptTimedOut")
        assert.include(view.lastError?.message, "30000 ms")
        assert.strictEqual(interruptedAtMs, 40_000)
        yield* passMs(100_000)
        assert.strictEqual((yield* get(id)).deadReason, "exhausted")
      })
    }
  })

  itRuns("a short timeout is kept while a longer one is running out", () => {
    const Short = Task.define("short", { payload: {}, timeout: "1 second", retry: RetryPolicy.never })
    return {
      handlers: Layer.mergeAll(
        Work.handle(() => Effect.never),
        Short.handle(() => Effect.never)
      ),
      test: Effect.gen(function* () {
        yield* Work.schedule({ name: "long" }, { in: "1 second" })
        const { id } = yield* Short.schedule({}, { in: "2 seconds" })
        yield* passMs(3_000)
        const view = yield* get(id)
        assert.strictEqual(view.lastError?.name, "AttemptTimedOut")
        assert.strictEqual(view.endedAt?.getTime(), 3_000)
      })
    }
  })

  itRuns("an async handler gets its timeout as an aborted signal", () => {
    let aborted = 0
    return {
      handlers: Work.handleAsync(
        (_, { signal }) =>
          new Promise((resolve) => {
            signal.addEventListener("abort", () => {
              aborted++
              resolve(null)
            })
          })
      ),
      test: Effect.gen(function* () {
        const { id } = yield* Work.schedule({ name: "slow" }, { in: "1 second" })
        yield* passMs(31_000)
        assert.strictEqual(aborted, 1)
        assert.strictEqual((yield* get(id)).lastError?.name, "AttemptTimedOut")
      })
    }
  })

  itRuns("a handler that ignores its interruption keeps neither the record nor the slot, and is counted", () => {
    const release = Deferred.makeUnsafe<void>()
    return {
      options: { concurrency: 1 },
      handlers: Work.handle(({ name }) =>
        name === "deaf" ? Effect.uninterruptible(Deferred.await(release)) : Effect.succeed("heard")
      ),
      test: Effect.gen(function* () {
        const deaf = yield* Work.schedule({ name: "deaf" }, { in: "1 second" })
        yield* passMs(31_000)
        assert.strictEqual((yield* get(deaf.id)).lastError?.name, "AttemptTimedOut")
        const worker = yield* Worker
        assert.strictEqual(worker.status().stuck, 1)
        const other = yield* Work.schedule({ name: "other" }, { priority: "critical" })
        yield* passMs(10)
        assert.strictEqual((yield* get(other.id)).stage, "succeeded")
        yield* Deferred.succeed(release, undefined)
        yield* passMs(10_000)
        assert.strictEqual(worker.status().stuck, 0)
        assert.strictEqual(worker.status().inFlight, 0)
      })
    }
  })

  itRuns("no more stuck handlers gather than there are slots: then the worker takes nothing more", () => {
    const release = Deferred.makeUnsafe<void>()
    let calls = 0
    return {
      options: { concurrency: 2 },
      handlers: Work.handle(() =>
        Effect.suspend(() => {
          calls++
          return Effect.uninterruptible(Deferred.await(release))
        })
      ),
      test: Effect.gen(function* () {
        yield* Work.scheduleMany(names(20).map((entry) => ({ ...entry, in: "1 second" })))
        yield* passMs(600_000)
        assert.strictEqual(calls, 4)
        yield* Deferred.succeed(release, undefined)
        yield* passMs(600_000)
        assert.strictEqual(yield* inFlight, 0)
      })
    }
  })

  itRuns("where the policy says park, a timed out attempt is left to a person", () => {
    const Charge = Task.define("charge", { payload: {}, timeout: "30 seconds", onInterrupted: "park" })
    return {
      handlers: Charge.handle((_, { number }) => (number === 1 ? Effect.never : Effect.succeed("asked and done"))),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({}, { in: "10 seconds" })
        yield* passMs(60_000)
        assert.strictEqual((yield* get(id)).stage, "parked")
        assert.strictEqual(yield* inFlight, 0)
        yield* Duetime.use((duetime) => duetime.runNow(id))
        yield* passMs(10)
        assert.strictEqual((yield* get(id)).stage, "succeeded")
      })
    }
  })
})

describe("a store that does not answer", () => {
  for (const operation of ["start", "finish"] as const) {
    for (const fault of ["before", "after"] as const) {
      itRuns(
        `a ${operation} whose ${fault === "before" ? "request" : "answer"} is lost runs the handler once and is recorded once`,
        () => {
          let calls = 0
          return {
            options: { store: losing(operation, fault, 3) },
            handlers: Work.handle(() => Effect.sync(() => ++calls)),
            test: Effect.gen(function* () {
              const { id } = yield* Work.schedule({ name: "once" }, { in: "10 seconds" })
              yield* passMs(20_000)
              assert.strictEqual(calls, 1)
              const history = yield* Duetime.use((duetime) => duetime.history(id))
              assert.deepStrictEqual(
                history.map((event) => event._tag),
                ["TaskScheduled", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"]
              )
            })
          }
        }
      )
    }
  }

  itRuns("an outcome waits for the store, and its slot with it", () => ({
    options: { concurrency: 1 },
    handlers: Work.handle(() => Effect.sleep("10 seconds")),
    test: Effect.gen(function* () {
      const control = yield* MemoryControl
      const { id } = yield* Work.schedule({ name: "waits" }, { in: "1 second" })
      yield* passMs(9_000)
      yield* control.cutOff(true)
      yield* passMs(4_000)
      assert.strictEqual(yield* inFlight, 1)
      yield* control.cutOff(false)
      yield* passMs(3_000)
      assert.strictEqual((yield* get(id)).stage, "succeeded")
      assert.strictEqual(yield* inFlight, 0)
    })
  }))

  itRuns("an outage is logged when it begins and when it ends, not at every try", () => {
    const { around, lines } = capturedLogs()
    return {
      around,
      options: { store: losing("finish", "before", 8) },
      handlers: Work.handle(() => Effect.void),
      test: Effect.gen(function* () {
        yield* Work.schedule({ name: "one" }, { in: "1 second" })
        yield* passMs(60_000)
        assert.deepStrictEqual(
          lines.map((line) => line.split(";")[0]),
          ["the store does not answer", "the store answers again"]
        )
      })
    }
  })
})

describe("what is logged", () => {
  itRuns("every line of a handler carries its task, kind and attempt", () => {
    const annotations: Array<Record<string, unknown>> = []
    const logger = Logger.make(({ fiber }) => {
      annotations.push({ ...fiber.getRef(References.CurrentLogAnnotations) })
    })
    return {
      around: Logger.layer([logger]),
      handlers: Work.handle(() => Effect.logInfo("working")),
      test: Effect.gen(function* () {
        const { id } = yield* Work.schedule({ name: "one" }, { in: "1 second" })
        yield* passMs(1_000)
        assert.deepStrictEqual(annotations, [{ taskId: id, kind: "work", attempt: 1 }])
      })
    }
  })

  itRuns("the line of a dead letter has the error's name and the command that shows its message", () => {
    const { around, lines } = capturedLogs()
    return {
      around,
      handlers: Work.handle(() => Effect.fail(new RangeError("canary"))),
      test: Effect.gen(function* () {
        const { id } = yield* Work.schedule({ name: "one" })
        yield* passMs(60_000)
        const line = `a task is a dead letter: it failed with RangeError; "duetime dead show ${id}" tells why`
        assert.deepStrictEqual(lines, [line])
      })
    }
  })

  itRuns("no line holds anything of a payload, a result or an error of a handler", () => {
    const { around, lines } = capturedLogs()
    const Unfit = Task.define("unfit", { payload: { secret: Schema.Number } })
    const Untyped = Task.define("unfit", { payload: { secret: Schema.String } })
    const Typed = Task.define("typed", { payload: {}, result: Schema.Struct({ n: Schema.FiniteFromString }) })
    return {
      around,
      handlers: Layer.mergeAll(
        Unfit.handle(() => Effect.void),
        Typed.handle(() => Effect.succeed(JSON.parse('{"n":"canary"}'))),
        Work.handle(({ name }) => (name === "result" ? Effect.succeed(() => "canary") : Effect.fail("canary")))
      ),
      test: Effect.gen(function* () {
        yield* Untyped.schedule({ secret: "canary" })
        yield* Typed.schedule({})
        yield* Work.schedule({ name: "result" })
        yield* Work.schedule({ name: "error" })
        yield* passMs(60_000)
        // Two results dropped and two dead letters; otherwise the test would look at nothing.
        assert.lengthOf(lines, 4)
        for (const line of lines) assert.notInclude(line, "canary")
      })
    }
  })
})

const capturedLogs = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, message }) => {
    const reasons = cause.reasons.length === 0 ? "" : JSON.stringify(cause)
    lines.push(`${Array.isArray(message) ? message.map(String).join(" ") : String(message)}${reasons}`)
  })
  return { lines, around: Logger.layer([logger]) }
}
