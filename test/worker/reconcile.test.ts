import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Logger, Schema, Scope } from "effect"
import { askWaitsMs } from "../../src/core/asks.ts"
import { Duetime } from "../../src/Duetime.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { Engine } from "../../src/engine/Engine.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { MemoryControl } from "../../src/store/MemoryStore.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
import * as Task from "../../src/Task.ts"
import type { Answer } from "../../src/worker/Handlers.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { audited, itRuns, passMs, type ProcessOptions } from "./process.ts"

const Charge = Task.define("charge", {
  payload: { order: Schema.Int },
  result: Schema.Struct({ chargeId: Schema.String }),
  timeout: "1 second",
  retry: RetryPolicy.fixed({ delay: "1 minute", attemptsMax: 2 }),
  onInterrupted: "park"
})
const Plain = Task.define("plain", { payload: {}, timeout: "1 second", onInterrupted: "park" })
const charged = Task.done({ chargeId: "ch_1" })

/** After so long an attempt that hangs has been parked, 2 s after its timeout at the latest a second later, and asked about. */
const askedByMs = 8_000

const get = (id: string) => Duetime.use((duetime) => duetime.get(id))
const tagsOf = (id: string) =>
  Effect.map(
    Duetime.use((duetime) => duetime.history(id)),
    (history) => history.map((event) => event._tag)
  )
const hangs = () => Effect.never

describe("a reconciler", () => {
  itRuns("is asked with the payload and the facts of the attempt; done ends the task with its result", () => {
    const asked: Array<unknown> = []
    let calls = 0
    return {
      handlers: Charge.handle(
        () => {
          calls++
          return Effect.never
        },
        {
          reconcile: (payload, interrupted) =>
            Effect.sync(() => {
              const { parkedAt, taskId, ...facts } = interrupted
              asked.push({ payload, ...facts, idempotencyKey: interrupted.idempotencyKey === taskId })
              assert.isAbove(parkedAt.getTime(), facts.deadline.getTime())
              return charged
            })
        }
      ),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 }, { in: "1 second" })
        yield* passMs(1_000 + askedByMs)
        assert.deepStrictEqual(asked, [
          {
            payload: { order: 7 },
            kind: "charge",
            number: 1,
            dueAt: new Date(1_000),
            startedAt: new Date(1_000),
            deadline: new Date(2_000),
            idempotencyKey: true,
            fence: 3,
            reason: "deadline",
            ask: 1
          }
        ])
        const { result, stage } = yield* get(id)
        assert.deepStrictEqual([stage, result], ["succeeded", { chargeId: "ch_1" }])
        assert.deepStrictEqual((yield* tagsOf(id)).slice(-3), ["AttemptStarted", "TaskParked", "TaskReconciled"])
        yield* passMs(600_000)
        assert.deepStrictEqual([calls, asked.length], [1, 1])
      })
    }
  })

  itRuns("that says not done lets the task be tried again after the policy's delay", () => {
    const started: Array<number> = []
    return {
      handlers: Charge.handle(
        (_, { number, startedAt }) => {
          started.push(startedAt.getTime())
          return number === 1 ? Effect.never : Effect.succeed({ chargeId: "ch_2" })
        },
        { reconcile: () => Effect.succeed(Task.notDone) }
      ),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(askedByMs)
        const { dueAt, stage } = yield* get(id)
        assert.strictEqual(stage, "pending")
        yield* passMs(dueAt.getTime() - askedByMs)
        assert.deepStrictEqual((yield* get(id)).result, { chargeId: "ch_2" })
        assert.deepStrictEqual(started, [0, dueAt.getTime()])
        assert.isAbove(dueAt.getTime(), 60_000)
      })
    }
  })

  itRuns("that says not done of the last attempt makes a dead letter", () => ({
    handlers: Charge.handle(hangs, { reconcile: () => Effect.succeed(Task.notDone) }),
    test: Effect.gen(function* () {
      const { id } = yield* Charge.schedule({ order: 7 })
      yield* passMs(60_000 + 2 * askedByMs)
      const { attempts, deadReason, lastError } = yield* get(id)
      assert.deepStrictEqual([attempts, deadReason, lastError?.name], [2, "exhausted", "AttemptExpired"])
    })
  }))

  itRuns("that does not know is asked again, ever later", () => {
    const askedAtMs: Array<number> = []
    return {
      handlers: Charge.handle(hangs, {
        reconcile: (_, { ask }) =>
          Effect.clockWith((clock) =>
            Effect.sync(() => {
              assert.strictEqual(ask, askedAtMs.push(clock.currentTimeMillisUnsafe()))
              return Task.unknown
            })
          )
      }),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(askedByMs + 320_000)
        assert.strictEqual(askedAtMs.length, 6)
        for (const [index, waitMs] of askWaitsMs.slice(0, 5).entries()) {
          const waitedMs = (askedAtMs[index + 1] ?? 0) - (askedAtMs[index] ?? 0)
          // A look comes every 2 s, give or take a fifth.
          assert.isTrue(waitedMs >= waitMs && waitedMs <= waitMs + 2_400, `wait ${index} was ${waitedMs} ms`)
        }
        assert.strictEqual((yield* get(id)).stage, "parked")
      })
    }
  })

  const lines: Array<string> = []
  itRuns("that never knows is asked for the last time, and the task waits for a person", () => {
    let asks = 0
    return {
      around: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
      handlers: Charge.handle(hangs, { reconcile: () => Effect.sync(() => (asks++, Task.unknown)) }),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(askedByMs)
        const control = yield* MemoryControl
        for (let look = 0; look < askWaitsMs.length + 5; look++) {
          yield* control.hastenAsk(id)
          yield* passMs(2_400)
        }
        assert.strictEqual(asks, askWaitsMs.length + 1)
        assert.strictEqual(lines.filter((line) => line.includes("its task waits for a person")).length, 1)
        assert.strictEqual((yield* get(id)).stage, "parked")
        yield* Duetime.use((duetime) => duetime.cancel(id))
        assert.strictEqual((yield* get(id)).stage, "cancelled")
      })
    }
  })

  const failures: ReadonlyArray<readonly [string, () => Effect.Effect<Answer, unknown>]> = [
    ["fails", () => Effect.fail("the provider is down")],
    ["dies", () => Effect.die(new Error("a bug"))],
    [
      "throws",
      () => {
        throw new Error("a bug")
      }
    ],
    ["answers something else", () => Effect.succeed(JSON.parse(`{"_tag":"Maybe"}`))],
    ["answers nothing", () => Effect.succeed(JSON.parse("null"))],
    ["takes too long", () => Effect.never]
  ]
  for (const [what, fail] of failures) {
    itRuns(`that ${what} has not answered: the task stays parked and is asked about again`, () => {
      const lines: Array<string> = []
      let asks = 0
      return {
        around: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]),
        handlers: Plain.handle(hangs, { reconcile: () => (++asks === 1 ? fail() : Effect.succeed(Task.done())) }),
        test: Effect.gen(function* () {
          const { id } = yield* Plain.schedule({})
          yield* passMs(askedByMs)
          assert.deepStrictEqual([asks, (yield* get(id)).stage], [1, "parked"])
          yield* passMs(15_000)
          assert.deepStrictEqual([asks, (yield* get(id)).stage], [2, "succeeded"])
          assert.isTrue(
            lines.some((line) => /^a reconciler (failed with|has not answered)/.test(line)),
            lines.join("\n")
          )
        })
      }
    })
  }

  for (const [answer, stage] of [
    [charged, "succeeded"],
    [Task.notDone, "cancelled"]
  ] as const) {
    itRuns(`that says ${answer._tag} of a task whose cancel was requested: it ends ${stage}`, () => ({
      handlers: Charge.handle(hangs, { reconcile: () => Effect.succeed(answer) }),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(500)
        yield* Duetime.use((duetime) => duetime.cancel(id))
        assert.strictEqual((yield* get(id)).stage, "running")
        yield* passMs(askedByMs)
        assert.strictEqual((yield* get(id)).stage, stage)
      })
    }))
  }

  itRuns("whose answer comes after a person has decided changes nothing", () => {
    const answer = Deferred.makeUnsafe<typeof charged>()
    return {
      handlers: Charge.handle(hangs, { reconcile: () => Deferred.await(answer) }),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(askedByMs)
        yield* Duetime.use((duetime) => duetime.cancel(id))
        yield* Deferred.succeed(answer, charged)
        yield* passMs(1_000)
        assert.deepStrictEqual((yield* tagsOf(id)).slice(-2), ["TaskParked", "TaskCancelled"])
      })
    }
  })

  itRuns("may be an async function, which is told to stop when it takes too long", () => {
    const aborted: Array<boolean> = []
    return {
      handlers: Charge.handleAsync(() => new Promise(() => {}), {
        reconcile: async ({ order }, { ask, signal }) => {
          assert.strictEqual(order, 7)
          if (ask > 1) return Task.done({ chargeId: "ch_3" })
          return await new Promise((resolve) =>
            signal.addEventListener("abort", () => {
              aborted.push(signal.aborted)
              resolve(Task.unknown)
            })
          )
        }
      }),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(30_000)
        assert.deepStrictEqual(aborted, [true])
        assert.deepStrictEqual((yield* get(id)).result, { chargeId: "ch_3" })
      })
    }
  })

  itRuns("that never ends keeps its place, so that there are never more of them than slots", () => {
    const asked = new Set<number>()
    const mayEnd = Deferred.makeUnsafe<void>()
    return {
      options: { concurrency: 2 },
      handlers: Charge.handle(hangs, {
        reconcile: ({ order }) => {
          asked.add(order)
          return Effect.as(Effect.uninterruptible(Deferred.await(mayEnd)), Task.unknown)
        }
      }),
      test: Effect.gen(function* () {
        yield* Charge.scheduleMany([1, 2, 3, 4].map((order) => ({ payload: { order } })))
        yield* passMs(100_000)
        assert.strictEqual(asked.size, 2)
        yield* Deferred.succeed(mayEnd, undefined)
        yield* passMs(30_000)
        assert.strictEqual(asked.size, 4)
      })
    }
  })

  itRuns("whose answer's record was lost is not asked again: the same answer is recorded once", () => {
    let asks = 0
    let lost = 0
    return {
      options: {
        store: (store) => ({
          ...store,
          reconcile: (request) =>
            Effect.flatMap(store.reconcile(request), (finished) =>
              ++lost > 2
                ? Effect.succeed(finished)
                : Effect.fail(new StoreUnavailable({ operation: "reconcile", commitUnknown: true, reason: "lost" }))
            )
        })
      },
      handlers: Charge.handle(hangs, { reconcile: () => Effect.sync(() => (asks++, charged)) }),
      test: Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(30_000)
        assert.deepStrictEqual([asks, lost], [1, 3])
        assert.strictEqual((yield* tagsOf(id)).filter((tag) => tag === "TaskReconciled").length, 1)
      })
    }
  })
})

describe("looking for parked tasks", () => {
  const counting = (looks: Array<ReadonlyArray<string>>): ProcessOptions => ({
    store: (store) => ({
      ...store,
      takeParked: (request) => {
        looks.push(request.kinds)
        return store.takeParked(request)
      }
    })
  })

  const looks: Array<ReadonlyArray<string>> = []
  itRuns("is done every two seconds, for the kinds that have a reconciler", () => ({
    options: counting(looks),
    handlers: Layer.mergeAll(Charge.handle(hangs, { reconcile: () => Effect.succeed(charged) }), Plain.handle(hangs)),
    test: Effect.gen(function* () {
      yield* passMs(60_000)
      assert.isAtMost(looks.length, 1 + 60_000 / 1_600)
      assert.isAtLeast(looks.length, 60_000 / 2_400)
      assert.deepStrictEqual(new Set(looks.flat()), new Set(["charge"]))
      const { id } = yield* Plain.schedule({})
      yield* passMs(60_000)
      assert.strictEqual((yield* get(id)).stage, "parked")
    })
  }))

  const none: Array<ReadonlyArray<string>> = []
  itRuns("is not done by a worker without reconcilers", () => ({
    options: counting(none),
    handlers: Plain.handle(hangs),
    test: Effect.gen(function* () {
      yield* Plain.schedule({})
      yield* passMs(60_000)
      assert.deepStrictEqual(none, [])
    })
  }))
})

describe("stopping", () => {
  class Provider extends Context.Service<Provider, { readonly isOpen: () => boolean }>()("test/Provider") {
    static readonly layer = Layer.effect(
      Provider,
      Effect.gen(function* () {
        let isOpen = true
        yield* Effect.addFinalizer(() => Effect.sync(() => void (isOpen = false)))
        return { isOpen: () => isOpen }
      })
    )
  }

  itRuns("interrupts an ask before the services it uses are closed, and nothing is recorded", () => ({
    handlers: Layer.empty,
    test: Effect.gen(function* () {
      let wasOpen: boolean | null = null
      const scope = yield* Scope.make()
      const handling = Charge.handle(hangs, {
        reconcile: () =>
          Effect.gen(function* () {
            const provider = yield* Provider
            return yield* Effect.onInterrupt(Effect.never, () =>
              Effect.sync(() => {
                wasOpen = provider.isOpen()
              })
            )
          })
      }).pipe(Layer.provide(Provider.layer))
      yield* Layer.buildWithScope(handling, scope)
      const { id } = yield* Charge.schedule({ order: 7 })
      yield* passMs(askedByMs)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(wasOpen)
      assert.strictEqual((yield* get(id)).stage, "parked")
    })
  }))
})

describe("a reconciler that does not stop", () => {
  itRuns("is left behind after a grace, and records nothing when it ends after all", () => {
    const mayEnd = Deferred.makeUnsafe<void>()
    return {
      handlers: Layer.empty,
      test: Effect.gen(function* () {
        const scope = yield* Scope.make()
        const reconcile = () => Effect.as(Effect.uninterruptible(Deferred.await(mayEnd)), charged)
        yield* Layer.buildWithScope(Charge.handle(hangs, { reconcile }), scope)
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(askedByMs)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* passMs(2_999)
        assert.isUndefined(closing.pollUnsafe())
        yield* passMs(1)
        assert.isDefined(closing.pollUnsafe())
        yield* Deferred.succeed(mayEnd, undefined)
        yield* passMs(1_000)
        assert.strictEqual((yield* get(id)).stage, "parked")
      })
    }
  })
})

describe("two workers", () => {
  /** Engine, worker and client on a database that others share. */
  const member = (database: MemoryDatabase.MemoryDatabase, handlers: ReturnType<typeof Charge.handle<never, never>>) =>
    Layer.build(
      Layer.mergeAll(handlers, Engine.layer).pipe(
        Layer.provideMerge(Worker.layer({ drainGrace: 0 })),
        Layer.provideMerge(Duetime.layer),
        Layer.provideMerge(Layer.mergeAll(MemoryStore.layerOn(database), MemoryBroker.layer))
      )
    )

  it.effect("ask about each task once", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const asked: Array<number> = []
      const handlers = Charge.handle(hangs, {
        reconcile: ({ order }) => Effect.as(Effect.sleep("5 seconds"), (asked.push(order), charged))
      })
      const context = yield* member(database, handlers)
      yield* member(database, handlers)
      yield* Effect.gen(function* () {
        const orders = Array.from({ length: 20 }, (_, order) => order)
        const receipts = yield* Charge.scheduleMany(orders.map((order) => ({ payload: { order } })))
        yield* passMs(20_000)
        assert.deepStrictEqual(
          asked.toSorted((a, b) => a - b),
          orders
        )
        for (const { id } of receipts) assert.strictEqual((yield* get(id)).stage, "succeeded")
        yield* audited
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped)
  )

  it.effect("that ask about a task at the same time record one answer", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      let asks = 0
      const answering = (answer: Answer<{ readonly chargeId: string }>) =>
        Charge.handle(hangs, { reconcile: () => Effect.as(Effect.sleep("9 seconds"), (asks++, answer)) })
      const context = yield* member(database, answering(charged))
      yield* member(database, answering(Task.notDone))
      yield* Effect.gen(function* () {
        const { id } = yield* Charge.schedule({ order: 7 })
        yield* passMs(askedByMs)
        const control = yield* MemoryControl
        // Whoever has taken it last holds nothing: again and again, until both ask.
        for (let look = 0; look < 4; look++) {
          yield* control.hastenAsk(id)
          yield* passMs(1_000)
        }
        assert.isAbove(asks, 1)
        yield* passMs(20_000)
        const tags = yield* tagsOf(id)
        assert.isTrue(tags.includes("TaskReconciled") !== tags.includes("TaskResumed"))
        yield* audited
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped)
  )
})
