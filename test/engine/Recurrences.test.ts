/**
 * Goal: engines that come and go decide every instant of a recurrence once, and its tasks start at their instants.
 * Method: several processes on one memory database and a virtual clock, killed and started at random from a seed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { auditLedger } from "../../src/core/recurrence/auditLedger.ts"
import { compiledOf } from "../../src/core/recurrence/compiled.ts"
import { decideFates } from "../../src/core/recurrence/fates.ts"
import { defaultPolicies, type Policies } from "../../src/core/recurrence/Policies.ts"
import type { Rule } from "../../src/core/recurrence/Rule.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import type { RecurrenceDefinition } from "../../src/store/RecurrenceStore.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
import { seeded } from "../../bench/random.ts"
import { startProcess, startWorker } from "./fleet.ts"

const every = (everyMs: number, anchorMs = 0): Rule => ({ _tag: "Interval", everyMs, anchorMs })
const nextOf = (rule: Rule) => Result.getOrThrow(compiledOf(rule)).next
let edits = 0
const definition = (rule: Rule, policies: Partial<Policies> = {}): RecurrenceDefinition => ({
  rule,
  policies: { ...defaultPolicies, ...policies },
  kind: "reminder.email",
  priority: null,
  payload: null,
  digest: `definition ${++edits}`
})

const lostAnswer = new StoreUnavailable({ operation: "settle", commitUnknown: true, reason: "the connection broke" })

const eventIds = () => crypto.randomUUID()
const assertWhole = (database: MemoryDatabase.MemoryDatabase, name: string) => {
  const { recurrences } = database
  const recurrence = recurrences.find(name)
  if (recurrence === null) throw new Error(`${name} is missing`)
  const lines = recurrences.ledger(recurrence.recurrenceId)
  const revisions = recurrences
    .revisions(recurrence.recurrenceId)
    .map(({ rule, ...revision }) => ({ ...revision, next: nextOf(rule) }))
  assert.deepStrictEqual(auditLedger(revisions, lines, 0, recurrence.settledUntilMs), [])
  return lines
}

/** A process that can be killed: nothing of it answers or is given back any more. */
const startKillable = Effect.fnUntraced(function* (database: MemoryDatabase.MemoryDatabase) {
  const scope = yield* Scope.make()
  const process = yield* Scope.provide(startProcess(database), scope)
  const seen = yield* Scope.provide(startWorker(process), scope)
  const kill = Effect.andThen(process.control.crash, Scope.close(scope, Exit.void))
  return { seen, kill }
})

describe("engines with a recurrence", () => {
  it.effect("start each of its tasks at its instant", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const process = yield* startProcess(database)
      const worker = yield* startWorker(process)
      database.recurrences.create("ticks", definition(every(1_000)))
      yield* TestClock.adjust("20 seconds")
      const starts = worker.started.map(({ dueAtMs, startedAtMs }) => [dueAtMs, startedAtMs])
      assert.deepStrictEqual(
        starts,
        Array.from({ length: 20 }, (_, second) => [(second + 1) * 1_000, (second + 1) * 1_000])
      )
    }).pipe(Effect.scoped)
  )

  it.effect("that lose every second answer of a decision decide each instant once, and start its task once", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      let asked = 0
      const process = yield* startProcess(database, {
        recurrences: (store) => ({
          ...store,
          settle: (limit) =>
            Effect.flatMap(store.settle(limit), (settled) =>
              ++asked % 2 === 0 ? Effect.succeed(settled) : Effect.fail(lostAnswer)
            )
        })
      })
      const worker = yield* startWorker(process)
      for (const overlap of ["allow", "skip", "cancel"] as const)
        database.recurrences.create(overlap, definition(every(1_000), { overlap, misfire: "all" }))
      yield* TestClock.adjust("60 seconds")
      assert.isAbove(asked, 20)
      for (const overlap of ["allow", "skip", "cancel"]) {
        const lines = assertWhole(database, overlap).filter(({ nominalAtMs }) => nominalAtMs <= 60_000)
        assert.deepStrictEqual(
          lines.map(({ fate, nominalAtMs }) => [fate, nominalAtMs]),
          Array.from({ length: 60 }, (_, second) => ["fired", (second + 1) * 1_000])
        )
        for (const { nominalAtMs, taskId } of lines.slice(0, -1)) {
          const starts = worker.started.filter((start) => start.taskId === taskId)
          assert.strictEqual(starts.length, 1, `${overlap} at ${nominalAtMs}`)
          assert.isAtLeast(starts[0]?.startedAtMs ?? 0, nominalAtMs)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.effect("killed at random across 200 one-second instants, run each exactly once, and the ledger is complete", () =>
    Effect.gen(function* () {
      const draw = seeded(7)
      const database = yield* MemoryDatabase.make()
      const fleet = [yield* startKillable(database), yield* startKillable(database), yield* startKillable(database)]
      const all = [...fleet]
      for (const [name, overlap] of [
        ["ahead", "allow"],
        ["at its instant", "cancel"]
      ] as const)
        database.recurrences.create(name, definition(every(1_000), { overlap, misfire: "all" }))
      let atMs = 0
      while (atMs < 200_000) {
        const passMs = Math.floor(draw() * 3_000)
        yield* TestClock.adjust(passMs)
        atMs += passMs
        const which = Math.floor(draw() * 3)
        yield* fleet[which]?.kill ?? Effect.void
        const another = yield* startKillable(database)
        fleet[which] = another
        all.push(another)
      }
      // What a killed process had claimed or started is given to others when its lease has ended.
      yield* TestClock.adjust("60 seconds")
      for (const { kill } of fleet) yield* kill
      for (const name of ["ahead", "at its instant"]) {
        const lines = assertWhole(database, name).filter(({ nominalAtMs }) => nominalAtMs <= 200_000)
        assert.isAtLeast(
          lines.reduce((sum, line) => sum + Math.round((line.untilMs - line.nominalAtMs) / 1_000) + 1, 0),
          200
        )
      }
      const ahead = database.recurrences
        .ledger(1)
        .filter(({ fate, nominalAtMs }) => fate === "fired" && nominalAtMs <= 200_000)
      assert.strictEqual(ahead.length, 200)
      const succeeded = ahead.map(({ taskId }) => database.streams.stateOf(taskId ?? "")?.stage)
      assert.isTrue(succeeded.every((stage) => stage === "succeeded"))
      assert.isAbove(all.length, 50)
    }).pipe(Effect.scoped)
  )

  it.effect("run an instant once if it is edited in the last millisecond before it, by the edit", () =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const worker = yield* startWorker(yield* startProcess(database))
      const { recurrence } = database.recurrences.create("ticks", definition(every(10_000)))
      for (const second of [10, 20, 30, 40]) {
        yield* TestClock.setTime(second * 1_000 - 1)
        const edit = { ...definition(every(10_000)), payload: second }
        database.recurrences.revise("ticks", { _tag: "Edit", definition: edit, unlessSuperseded: false }, eventIds)
      }
      yield* TestClock.setTime(45_000)
      assert.deepStrictEqual(
        worker.started.map(({ dueAtMs, payload }) => [dueAtMs, payload]),
        [10, 20, 30, 40].map((second) => [second * 1_000, second])
      )
      assert.strictEqual(assertWhole(database, "ticks").length >= 4, true)
      assert.strictEqual(database.recurrences.revisions(recurrence.recurrenceId).length, 5)
    }).pipe(Effect.scoped)
  )

  const outages: ReadonlyArray<readonly [string, Partial<Policies>]> = [
    ["skip", { misfire: "skip" }],
    ["last", { misfire: "last" }],
    ["all", { misfire: "all" }],
    ["all with cap and pace", { misfire: "all", misfireCap: 3, misfirePaceMs: 5_000 }],
    ["all but those too late", { misfire: "all", maxLatenessMs: 180_000 }],
    ["last with overlap skip", { misfire: "last", overlap: "skip" }],
    ["all with overlap skip", { misfire: "all", overlap: "skip" }],
    ["all with overlap cancel", { misfire: "all", overlap: "cancel" }]
  ]
  it.effect.each(outages)("after ten minutes of outage do what the preview said: %s", ([, policies]) =>
    Effect.gen(function* () {
      const database = yield* MemoryDatabase.make()
      const before = yield* startKillable(database)
      const rule = every(30_000)
      const { recurrence } = database.recurrences.create("ticks", definition(rule, policies))
      yield* TestClock.setTime(65_000)
      yield* before.kill
      const { policies: kept, settledUntilMs } = database.recurrences.find("ticks") ?? recurrence
      const backMs = 65_000 + 600_000
      const preview = decideFates({
        next: nextOf(rule),
        policies: kept,
        settledUntilMs,
        nowMs: backMs,
        untilMs: backMs,
        isBusy: false
      })
      const rest = database.recurrences.ledger(1).length
      yield* TestClock.setTime(backMs)
      const after = yield* startKillable(database)
      yield* TestClock.adjust("20 seconds")
      const made = assertWhole(database, "ticks").slice(rest)
      assert.deepStrictEqual(
        made
          .slice(0, preview.decided.length)
          .map(({ fate, nominalAtMs, taskId, untilMs }) => [
            fate,
            nominalAtMs,
            untilMs,
            taskId === null
              ? null
              : database.streams
                  .events(taskId)
                  ?.flatMap((event) => (event._tag === "TaskScheduled" ? [event.dueAtMs] : []))[0]
          ]),
        preview.decided.map(({ dueAtMs, fate, nominalAtMs, untilMs }) => [fate, nominalAtMs, untilMs, dueAtMs])
      )
      assert.isTrue(made.slice(preview.decided.length).every(({ nominalAtMs }) => nominalAtMs > backMs))
      yield* after.kill
    }).pipe(Effect.scoped)
  )
})
