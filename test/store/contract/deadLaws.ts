import { assert } from "@effect/vitest"
import { Data, Deferred, Effect, Fiber } from "effect"
import type { DeadLetter } from "../../../src/core/DeadLetter.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claimed,
  failure,
  finished,
  nextAttempt,
  only,
  running,
  servedKind,
  start,
  startedOf,
  StoreControl,
  type Law
} from "./world.ts"

export const deadLaws = (law: Law): void => {
  law("every dead letter is announced once, the oldest first, as its history tells it", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      yield* announceAll
      const retry = { attemptsMax: 1, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" } as const
      const kind = yield* servedKind({ retry })
      const [one, two, three] = [yield* dead(kind), yield* dead(kind, "Discard"), yield* dead(kind, "Expire")]
      const told = yield* Effect.map(relayed(2), ({ letters }) => letters)
      assert.deepStrictEqual(
        told.map(({ taskId }) => taskId),
        [one, two]
      )
      const rest = yield* relayed(10)
      assert.deepStrictEqual([rest.count, rest.letters.map(({ taskId }) => taskId)], [1, [three]])
      for (const letter of [...told, ...rest.letters]) {
        const death = (yield* store.history(letter.taskId)).at(-1)
        if (death?._tag !== "TaskDeadLettered") throw new Error(`expected TaskDeadLettered, was ${death?._tag}`)
        assert.deepStrictEqual(letter, {
          taskId: death.taskId,
          version: death.version,
          kind,
          priority: "normal",
          attempt: death.attempt,
          deadAtMs: death.atMs,
          reason: death.reason,
          errorName: death.error.name
        })
      }
      assert.deepStrictEqual(
        [...told, ...rest.letters].map(({ errorName, reason }) => [reason, errorName]),
        [
          ["not-retryable", "Error"],
          ["discarded", "Discarded"],
          ["exhausted", "AttemptExpired"]
        ]
      )
      assert.deepStrictEqual(yield* relayed(10), { count: 0, letters: [] })
    })
  )

  law("letters whose announcement failed or was interrupted are announced again", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      yield* announceAll
      const letter = yield* dead(yield* servedKind())
      const failed = yield* Effect.flip(store.relayDead(10, () => Effect.fail(new Refused())))
      assert.strictEqual(failed._tag, "Refused")
      const called = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        store.relayDead(10, () => Effect.andThen(Deferred.succeed(called, undefined), Effect.never))
      )
      yield* Deferred.await(called)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(only((yield* relayed(10)).letters).taskId, letter)
    })
  )

  law("a letter that is being announced is not announced by another", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      yield* announceAll
      const kind = yield* servedKind()
      const [one, two] = [yield* dead(kind), yield* dead(kind)]
      const called = yield* Deferred.make<ReadonlyArray<DeadLetter>>()
      const mayEnd = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(
        store.relayDead(1, (letters) => Effect.andThen(Deferred.succeed(called, letters), Deferred.await(mayEnd)))
      )
      assert.strictEqual(only(yield* Deferred.await(called)).taskId, one)
      const during = only((yield* relayed(10)).letters).taskId
      yield* Deferred.succeed(mayEnd, undefined)
      assert.deepStrictEqual([yield* Fiber.join(first), during], [1, two])
      assert.strictEqual((yield* relayed(10)).count, 0)
    })
  )

  law("a letter that is redriven and dies again is announced again, with the version of that death", () =>
    Effect.gen(function* () {
      yield* announceAll
      const kind = yield* servedKind()
      const taskId = yield* dead(kind)
      const first = only((yield* relayed(10)).letters)
      yield* act(taskId, { _tag: "Redrive" })
      assert.strictEqual((yield* relayed(10)).count, 0)
      yield* finished(yield* nextAttempt(kind), { ...failure, retryable: false }, "dead")
      const second = only((yield* relayed(10)).letters)
      assert.deepStrictEqual([first.taskId, second.taskId], [taskId, taskId])
      assert.isAbove(second.version, first.version)
      assert.isAbove(second.attempt, first.attempt)
    })
  )

  law("a letter that is redriven before it was announced is not announced", () =>
    Effect.gen(function* () {
      yield* announceAll
      const taskId = yield* dead(yield* servedKind())
      yield* act(taskId, { _tag: "Redrive" })
      assert.strictEqual((yield* relayed(10)).count, 0)
    })
  )

  law("an announcement whose request was lost is made again, and one whose answer was lost need not be", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const control = yield* StoreControl
      yield* announceAll
      const taskId = yield* dead(yield* servedKind())
      yield* control.failNext("before")
      const lost = yield* Effect.flip(store.relayDead(10, () => Effect.void))
      assert.strictEqual(lost._tag, "StoreUnavailable")
      yield* control.failNext("after")
      let told: ReadonlyArray<DeadLetter> = []
      const unanswered = yield* Effect.flip(
        store.relayDead(10, (letters) =>
          Effect.sync(() => {
            told = letters
          })
        )
      )
      assert.deepStrictEqual([only(told).taskId, unanswered.commitUnknown], [taskId, true])
      assert.strictEqual((yield* relayed(10)).count, 0)
    })
  )
}

class Refused extends Data.TaggedError("Refused") {}

/** Announces up to a limit and answers what it was given. */
const relayed = Effect.fnUntraced(function* (limit: number) {
  const letters: Array<DeadLetter> = []
  const count = yield* (yield* TaskStore).relayDead(limit, (given) => Effect.sync(() => letters.push(...given)))
  return { count, letters }
})

/** What other laws have left behind. */
/** Also what other laws left running a minute ago: an expiry is everybody's. */
const announceAll = Effect.gen(function* () {
  yield* (yield* TaskStore).expire(1_000)
  while ((yield* relayed(1_000)).count > 0);
})

const dead = Effect.fnUntraced(function* (kind: string, by: "Fail" | "Discard" | "Expire" = "Fail") {
  if (by === "Expire") {
    const { taskId } = startedOf(yield* start(yield* claimed(kind), { timeoutMs: 0 }))
    // Expiry is for everybody's; whatever else it ends is nobody's in the other laws any more.
    yield* (yield* TaskStore).expire(1_000)
    return taskId
  }
  const started = yield* running(kind)
  const outcome = by === "Discard" ? ({ _tag: by, reason: "no" } as const) : { ...failure, retryable: false }
  return (yield* finished(started, outcome, "dead")).taskId
})
