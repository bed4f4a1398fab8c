import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import * as TaskId from "../../../src/core/TaskId.ts"
import { DueBeyondHorizon, StoreUnavailable } from "../../../src/store/StoreError.ts"
import { make, type Schedule, statementsAtOnceMax } from "../../../src/store/postgres/gather.ts"
import type { NewTask } from "../../../src/store/TaskStore.ts"

const task = (n: number): NewTask => ({
  taskId: TaskId.make(n, 0, new Uint8Array(8)),
  eventId: `event ${n}`,
  kind: "gathered",
  priority: "normal",
  dueAtMs: n,
  key: null,
  payload: null
})
const idOf = (n: number) => task(n).taskId

/** A store whose statements end when they are told to, each with an answer for every task, or with an error. */
const watched = Effect.gen(function* () {
  const statements: Array<{
    readonly ids: ReadonlyArray<string>
    readonly end: Deferred.Deferred<void, StoreUnavailable | DueBeyondHorizon>
  }> = []
  const schedule: Schedule = Effect.fnUntraced(function* (batch) {
    const end = yield* Deferred.make<void, StoreUnavailable | DueBeyondHorizon>()
    statements.push({ ids: batch.map(({ taskId }) => taskId), end })
    yield* Deferred.await(end)
    return batch.map(({ taskId }) => ({ _tag: "Created" as const, taskId }))
  })
  const gathered = yield* make(schedule)
  /** Begins a request of one task, and gives everybody a turn. */
  const ask = (n: number) => Effect.tap(Effect.forkChild(gathered([task(n)])), Effect.yieldNow)
  const end = (place: number, exit: Exit.Exit<void, StoreUnavailable | DueBeyondHorizon> = Exit.void) =>
    Effect.gen(function* () {
      const statement = statements[place]
      if (statement === undefined) return yield* Effect.die(new Error(`there is no statement ${place}`))
      yield* Deferred.done(statement.end, exit)
      for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
    })
  const idsOf = () => statements.map(({ ids }) => ids)
  /** As many requests as may be statements of their own. */
  const busy = Effect.forEach(
    Array.from({ length: statementsAtOnceMax }, (_, n) => n),
    ask
  )
  return { ask, busy, end, idsOf }
})
const turns = 20

const answerOf = (n: number) => [{ _tag: "Created" as const, taskId: idOf(n) }]

describe("requests that come at the same time", () => {
  it.effect("share the next statement while as many as may be are under way, each with its own answer", () =>
    Effect.gen(function* () {
      const { ask, busy, end, idsOf } = yield* watched
      const alone = yield* busy
      const together = [yield* ask(7), yield* ask(8), yield* ask(9)]
      assert.deepStrictEqual(idsOf(), [[idOf(0)], [idOf(1)]])
      yield* end(0)
      assert.deepStrictEqual(idsOf().slice(2), [[idOf(7), idOf(8), idOf(9)]])
      yield* end(1)
      yield* end(2)
      const answers = yield* Effect.forEach([...alone, ...together], Fiber.join)
      assert.deepStrictEqual(answers, [0, 1, 7, 8, 9].map(answerOf))
      // Nobody is under way any more: the next one waits for nobody.
      yield* ask(10)
      assert.deepStrictEqual(idsOf().at(-1), [idOf(10)])
    }).pipe(Effect.scoped)
  )

  it.effect("are tried one by one when the statement they share is refused: each has its own error", () =>
    Effect.gen(function* () {
      const { ask, busy, end, idsOf } = yield* watched
      yield* busy
      const good = yield* ask(7)
      const bad = yield* ask(8)
      yield* end(0)
      const refusal = new DueBeyondHorizon({ field: "dueAt", value: "late", horizon: "early" })
      yield* end(2, Exit.fail(refusal))
      yield* end(3)
      yield* end(4, Exit.fail(refusal))
      assert.deepStrictEqual(idsOf().slice(2), [[idOf(7), idOf(8)], [idOf(7)], [idOf(8)]])
      assert.deepStrictEqual(yield* Fiber.join(good), answerOf(7))
      assert.strictEqual(yield* Effect.flip(Fiber.join(bad)), refusal)
    }).pipe(Effect.scoped)
  )

  it.effect("are tried one by one when one of them is a defect: it takes down no other", () =>
    Effect.gen(function* () {
      const { ask, busy, end } = yield* watched
      yield* busy
      const good = yield* ask(7)
      const bad = yield* ask(8)
      yield* end(0)
      yield* end(2, Exit.die("cannot be stored"))
      yield* end(3)
      yield* end(4, Exit.die("cannot be stored"))
      assert.deepStrictEqual(yield* Fiber.join(good), answerOf(7))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Fiber.join(bad))))
    }).pipe(Effect.scoped)
  )

  it.effect("are not tried again when nobody knows whether the statement was committed: each is told so", () =>
    Effect.gen(function* () {
      const { ask, busy, end, idsOf } = yield* watched
      yield* busy
      const waiting = [yield* ask(7), yield* ask(8)]
      yield* end(0)
      const lost = new StoreUnavailable({ operation: "schedule", commitUnknown: true, reason: "told to", cause: null })
      yield* end(2, Exit.fail(lost))
      for (const request of waiting) assert.strictEqual(yield* Effect.flip(Fiber.join(request)), lost)
      assert.strictEqual(idsOf().length, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("are not stored when they are interrupted before their statement begins", () =>
    Effect.gen(function* () {
      const { ask, busy, end, idsOf } = yield* watched
      yield* busy
      const gone = yield* ask(7)
      yield* ask(8)
      yield* Fiber.interrupt(gone)
      yield* end(0)
      assert.deepStrictEqual(idsOf().slice(2), [[idOf(8)]])
    }).pipe(Effect.scoped)
  )
})
