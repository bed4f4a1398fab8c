import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type RecurrenceChange, RecurrenceStore, settleRecurrencesMax } from "../../../src/store/RecurrenceStore.ts"
import { unavailable } from "./faultLaws.ts"
import {
  definitionOf,
  every,
  firedOf,
  ledgerOf,
  made,
  RecurrenceControl,
  type RecurrenceLaw,
  settle
} from "./recurrenceWorld.ts"
import { servedKind, stateOf, StoreControl } from "./world.ts"

/** Requests and answers that are lost: whoever repeats the request gets a truthful answer, and it was done once. */
export const recurrenceFaultLaws = (law: RecurrenceLaw): void => {
  const revisionsOf = Effect.fnUntraced(function* (recurrenceId: number) {
    return (yield* (yield* RecurrenceStore).revisions(recurrenceId)).map(({ revision }) => revision)
  })

  for (const fault of ["before", "after"] as const) {
    const what = fault === "before" ? "request" : "answer"
    const lost = Effect.fnUntraced(function* <A, E, R>(operation: Effect.Effect<A, E, R>) {
      yield* (yield* StoreControl).failNext(fault)
      yield* unavailable(fault, operation)
    })

    law(`a recurrence whose creation lost its ${what} is made once by repeating it`, () =>
      Effect.gen(function* () {
        const store = yield* RecurrenceStore
        const definition = definitionOf(yield* servedKind(), every(1_000))
        const name = `lost-creation-${fault}`
        yield* lost(store.create(name, definition))
        const { created, recurrence } = yield* store.create(name, definition)
        assert.strictEqual(created, fault === "before")
        assert.deepInclude(recurrence, { ...definition, revision: 1 })
        assert.deepStrictEqual(yield* revisionsOf(recurrence.recurrenceId), [1])
      })
    )

    law(`instants whose decision lost its ${what} have one fate and one task each after the next one`, () =>
      Effect.gen(function* () {
        const store = yield* RecurrenceStore
        const { recurrenceId } = yield* made(every(1_000))
        yield* lost(store.settle(settleRecurrencesMax))
        const decided = yield* ledgerOf(recurrenceId)
        assert.strictEqual(decided.length > 0, fault === "after")
        yield* settle
        const fired = yield* firedOf(recurrenceId)
        assert.isAtLeast(fired.length, 5)
        assert.deepStrictEqual((yield* ledgerOf(recurrenceId)).slice(0, decided.length), decided)
        for (const { nominalAtMs, taskId } of fired)
          assert.deepInclude(yield* stateOf(taskId), { stage: "pending", version: 1, dueAtMs: nominalAtMs })
      })
    )

    law(`at its instant, too: one fate, and one task, of those whose decision lost its ${what}`, () =>
      Effect.gen(function* () {
        const store = yield* RecurrenceStore
        const { rewind } = yield* RecurrenceControl
        const { name, recurrenceId } = yield* made(every(60_000), { overlap: "cancel", misfire: "last" })
        yield* rewind(name, 300_000)
        yield* lost(store.settle(settleRecurrencesMax))
        const decided = yield* ledgerOf(recurrenceId)
        assert.strictEqual(decided.length > 0, fault === "after")
        yield* settle
        const fired = yield* firedOf(recurrenceId)
        assert.strictEqual(fired.length, 1)
        assert.deepInclude(yield* stateOf(fired[0]?.taskId ?? ""), { stage: "pending", version: 1 })
        assert.deepStrictEqual((yield* ledgerOf(recurrenceId)).slice(0, decided.length), decided)
      })
    )

    const changes: ReadonlyArray<readonly [string, (kind: string) => RecurrenceChange]> = [
      [
        "an edit",
        (kind) => ({
          _tag: "Edit",
          definition: definitionOf(kind, every(2_000), {}, "edited"),
          unlessSuperseded: false
        })
      ],
      [
        "a declaration",
        (kind) => ({
          _tag: "Edit",
          definition: definitionOf(kind, every(2_000), {}, "declared"),
          unlessSuperseded: true
        })
      ],
      ["a pause", () => ({ _tag: "Pause" })]
    ]
    for (const [name, changeOf] of changes) {
      law(`${name} whose ${what} was lost begins one revision, and fires nothing twice`, () =>
        Effect.gen(function* () {
          const store = yield* RecurrenceStore
          const { kind, recurrence, recurrenceId } = yield* made(every(1_000))
          yield* settle
          const before = yield* firedOf(recurrenceId)
          const change = changeOf(kind)
          yield* lost(store.revise(recurrence.name, change))
          const revised = yield* store.revise(recurrence.name, change, recurrence)
          assert.strictEqual(revised._tag, fault === "before" ? "Changed" : "Unchanged")
          assert.deepStrictEqual(yield* store.find(recurrence.name), revised.recurrence)
          assert.deepStrictEqual(yield* revisionsOf(recurrenceId), [1, 2])
          yield* settle
          const lines = new Map((yield* ledgerOf(recurrenceId)).map((line) => [line.nominalAtMs, line]))
          for (const { nominalAtMs, taskId } of before) {
            if (nominalAtMs <= revised.recurrence.revisedAtMs) continue
            assert.strictEqual((yield* stateOf(taskId)).stage, "cancelled")
            const line = lines.get(nominalAtMs)
            assert.isFalse(line?.fate === "fired" && line.taskId === taskId)
          }
        })
      )

      law(`${name} whose ${what} was lost is not made again over what others have made of it since`, () =>
        Effect.gen(function* () {
          const store = yield* RecurrenceStore
          const { definition, kind, name, recurrence, recurrenceId } = yield* made(every(1_000))
          const change = changeOf(kind)
          yield* lost(store.revise(name, change))
          // Somebody who saw the change, and did not want it.
          if (change._tag === "Pause") yield* store.revise(name, { _tag: "Resume" })
          else yield* store.revise(name, { _tag: "Edit", definition, unlessSuperseded: false })
          const theirs = yield* store.find(name)
          const repeated = yield* store.revise(name, change, recurrence)
          if (fault === "after") {
            assert.deepStrictEqual(repeated, { _tag: "Unchanged", recurrence: theirs })
            assert.deepStrictEqual(yield* revisionsOf(recurrenceId), [1, 2, 3])
          } else {
            // It had never been made, and what they wanted stood already.
            assert.strictEqual(repeated._tag, "Changed")
            assert.deepStrictEqual(yield* revisionsOf(recurrenceId), [1, 2])
          }
        })
      )
    }

    law(`a resumption whose ${what} was lost begins one revision`, () =>
      Effect.gen(function* () {
        const store = yield* RecurrenceStore
        const { name, recurrenceId } = yield* made(every(1_000))
        const { recurrence } = yield* store.revise(name, { _tag: "Pause" })
        yield* lost(store.revise(name, { _tag: "Resume" }))
        const revised = yield* store.revise(name, { _tag: "Resume" }, recurrence)
        assert.strictEqual(revised._tag, fault === "before" ? "Changed" : "Unchanged")
        assert.isNull(revised.recurrence.pausedAtMs)
        assert.deepStrictEqual(yield* revisionsOf(recurrenceId), [1, 2, 3])
        yield* settle
      })
    )

    law(`a deletion whose ${what} was lost deletes no other one that got the name meanwhile`, () =>
      Effect.gen(function* () {
        const store = yield* RecurrenceStore
        const { definition, name, recurrence } = yield* made(every(1_000))
        yield* settle
        yield* lost(store.revise(name, { _tag: "Delete" }))
        const { created, recurrence: next } = yield* store.create(name, definition)
        assert.strictEqual(created, fault === "after")
        const repeated = store.revise(name, { _tag: "Delete" }, recurrence)
        if (fault === "before") {
          assert.strictEqual((yield* repeated)._tag, "Changed")
          return
        }
        assert.deepInclude(yield* Effect.flip(repeated), { _tag: "RecurrenceNotFound", name })
        assert.deepStrictEqual(yield* store.find(name), next)
      })
    )
  }
}
