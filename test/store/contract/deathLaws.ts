import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { DeadLetter } from "../../../src/core/DeadLetter.ts"
import type { KindPolicy } from "../../../src/core/KindPolicy.ts"
import type { Priority } from "../../../src/core/Priority.ts"
import type { Outcome } from "../../../src/core/TaskCommand.ts"
import { Session } from "../../../src/store/Session.ts"
import { batchSizeMax, type ClaimedTask, type PullRequest, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  act,
  claim,
  claimed,
  claimNext,
  failure,
  finish,
  newEventId,
  nextAttempt,
  only,
  scheduled,
  servedKind,
  startWhenDue,
  stateOf,
  StoreControl,
  storeNowMs,
  type Law
} from "./world.ts"

/** Attempts enough for every law, tried again at once. */
const retry = { attemptsMax: 20, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" } as const

const mortalKind = (policy: Partial<KindPolicy> = {}) => servedKind({ retry, ...policy })

const expireAll = Effect.gen(function* () {
  yield* (yield* TaskStore).expire(batchSizeMax)
})

/** The next attempt of the kind's only task starts in a process that dies. */
const dies = Effect.fnUntraced(function* (kind: string) {
  const control = yield* StoreControl
  const sessionId = yield* control.secondSession
  const { taskId } = yield* nextAttempt(kind, { sessionId })
  yield* control.killSession(sessionId)
  yield* expireAll
  const { deaths, stage } = yield* stateOf(taskId)
  return [stage, deaths]
})

/** A claimed task whose last two attempts have died. */
const suspect = Effect.fnUntraced(function* (...fields: Parameters<typeof scheduled>) {
  const [kind] = fields
  yield* scheduled(...fields)
  yield* dies(kind)
  yield* dies(kind)
  return yield* claimNext(kind)
})

export const deathLaws = (law: Law): void => {
  law("two deaths make a suspect, and as many as the policy allows a dead letter that is quarantined", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      for (const deathsMax of [3, 4]) {
        const kind = yield* mortalKind({ deathsMax })
        const { taskId } = yield* scheduled(kind)
        for (let deaths = 1; deaths < deathsMax; deaths++) {
          assert.deepStrictEqual(yield* dies(kind), ["pending", deaths])
          const task = yield* claimNext(kind)
          assert.strictEqual(task.isSuspect, deaths >= 2, `${deaths} deaths`)
          const own = yield* store.claimedBy((yield* Session).id(), (yield* storeNowMs) + 60_000, 100_000)
          assert.deepStrictEqual(
            own.filter((other) => other.taskId === taskId),
            [task]
          )
          yield* release(task)
        }
        assert.deepStrictEqual(yield* dies(kind), ["dead", 0])
        const event = (yield* store.history(taskId)).at(-1)
        if (event?._tag !== "TaskDeadLettered") throw new Error(`was ${event?._tag}`)
        assert.deepStrictEqual([event.reason, event.attempt], ["quarantined", deathsMax])
        assert.include(event.error.message, `died during each of the last ${deathsMax} attempts`)
        const letters: Array<DeadLetter> = []
        yield* store.relayDead(batchSizeMax, (told) => Effect.sync(() => letters.push(...told)))
        assert.strictEqual(letters.find((letter) => letter.taskId === taskId)?.reason, "quarantined")
      }
    })
  )

  law("an attempt that ends in any other way begins the count of deaths anew", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const outcomes: ReadonlyArray<Outcome> = [
        failure,
        { _tag: "Snooze", inMs: 0 },
        { _tag: "Release", reason: "drained" }
      ]
      const ends = [
        ...outcomes.map(
          (outcome) => (kind: string) => Effect.flatMap(nextAttempt(kind), (started) => finish(started, outcome))
        ),
        (kind: string) => Effect.andThen(nextAttempt(kind, { timeoutMs: 0 }), expireAll),
        Effect.fnUntraced(function* (kind: string) {
          const sessionId = yield* control.secondSession
          const { taskId } = yield* nextAttempt(kind, { sessionId })
          yield* control.leaveSession(sessionId)
          yield* expireAll
          const event = (yield* (yield* TaskStore).history(taskId)).at(-1)
          assert.strictEqual(event?._tag === "AttemptExpired" && event.reason, "session-left")
        })
      ]
      for (const [index, end] of ends.entries()) {
        const kind = yield* mortalKind()
        const { taskId } = yield* scheduled(kind)
        yield* dies(kind)
        yield* dies(kind)
        yield* end(kind)
        const { deaths, stage } = yield* stateOf(taskId)
        assert.deepStrictEqual([stage, deaths], ["pending", 0], `end ${index}`)
        const task = yield* claimNext(kind)
        assert.isFalse(task.isSuspect)
        yield* release(task)
        assert.deepStrictEqual(yield* dies(kind), ["pending", 1], `end ${index}`)
      }
    })
  )

  law("a claim that comes back unstarted is no death and forgives none", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* mortalKind()
      yield* release(yield* suspect(kind))
      const sessionId = yield* control.secondSession
      only((yield* claim([kind], { sessionId, lookAheadMs: 1_000 })).tasks)
      yield* control.killSession(sessionId)
      yield* expireAll
      assert.isTrue((yield* claimNext(kind)).isSuspect)
    })
  )

  law("wishes keep the deaths of a task, but a redrive forgives them", () =>
    Effect.gen(function* () {
      const kind = yield* mortalKind()
      const { taskId } = yield* suspect(kind)
      yield* act(taskId, { _tag: "Reprioritise", priority: "critical" })
      yield* act(taskId, { _tag: "Reschedule", dueAtMs: 1_000 })
      assert.isTrue((yield* claimNext(kind)).isSuspect)
      yield* act(taskId, { _tag: "Reprioritise", priority: "normal" })
      assert.deepStrictEqual(yield* dies(kind), ["dead", 0])
      yield* act(taskId, { _tag: "Redrive" })
      const task = yield* claimNext(kind)
      assert.isFalse(task.isSuspect)
      yield* release(task)
      assert.deepStrictEqual(yield* dies(kind), ["pending", 1])
    })
  )

  law("what parks counts its deaths, and parks again however many they are", () =>
    Effect.gen(function* () {
      const kind = yield* mortalKind({ onInterrupted: "park", deathsMax: 2 })
      const { taskId } = yield* scheduled(kind)
      for (const deaths of [1, 2, 3]) {
        assert.deepStrictEqual(yield* dies(kind), ["parked", deaths])
        yield* act(taskId, { _tag: "RunNow" })
      }
      const task = yield* claimNext(kind)
      assert.isTrue(task.isSuspect)
      yield* finish(yield* startWhenDue(task), failure)
      assert.strictEqual((yield* stateOf(taskId)).deaths, 0)
    })
  )

  law("a cancel request is fulfilled also by the last death", () =>
    Effect.gen(function* () {
      const control = yield* StoreControl
      const kind = yield* mortalKind({ deathsMax: 1 })
      const { taskId } = yield* scheduled(kind)
      const sessionId = yield* control.secondSession
      yield* nextAttempt(kind, { sessionId })
      yield* act(taskId, { _tag: "Cancel", reason: null })
      yield* control.killSession(sessionId)
      yield* expireAll
      assert.strictEqual((yield* stateOf(taskId)).stage, "cancelled")
    })
  )

  law("of suspects a pull shows as many as it is asked for, the most urgent ones, and all other tasks as ever", () =>
    Effect.gen(function* () {
      const suspected = Effect.fnUntraced(function* (priority: Priority) {
        return yield* suspect(yield* mortalKind(), { priority })
      })
      const placed = Effect.fnUntraced(function* (priority: Priority, secondsAgo: number) {
        return yield* claimed(yield* mortalKind(), { priority, dueInMs: -secondsAgo * 1_000 })
      })
      const [first, second] = [yield* suspected("critical"), yield* suspected("high")]
      const [high, low, lowest] = [yield* placed("high", 9), yield* placed("low", 8), yield* placed("low", 7)]
      const kinds = [first, second, high, low, lowest].map(({ kind }) => kind)
      const pull = Effect.fnUntraced(function* (request: Partial<PullRequest>) {
        const store = yield* TaskStore
        // What is due now was rounded up to the next millisecond.
        return yield* store.pull({ kinds, overdueMs: -1_000, limit: 9, fromLowest: 0, suspectsMax: 1, ...request })
      })
      const idsOf = (tasks: ReadonlyArray<{ readonly taskId: string }>) => tasks.map(({ taskId }) => taskId)
      const shown = (request: Partial<PullRequest>) => Effect.map(pull(request), idsOf)
      assert.deepStrictEqual(yield* shown({}), idsOf([first, high, low, lowest]))
      assert.deepStrictEqual(yield* shown({ suspectsMax: 0 }), idsOf([high, low, lowest]))
      assert.sameMembers([...(yield* shown({ suspectsMax: 2 }))], idsOf([first, second, high, low, lowest]))
      // What is not shown takes nobody's place.
      assert.deepStrictEqual(yield* shown({ suspectsMax: 0, limit: 1 }), idsOf([high]))
      assert.deepStrictEqual(yield* shown({ suspectsMax: 0, limit: 3, fromLowest: 1 }), idsOf([high, low, lowest]))
      assert.deepStrictEqual(
        (yield* pull({})).map(({ isSuspect }) => isSuspect),
        [true, false, false, false]
      )
    })
  )
}

const release = Effect.fnUntraced(function* ({ fence, taskId }: ClaimedTask) {
  const store = yield* TaskStore
  const eventId = yield* newEventId
  assert.deepStrictEqual(yield* store.release([{ taskId, fence, eventId, reason: "drained" }]), ["Released"])
})
