import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import type { Stage } from "../../src/core/TaskState.ts"
import { Duetime } from "../../src/Duetime.ts"
import type { Find } from "../../src/FindOptions.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const Work = Task.define("work", { payload: {}, retry: RetryPolicy.never })

const verbs = {
  cancel: (id: string) => Duetime.use((duetime) => duetime.cancel(id, "no longer wanted")),
  reschedule: (id: string) => Duetime.use((duetime) => duetime.reschedule(id, { in: "2 hours" })),
  reprioritise: (id: string) => Duetime.use((duetime) => duetime.reprioritise(id, "critical")),
  runNow: (id: string) => Duetime.use((duetime) => duetime.runNow(id)),
  redrive: (id: string) => Duetime.use((duetime) => duetime.redrive(id)),
  discard: (id: string) => Duetime.use((duetime) => duetime.discard(id, "of no use any more"))
}

/** A task brought to a stage by real work. */
const taskAt = Effect.fnUntraced(function* (stage: Stage) {
  switch (stage) {
    case "pending":
      return (yield* Work.schedule({}, { in: "1 hour" })).id
    case "claimed": {
      const { id } = yield* Work.schedule({}, { in: "20 seconds" })
      yield* TestDuetime.pass("15 seconds")
      return id
    }
    case "running": {
      const { id } = yield* Long.schedule({})
      yield* TestDuetime.pass(0)
      return id
    }
    case "parked": {
      const { id } = yield* Charge.schedule({})
      yield* TestDuetime.pass("10 minutes")
      return id
    }
    case "dead": {
      const { id } = yield* Failing.schedule({})
      yield* TestDuetime.pass(0)
      return id
    }
    case "succeeded": {
      const { id } = yield* Work.schedule({})
      yield* TestDuetime.pass(0)
      return id
    }
    case "cancelled": {
      const { id } = yield* Work.schedule({}, { in: "1 hour" })
      yield* verbs.cancel(id)
      return id
    }
    case "expired": {
      yield* Duetime.use((duetime) => duetime.pause({ kind: "work" }))
      const { id } = yield* Work.schedule({}, { in: "1 minute", expiresIn: "1 minute" })
      yield* TestDuetime.pass("5 minutes")
      return id
    }
  }
})

const Long = Task.define("long", { payload: {}, timeout: "1 day" })
const Charge = Task.define("charge", { payload: {}, timeout: "1 second", onInterrupted: "park" })
const Failing = Task.define("failing", { payload: {}, retry: RetryPolicy.never })

const process = TestDuetime.layer(
  Layer.mergeAll(
    Work.handle(() => Effect.void),
    Long.handle(() => Effect.sleep("10 hours")),
    Charge.handle(() => Effect.never),
    Failing.handle(() => Effect.fail("broken"))
  )
)

/** What each wish does at each stage: the stage afterwards, or null where it is not possible. */
const table: Record<Stage, Record<keyof typeof verbs, Stage | null>> = {
  pending: {
    cancel: "cancelled",
    reschedule: "pending",
    reprioritise: "pending",
    runNow: "pending",
    redrive: null,
    discard: null
  },
  claimed: {
    cancel: "cancelled",
    reschedule: "pending",
    reprioritise: "pending",
    runNow: "pending",
    redrive: null,
    discard: null
  },
  running: { cancel: "running", reschedule: null, reprioritise: "running", runNow: null, redrive: null, discard: null },
  parked: {
    cancel: "cancelled",
    reschedule: null,
    reprioritise: null,
    runNow: "pending",
    redrive: null,
    discard: null
  },
  dead: { cancel: null, reschedule: null, reprioritise: null, runNow: null, redrive: "pending", discard: "cancelled" },
  succeeded: { cancel: null, reschedule: null, reprioritise: null, runNow: null, redrive: null, discard: null },
  cancelled: { cancel: "cancelled", reschedule: null, reprioritise: null, runNow: null, redrive: null, discard: null },
  expired: { cancel: null, reschedule: null, reprioritise: null, runNow: null, redrive: null, discard: null }
}

const verbNames = ["cancel", "reschedule", "reprioritise", "runNow", "redrive", "discard"] as const
const stagesOfTable = ["pending", "claimed", "running", "parked", "dead", "succeeded", "cancelled", "expired"] as const

describe("wishes", () => {
  for (const stage of stagesOfTable) {
    for (const verb of verbNames) {
      const after = table[stage][verb]
      it.effect(
        `${verb} of a ${stage} task ${after === null ? "is refused with what is possible" : `leaves it ${after}`}`,
        () =>
          Effect.gen(function* () {
            const id = yield* taskAt(stage)
            assert.strictEqual((yield* Duetime.use((duetime) => duetime.get(id))).stage, stage)
            if (after !== null) {
              const summary = yield* verbs[verb](id)
              assert.strictEqual(summary.stage, after)
              assert.strictEqual(summary.cancelRequested, stage === "running" && verb === "cancel")
              assert.deepInclude(yield* Duetime.use((duetime) => duetime.get(id)), summary)
              return
            }
            const before = yield* TestDuetime.history(id)
            const error = yield* Effect.flip(verbs[verb](id))
            if (error._tag !== "InvalidTransition") return assert.fail(error.message)
            assert.strictEqual(error.stage, stage)
            assert.deepStrictEqual(
              [...error.possible],
              verbNames.filter((name) => table[stage][name] !== null)
            )
            assert.include(error.message, `cannot ${verb} task ${id}: it is ${stage}`)
            assert.deepStrictEqual(yield* TestDuetime.history(id), before)
          }).pipe(Effect.provide(process))
      )
    }
  }

  it.effect("a running task that was cancelled ends as its attempt does: success stands, a failure is its end", () => {
    const outcome = Deferred.makeUnsafe<void, string>()
    const handlers = Long.handle(() => Deferred.await(outcome))
    return Effect.gen(function* () {
      const { id } = yield* Long.schedule({})
      yield* TestDuetime.pass(0)
      yield* verbs.cancel(id)
      yield* Deferred.fail(outcome, "503")
      yield* TestDuetime.pass(0)
      assert.strictEqual((yield* Duetime.use((duetime) => duetime.get(id))).status, "CANCELLED")
    }).pipe(Effect.provide(TestDuetime.layer(handlers)))
  })

  it.effect("a task run now starts at once, a rescheduled one at its new time and not at its old one", () =>
    Effect.gen(function* () {
      const soon = yield* taskAt("pending")
      const later = yield* taskAt("pending")
      yield* verbs.runNow(soon)
      yield* verbs.reschedule(later)
      yield* TestDuetime.pass("1 hour")
      const duetime = yield* Duetime
      assert.strictEqual((yield* duetime.get(soon)).endedAt?.getTime(), 0)
      assert.strictEqual((yield* duetime.get(later)).stage, "pending")
      yield* TestDuetime.pass("1 hour")
      assert.strictEqual((yield* duetime.get(later)).endedAt?.getTime(), 7_200_000)
    }).pipe(Effect.provide(process))
  )
})

describe("ids", () => {
  it.effect("an id of no task is not found, in every verb", () =>
    Effect.gen(function* () {
      const id = "019f0000-0000-7000-8000-000000000000"
      const duetime = yield* Duetime
      for (const ask of [duetime.get, duetime.history, ...Object.values(verbs)]) {
        const error = yield* Effect.flip<unknown, { readonly _tag: string; readonly message: string }, Duetime>(ask(id))
        assert.strictEqual(error._tag, "TaskNotFound")
        assert.include(error.message, id)
      }
    }).pipe(Effect.provide(process))
  )

  it.effect("what is no id is refused as such; upper case is read", () =>
    Effect.gen(function* () {
      const duetime = yield* Duetime
      for (const id of ["", "7", "019f0000-0000-4000-8000-000000000000", "'; drop table task;--"]) {
        const error = yield* Effect.flip(duetime.get(id))
        assert.strictEqual(error._tag, "OptionsRejected")
        assert.include(error.message, "id is")
      }
      const { id } = yield* Work.schedule({})
      assert.strictEqual((yield* duetime.get(id.toUpperCase())).id, id)
    }).pipe(Effect.provide(process))
  )

  it.effect("a receipt, or its promise, in place of the id is told to be asked for it, in every verb", () =>
    Effect.gen(function* () {
      const duetime = yield* Duetime
      const receipt: unknown = yield* Work.schedule({})
      const mistakes: ReadonlyArray<readonly [given: unknown, message: RegExp]> = [
        [
          receipt,
          /^OptionsRejected: id is \{ id: '[0-9a-f-]{36}', created: true \}\. That holds the id: pass its \.id$/
        ],
        [
          Promise.resolve(receipt),
          /^OptionsRejected: id is Promise .*\. Await what schedule returned, and pass its \.id$/
        ],
        [Object.create(null), /^OptionsRejected: id is .*\. Give the id that schedule returned/]
      ]
      for (const [given, message] of mistakes) {
        for (const ask of [duetime.get, duetime.history, duetime.awaitEnd, ...Object.values(verbs)]) {
          const error = yield* Effect.flip<unknown, { readonly message: string }, Duetime>(ask(given as string))
          assert.match(error.message, message)
        }
      }
    }).pipe(Effect.provide(process))
  )

  it.effect("pages hold each task once, within limits that are checked", () =>
    Effect.gen(function* () {
      const duetime = yield* Duetime
      const receipts = yield* Work.scheduleMany(Array.from({ length: 25 }, () => ({ payload: {}, in: "1 hour" })))
      const seen: Array<string> = []
      let after: string | undefined
      do {
        const page: { readonly tasks: ReadonlyArray<{ readonly id: string }>; readonly next: string | null } =
          yield* duetime.find({ stage: "pending", kind: "work", limit: 10, after })
        seen.push(...page.tasks.map((task) => task.id))
        after = page.next ?? undefined
      } while (after !== undefined)
      assert.sameMembers(
        seen,
        receipts.map((receipt) => receipt.id)
      )
      for (const limit of [0, 1_001, 1.5, Number.NaN]) {
        assert.strictEqual((yield* Effect.flip(duetime.find({ stage: "pending", limit })))._tag, "OptionsRejected")
      }
      const [first = ""] = seen
      const mistakes: ReadonlyArray<readonly [filter: object, message: string]> = [
        [{ stage: "sleeping" }, "stage is 'sleeping'. Give one of pending, claimed, running, parked, dead"],
        [{}, "stage is undefined. Give one of pending"],
        [{ stage: "pending", kind: "No Kind" }, "kind is 'No Kind'. Give 1 to 100 characters"],
        [{ stage: "pending", group: "3f9a0c11d2e4" }, "only dead letters are in groups"],
        ...["2", "", `/${first}`, `soon/${first}`, first.slice(1), 7].map(
          (after) => [{ stage: "pending", after }, "Give the `next` of the page before"] as const
        ),
        [{ stage: "dead", after: `1767225600000/${first}` }, "whose stage was the same"]
      ]
      for (const [filter, message] of mistakes) {
        const error = yield* Effect.flip(duetime.find(filter as Find))
        assert.include(error.message, "OptionsRejected: ")
        assert.include(error.message, message)
      }
    }).pipe(Effect.provide(process))
  )
})
