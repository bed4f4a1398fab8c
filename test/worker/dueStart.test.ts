/**
 * Goal: what is due now is started without a dispatch where engine and worker are one process, and nothing that the protocol
 * promises is lost by it: no answer, no slot, no cap, no order.
 * Method: the whole process on the virtual clock, with a store that counts and loses answers.
 */
import { assert, describe } from "@effect/vitest"
import { Clock, Effect, Layer, Schema } from "effect"
import { Duetime, Task } from "../../src/index.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
import type { KindRecord, TaskStore } from "../../src/store/TaskStore.ts"
import { lookedForMax, startDueMax } from "../../src/worker/DueStarter.ts"
import { Worker } from "../../src/worker/Worker.ts"
import { itRuns, passMs, settled } from "./process.ts"

const Work = Task.define("work", { payload: { n: Schema.Finite } })
const Capped = Task.define("capped", { payload: {}, caps: { concurrency: 1 } })
const call = Work.handle(() => Effect.void)

/** Which operations a store was asked for, and what becomes of the first `startDue`. */
const watched = (fault?: "before" | "after") => {
  const asked: Array<string> = []
  let isLeft = fault !== undefined
  const wrap = (store: TaskStore["Service"]): TaskStore["Service"] => ({
    ...store,
    start: (sessionId, batch) => {
      asked.push("start")
      return store.start(sessionId, batch)
    },
    startDue: (request) =>
      Effect.suspend(() => {
        asked.push("startDue")
        if (!isLeft) return store.startDue(request)
        isLeft = false
        const commitUnknown = fault === "after"
        const lost = new StoreUnavailable({ operation: "startDue", commitUnknown, reason: "lost by the test" })
        return commitUnknown ? Effect.andThen(store.startDue(request), Effect.fail(lost)) : Effect.fail(lost)
      })
  })
  return { asked, wrap }
}

const startsOf = Effect.fnUntraced(function* (id: string) {
  const history = yield* (yield* Duetime).history(id)
  return history.filter(({ _tag }) => _tag === "AttemptStarted").length
})

describe("A task due now, in the process of a worker", () => {
  itRuns("is claimed and started by one statement, and dispatched by nobody", () => {
    const store = watched()
    return {
      handlers: call,
      options: { store: store.wrap },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        const { id } = yield* Work.schedule({ n: 1 })
        yield* settled
        assert.strictEqual((yield* (yield* Duetime).get(id)).stage, "succeeded")
        assert.deepStrictEqual(store.asked, ["startDue"])
        const started = (yield* (yield* Duetime).history(id)).find(({ _tag }) => _tag === "AttemptStarted")
        assert.strictEqual(started?._tag === "AttemptStarted" ? started.dispatchedAtMs : 0, null)
      })
    }
  })

  for (const fault of ["before", "after"] as const) {
    itRuns(`is started once when the answer is lost ${fault} the change`, () => {
      const store = watched(fault)
      let calls = 0
      return {
        handlers: Work.handle(() => Effect.sync(() => void calls++)),
        options: { store: store.wrap, concurrency: 10 },
        test: Effect.gen(function* () {
          yield* passMs(1_000)
          const { id } = yield* Work.schedule({ n: 1 })
          yield* passMs(10)
          assert.strictEqual((yield* (yield* Duetime).get(id)).stage, "succeeded")
          assert.deepStrictEqual([calls, yield* startsOf(id)], [1, 1])
          assert.strictEqual((yield* Worker).status().inFlight, 0)
          yield* passMs(60_000)
          assert.deepStrictEqual([calls, (yield* Worker).status().inFlight], [1, 0])
        })
      }
    })
  }

  itRuns("is started when a request that was given up arrives late", () => {
    let late: Effect.Effect<unknown, StoreUnavailable> = Effect.void
    let isFirst = true
    const wrap = (store: TaskStore["Service"]): TaskStore["Service"] => ({
      ...store,
      // Nobody else may take it meanwhile.
      claim: (request) => (isFirst ? store.claim(request) : store.claim({ ...request, kinds: [] })),
      startDue: (request) =>
        Effect.suspend(() => {
          if (!isFirst) return store.startDue(request)
          isFirst = false
          late = store.startDue(request)
          return Effect.fail(
            new StoreUnavailable({ operation: "startDue", commitUnknown: true, reason: "given up by the test" })
          )
        })
    })
    return {
      handlers: call,
      options: { store: wrap, concurrency: 10 },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        const { id } = yield* Work.schedule({ n: 1 })
        yield* passMs(2_000)
        assert.strictEqual((yield* (yield* Duetime).get(id)).stage, "pending")
        yield* Effect.orDie(late)
        yield* passMs(1_000)
        assert.strictEqual((yield* (yield* Duetime).get(id)).stage, "succeeded")
        assert.strictEqual((yield* Worker).status().inFlight, 0)
      })
    }
  })

  itRuns("is dispatched while the starts of many lost answers are looked for", () => {
    const store = watched()
    const losing = (own: TaskStore["Service"]): TaskStore["Service"] => {
      const real = store.wrap(own)
      const lost = new StoreUnavailable({ operation: "startDue", commitUnknown: true, reason: "lost by the test" })
      return { ...real, startDue: (request) => Effect.andThen(real.startDue(request), Effect.fail(lost)) }
    }
    return {
      handlers: call,
      options: { store: losing },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        for (let n = 0; n < lookedForMax + 5; n++) {
          yield* Work.schedule({ n })
          yield* passMs(20)
        }
        assert.strictEqual(store.asked.filter((operation) => operation === "startDue").length, lookedForMax)
        const { tasks } = yield* (yield* Duetime).find({ stage: "succeeded", limit: 1_000 })
        assert.strictEqual(tasks.length, lookedForMax + 5)
        for (const { id } of tasks) assert.strictEqual(yield* startsOf(id), 1)
      })
    }
  })

  itRuns("leaves to dispatches what is more than a batch, and all are started once", () => {
    const store = watched()
    return {
      handlers: call,
      options: { store: store.wrap, concurrency: 100 },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        yield* Work.scheduleMany(Array.from({ length: startDueMax + 20 }, (_, n) => ({ payload: { n } })))
        for (let round = 0; round < 5; round++) yield* passMs(20)
        const { tasks } = yield* (yield* Duetime).find({ stage: "succeeded", limit: 1_000 })
        assert.strictEqual(tasks.length, startDueMax + 20)
        for (const { id } of tasks) assert.strictEqual(yield* startsOf(id), 1)
        assert.includeMembers(store.asked, ["startDue", "start"])
      })
    }
  })

  itRuns("of a kind with caps is left to claims, which hold them", () => {
    const store = watched()
    let runningMax = 0
    let running = 0
    return {
      handlers: Layer.merge(
        call,
        Capped.handle(() =>
          Effect.sync(() => (runningMax = Math.max(runningMax, ++running))).pipe(
            Effect.andThen(Effect.sleep(100)),
            Effect.andThen(Effect.sync(() => void running--))
          )
        )
      ),
      options: { store: store.wrap },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        yield* Capped.scheduleMany(Array.from({ length: 3 }, () => ({ payload: {} })))
        for (let round = 0; round < 30; round++) yield* passMs(50)
        assert.strictEqual((yield* (yield* Duetime).find({ stage: "succeeded" })).tasks.length, 3)
        assert.strictEqual(runningMax, 1)
      })
    }
  })

  itRuns("is dispatched where many processes serve its kind, for all would start it at the same news", () => {
    const store = watched()
    return {
      handlers: call,
      options: {
        store: (own) => {
          const crowd = (kinds: ReadonlyArray<KindRecord>) => kinds.map((kind) => ({ ...kind, liveSessions: 5 }))
          return {
            ...store.wrap(own),
            kinds: Effect.map(own.kinds, crowd),
            look: Effect.map(own.look, (look) => ({ ...look, kinds: crowd(look.kinds) }))
          }
        }
      },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        const { id } = yield* Work.schedule({ n: 1 })
        yield* settled
        assert.strictEqual((yield* (yield* Duetime).get(id)).stage, "succeeded")
        assert.deepStrictEqual(store.asked, ["start"])
      })
    }
  })

  itRuns("waits for a slot when all are taken", () => {
    const startedAtMs: Array<number> = []
    return {
      handlers: Work.handle(() =>
        Clock.currentTimeMillis.pipe(
          Effect.tap((nowMs) => Effect.sync(() => startedAtMs.push(nowMs))),
          Effect.andThen(Effect.sleep(1_000))
        )
      ),
      options: { concurrency: 2 },
      test: Effect.gen(function* () {
        yield* passMs(1_000)
        for (let n = 0; n < 4; n++) yield* Work.schedule({ n })
        for (let round = 0; round < 25; round++) yield* passMs(100)
        assert.deepStrictEqual(
          startedAtMs.map((atMs) => Math.round((atMs - (startedAtMs[0] ?? 0)) / 1_000)),
          [0, 0, 1, 1]
        )
      })
    }
  })
})
