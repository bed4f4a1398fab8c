/** What a caller of `Recurrences` is told when the store's answer was lost on the way, and what others did until it was asked again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Recurrences, Task } from "../../src/index.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"

const Report = Task.define("report", { payload: { customer: Schema.String } })
const payload = { customer: "ada" }
const hourly = { every: "1 hour", payload } as const
const lost = new StoreUnavailable({ operation: "test", commitUnknown: true, reason: "the connection broke" })

/** The answer of the first change is lost, and then others come, before it is asked again. */
const program = <A, E>(
  others: (store: RecurrenceStore["Service"]) => Effect.Effect<unknown, unknown>,
  asks: (recurrences: Recurrences["Service"], store: RecurrenceStore["Service"]) => Effect.Effect<A, E>
) => {
  const losing = Layer.effect(
    RecurrenceStore,
    Effect.map(RecurrenceStore, (store) => {
      let isFirst = true
      return RecurrenceStore.of({
        ...store,
        revise: (...request) =>
          Effect.suspend(() => {
            const answer = store.revise(...request)
            if (!isFirst) return answer
            isFirst = false
            return answer.pipe(Effect.andThen(Effect.orDie(others(store))), Effect.andThen(Effect.fail(lost)))
          })
      })
    })
  )
  return Effect.gen(function* () {
    const recurrences = yield* Recurrences
    const store = yield* RecurrenceStore
    yield* recurrences.create(Report, "reports", hourly)
    const asking = yield* Effect.forkChild(asks(recurrences, store))
    yield* TestClock.adjust("1 second")
    return yield* Fiber.join(asking)
  }).pipe(Effect.provide(Layer.provideMerge(Recurrences.layer, Layer.provideMerge(losing, MemoryStore.layer))))
}

const nothing = () => Effect.void

describe("an answer that was lost", () => {
  it.effect("of a deletion is that it was deleted", () =>
    program(nothing, (recurrences) =>
      Effect.gen(function* () {
        yield* recurrences.delete("reports")
        assert.strictEqual((yield* Effect.flip(recurrences.get("reports")))._tag, "RecurrenceNotFound")
      })
    )
  )

  it.effect("of a deletion costs nobody the recurrence that has the name by now", () =>
    program(
      (store) =>
        store.create("reports", {
          rule: { _tag: "Interval", everyMs: 60_000, anchorMs: 0 },
          policies: {
            misfire: "last",
            misfireGraceMs: 0,
            misfireCap: 1,
            misfirePaceMs: 0,
            maxLatenessMs: null,
            overlap: "allow"
          },
          kind: "report",
          priority: null,
          payload,
          digest: "theirs"
        }),
      (recurrences) =>
        Effect.gen(function* () {
          yield* recurrences.delete("reports")
          assert.deepInclude((yield* recurrences.get("reports")).rule, { everyMs: 60_000 })
        })
    )
  )

  it.effect("of a pause does not pause what somebody has resumed since", () =>
    program(
      (store) => store.revise("reports", { _tag: "Resume" }),
      (recurrences) =>
        Effect.gen(function* () {
          const view = yield* recurrences.pause("reports")
          assert.deepInclude(view, { pausedAt: null, revision: 3 })
        })
    )
  )

  it.effect("of an edit is one revision", () =>
    program(nothing, (recurrences) =>
      Effect.gen(function* () {
        const view = yield* recurrences.edit(Report, "reports", { ...hourly, every: "2 hours" })
        assert.strictEqual(view.revision, 2)
        assert.deepInclude(view.rule, { everyMs: 7_200_000 })
      })
    )
  )
})
