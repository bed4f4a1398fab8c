import { assert } from "@effect/vitest"
import { Context, Effect, Result, type Scope } from "effect"
import { auditLedger } from "../../../src/core/recurrence/auditLedger.ts"
import { compiledOf } from "../../../src/core/recurrence/compiled.ts"
import { defaultPolicies, type Policies } from "../../../src/core/recurrence/Policies.ts"
import type { Rule } from "../../../src/core/recurrence/Rule.ts"
import { type RecurrenceDefinition, RecurrenceStore, settleRecurrencesMax } from "../../../src/store/RecurrenceStore.ts"
import { act, claim, only, servedKind, startWhenDue, type World } from "./world.ts"

export class RecurrenceControl extends Context.Service<
  RecurrenceControl,
  {
    /** As if the recurrence had been made, and last decided, so much earlier. */
    readonly rewind: (name: string, ms: number) => Effect.Effect<void>
  }
>()("duetime/test/RecurrenceControl") {}

export type RecurrenceWorld = World | RecurrenceStore | RecurrenceControl

let count = 0
export const every = (everyMs: number, anchorMs = 0): Rule => ({ _tag: "Interval", everyMs, anchorMs })
export const nextOf = (rule: Rule) => Result.getOrThrow(compiledOf(rule)).next

export const definitionOf = (kind: string, rule: Rule, policies: Partial<Policies> = {}, payload = "first") => {
  const definition = { rule, policies: { ...defaultPolicies, ...policies }, kind, priority: null, payload }
  return { ...definition, digest: JSON.stringify(definition) } satisfies RecurrenceDefinition
}

/** A recurrence of a kind of its own. */
export const made = Effect.fnUntraced(function* (rule: Rule, policies: Partial<Policies> = {}) {
  const store = yield* RecurrenceStore
  const definition = definitionOf(yield* servedKind(), rule, policies)
  const name = `recurrence-${++count}`
  const { created, recurrence } = yield* store.create(name, definition)
  assert.isTrue(created)
  return { name, definition, recurrence, recurrenceId: recurrence.recurrenceId, kind: definition.kind }
})

export const settle = Effect.gen(function* () {
  const store = yield* RecurrenceStore
  let settled = yield* store.settle(settleRecurrencesMax)
  while (settled.nextInMs === 0) settled = yield* store.settle(settleRecurrencesMax)
  return settled
})

export const ledgerOf = Effect.fnUntraced(function* (recurrenceId: number) {
  return yield* (yield* RecurrenceStore).ledger(recurrenceId, 0, 1_000)
})

export const firedOf = Effect.fnUntraced(function* (recurrenceId: number) {
  const lines = yield* ledgerOf(recurrenceId)
  return lines.flatMap(({ fate, taskId, ...line }) =>
    fate === "fired" && taskId !== null ? [{ ...line, taskId }] : []
  )
})

export const fatesOf = (recurrenceId: number) =>
  Effect.map(ledgerOf(recurrenceId), (lines) => lines.map(({ fate }) => fate))

/** Every instant up to the watermark has one fate, by the rules of the revisions. */
export const assertLedgerIsWhole = Effect.fnUntraced(function* (name: string) {
  const store = yield* RecurrenceStore
  const { recurrenceId, settledUntilMs } = yield* store.find(name)
  const revisions = yield* store.revisions(recurrenceId)
  assert.deepStrictEqual(
    auditLedger(
      revisions.map(({ rule, ...revision }) => ({ ...revision, next: nextOf(rule) })),
      yield* ledgerOf(recurrenceId),
      0,
      settledUntilMs
    ),
    []
  )
})

export const assertAllLedgersAreWhole = Effect.gen(function* () {
  for (const { name } of yield* (yield* RecurrenceStore).list(null, 1_000)) yield* assertLedgerIsWhole(name)
})

/** Starts the task of an instant ahead of its time, as a person may. */
export const startedEarly = Effect.fnUntraced(function* (kind: string, taskId: string) {
  yield* act(taskId, { _tag: "RunNow" })
  const { tasks } = yield* claim([kind], { lookAheadMs: 1 })
  return yield* startWhenDue(only(tasks.filter((task) => task.taskId === taskId)))
})

export type RecurrenceLaw = <A, E>(name: string, body: () => Effect.Effect<A, E, RecurrenceWorld | Scope.Scope>) => void
