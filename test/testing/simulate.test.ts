import { assert, describe, it, vi } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Random, Schema } from "effect"
import { RetryPolicy, Task } from "../../src/index.ts"
import {
  type Draw,
  HandlerLeft,
  Ledger,
  Outside,
  plan,
  simulate,
  type SimulatedOutcome,
  type SimulatedServices,
  SimulationFailed,
  SimulationVoid
} from "../../src/testing/index.ts"

const retry = RetryPolicy.fixed({ delay: "100 millis", attemptsMax: 5 })
const Work = Task.define("work", { payload: { n: Schema.Int }, timeout: "3 seconds", retry, deathsMax: 1_000 })
const Other = Task.define("other", { payload: {}, retry })

const workload = (draw: Draw) =>
  draw.times(draw.integer(1, 4), (n) => plan(Work, { n }, { after: draw.integer(0, 2_000) }))
const quiet = { tasks: [Work], workload, runs: 5, faults: [] } as const
const failing = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)

describe("simulate", { timeout: 60_000 }, () => {
  it("gives handlers the simulation's clock, chance and client, and leaves the machine's alone", () => {
    const seen = Ledger.table<number>("seen")
    const handlers = Layer.mergeAll(
      Work.handle(
        Effect.fn(function* (_, attempt) {
          yield* Effect.sleep(yield* Random.nextIntBetween(1, 500))
          yield* attempt.commit(() => Other.schedule({}, { in: "1 minute" }).pipe(Effect.andThen(seen.insert(1))))
        })
      ),
      Other.handle(() => Effect.sleep("2 seconds"))
    )
    const simulation = simulate({
      ...quiet,
      tasks: [Work, Other],
      handlers,
      runs: 1,
      invariants: { "each work has made one row": rowsPerTask((outcome) => seen.in(outcome)) }
    })
    const spies = [
      vi.spyOn(Date, "now"),
      vi.spyOn(performance, "now"),
      vi.spyOn(globalThis, "setTimeout"),
      vi.spyOn(globalThis, "setImmediate"),
      vi.spyOn(globalThis, "queueMicrotask"),
      vi.spyOn(Math, "random"),
      vi.spyOn(Promise.prototype, "then")
    ]
    const exit = Effect.runSyncExit(simulation)
    const counts = spies.map((spy) => spy.mock.calls.length)
    for (const spy of spies) spy.mockRestore()
    assert.strictEqual(exit._tag, "Success", String(exit))
    assert.deepStrictEqual(
      counts,
      spies.map(() => 0)
    )
  })

  it.effect("says of what is planned for after the end of a history how to have it in it", () =>
    Effect.gen(function* () {
      const handlers = Work.handle(() => Effect.void)
      const late = () => [plan(Work, { n: 1 }), plan(Work, { n: 2 }, { after: "1 hour" })]
      const error = yield* failing(simulate({ ...quiet, handlers, workload: late }))
      assert.include(error.message, "1 tasks are planned for when the history is over")
      assert.include(error.message, "endWithin")
      yield* simulate({ ...quiet, handlers, workload: late, endWithin: "2 hours" })
    })
  )

  const promise = Effect.promise(async () => {})
  const outside: ReadonlyArray<readonly [string, Layer.Layer<never, unknown, SimulatedServices>]> = [
    ["a promise", Work.handle(() => promise)],
    ["an async handler", Work.handleAsync(async () => {})],
    [
      "a real timer",
      Work.handle(() =>
        Effect.callback<void>((resume) => {
          const timer = setTimeout(() => resume(Effect.void), 1)
          return Effect.sync(() => clearTimeout(timer))
        })
      )
    ],
    ["a promise in the body of a commit", Work.handle((_, attempt) => attempt.commit(() => promise))],
    [
      "a promise in a fiber of its own",
      Work.handle(() => Effect.flatMap(Effect.forkChild(promise), (fiber) => Fiber.join(fiber)))
    ]
  ]
  for (const [what, handlers] of outside) {
    it.effect(`names the handler that waits for ${what}, at once`, () =>
      Effect.gen(function* () {
        const error = yield* failing(simulate({ ...quiet, handlers }))
        assert.instanceOf(error, HandlerLeft)
        assert.include(error.message, 'the handler of kind "work"')
        if (error instanceof HandlerLeft) assert.isBelow(error.atMs, 4_000)
      })
    )
  }

  it.effect("names a reconciler that waits for a promise", () =>
    Effect.gen(function* () {
      const Parks = Task.define("parks", { payload: {}, onInterrupted: "park", timeout: "1 second" })
      const handlers = Parks.handle(() => Effect.sleep("1 minute"), {
        reconcile: () => Effect.promise(async () => Task.notDone)
      })
      const error = yield* failing(simulate({ ...quiet, tasks: [Parks], handlers, workload: () => [plan(Parks, {})] }))
      assert.include(error.message, 'the reconcile of kind "parks"')
    })
  )

  it.effect("takes no wait inside the simulation for one outside", () =>
    simulate({
      ...quiet,
      runs: 20,
      handlers: Layer.unwrap(
        Effect.map(Deferred.make<void>(), (gate) =>
          Work.handle(({ n }) =>
            n === 0
              ? Effect.andThen(Effect.sleep("2 seconds"), Deferred.succeed(gate, undefined))
              : Effect.timeoutOption(Deferred.await(gate), "2 seconds")
          )
        )
      )
    })
  )

  it.effect("shows nothing, and says so, when a handler draws from the machine's chance", () =>
    Effect.gen(function* () {
      const handlers = Work.handle(() => Effect.sleep(1 + Math.random() * 500))
      const error = yield* failing(simulate({ ...quiet, handlers }))
      assert.instanceOf(error, SimulationVoid)
      assert.match(error.message, /machine's clock or chance/)
    })
  )

  it.effect("shows nothing, and says so, when too little succeeds", () =>
    Effect.gen(function* () {
      const handlers = Work.handle(() => Effect.fail(new Error("no")))
      const error = yield* failing(simulate({ ...quiet, handlers }))
      assert.match(error.message, /only 0 of \d+ tasks succeeded/)
      yield* simulate({ ...quiet, handlers, succeededMin: 0 })
    })
  )

  const broken: ReadonlyArray<readonly [string, RegExp, Parameters<typeof simulate>[0]]> = [
    [
      "a kind that nobody handles",
      /"other" has no handler/,
      { ...quiet, tasks: [Work, Other], handlers: Work.handle(() => Effect.void) }
    ],
    [
      "a kind that is scheduled and not named",
      /"work" is scheduled: name it/,
      {
        ...quiet,
        tasks: [Other],
        handlers: Layer.mergeAll(
          Work.handle(() => Effect.void),
          Other.handle(() => Effect.void)
        )
      }
    ],
    [
      "a task that never ends",
      /is (pending|claimed) after/,
      { ...quiet, handlers: Work.handle(() => Task.snooze("1 second")), endWithin: "5 seconds" }
    ],
    [
      "a layer that cannot be built",
      /No program ends[^]*no such file/,
      { ...quiet, handlers: Layer.effectDiscard(Effect.fail(new Error("no such file"))) }
    ],
    [
      "what the user's own invariant finds",
      /all is well:\n {4}it is not/,
      { ...quiet, handlers: Work.handle(() => Effect.void), invariants: { "all is well": () => ["it is not"] } }
    ]
  ]
  for (const [what, message, options] of broken) {
    it.effect(`fails with ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* failing(simulate(options))
        assert.instanceOf(error, SimulationFailed)
        assert.match(error.message, message)
      })
    )
  }

  const refused: ReadonlyArray<readonly [string, object]> = [
    ["runs is 0", { runs: 0 }],
    ["nodes is 9", { nodes: 9 }],
    ["seed is -1", { seed: -1 }],
    ["faults is 'Flood'", { faults: ["Flood"] }],
    ["succeededMin is 2", { succeededMin: 2 }],
    ["tasks is []", { tasks: [] }],
    ["endWithin is 0", { endWithin: 0 }],
    ["chaos is", { chaos: "2 hours" }],
    ["runs is 5", { only: { tasks: [], faults: [] } }],
    ["invariant is {}. There is no such option: did you mean invariants?", { invariant: {} }],
    ["only.fault is []. There is no such option: did you mean faults?", { runs: 1, only: { tasks: [], fault: [] } }]
  ]
  for (const [message, options] of refused) {
    it.effect(`refuses options in which ${message}`, () =>
      Effect.gen(function* () {
        const handlers = Work.handle(() => Effect.void)
        const error = yield* failing(simulate({ ...quiet, handlers, ...options }))
        assert.strictEqual(error._tag, "OptionsRejected")
        assert.include(error.message, message)
      })
    )
  }
})

describe("the ledger of a simulation", { timeout: 60_000 }, () => {
  const rows = Ledger.table<{ readonly n: number; readonly how: string }>("rows")

  it.effect("has what a commit writes once if the attempt succeeded, and not at all if its body failed", () =>
    simulate({
      tasks: [Work],
      workload,
      runs: 40,
      handlers: Work.handle(({ n }, attempt) =>
        Effect.gen(function* () {
          yield* rows.insert({ n, how: "at once" })
          yield* attempt.commit(() =>
            Effect.andThen(
              rows.insert({ n, how: "commit" }),
              attempt.number === 1 && n === 0 ? Effect.fail(new Error("rolled back")) : Effect.void
            )
          )
        })
      ),
      invariants: {
        "a commit's rows are there once": rowsPerTask((outcome) =>
          rows.in(outcome).filter(({ row }) => row.how === "commit")
        )
      }
    })
  )
})

describe("the outside of a simulation", { timeout: 60_000 }, () => {
  const mails = Outside.service<string, number>("mail", (to, earlier) => {
    if (to === "nobody") throw new Error("no such address")
    return earlier.length
  })

  it.effect("does once what is asked with a key, keeps it when nodes die, and can refuse", () =>
    Effect.gen(function* () {
      let repeats = 0
      yield* simulate({
        tasks: [Work],
        workload,
        runs: 60,
        handlers: Work.handle(({ n }, { idempotencyKey }) =>
          Effect.gen(function* () {
            const refused = yield* Effect.flip(mails.call("nobody")).pipe(Effect.retry({ while: () => true, times: 5 }))
            if (refused._tag !== "OutsideRefused") return yield* refused
            yield* mails.call(`person ${n}`, { key: idempotencyKey })
          })
        ),
        invariants: {
          "a mail is sent once": (outcome) => {
            for (const { repeatsCount } of mails.in(outcome)) repeats += repeatsCount
            return rowsPerTask((all) => mails.in(all))(outcome)
          }
        }
      })
      assert.isAbove(repeats, 0)
    })
  )
})

/** One for each task of the kind that has succeeded, and none for any other. */
const rowsPerTask =
  (rowsOf: (outcome: SimulatedOutcome) => ReadonlyArray<{ readonly taskId: string | null }>) =>
  (outcome: SimulatedOutcome) =>
    outcome.tasks.flatMap(({ id, kind, stage }) => {
      const count = rowsOf(outcome).filter(({ taskId }) => taskId === id).length
      const expected = kind === "work" && stage === "succeeded" ? 1 : 0
      return count === expected ? [] : [{ taskId: id, message: `has ${count} rows and is ${stage}` }]
    })
