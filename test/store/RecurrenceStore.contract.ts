/**
 * The laws of the port to recurrences, the same for every adapter. They never wait: instants lie some seconds ahead of the store's
 * clock, or behind it because a recurrence was rewound. After each law its ledger is proven against its rules, and the whole
 * database audited.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer, Result } from "effect"
import { describe } from "vitest"
import { leadMsMax, leadMsMin, occurrenceTaskId } from "../../src/core/recurrence/occurrence.ts"
import type { Policies } from "../../src/core/recurrence/Policies.ts"
import type { Rule } from "../../src/core/recurrence/Rule.ts"
import { type Recurrence, RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { recurrenceFaultLaws } from "./contract/recurrenceFaultLaws.ts"
import {
  assertAllLedgersAreWhole,
  assertLedgerIsWhole,
  definitionOf,
  every,
  fatesOf,
  firedOf,
  ledgerOf,
  made,
  nextOf,
  RecurrenceControl,
  type RecurrenceLaw,
  type RecurrenceWorld,
  settle,
  startedEarly
} from "./contract/recurrenceWorld.ts"
import {
  assertAuditIsGreen,
  claim,
  finish,
  only,
  startWhenDue,
  stateOf,
  storeNowMs,
  succeed
} from "./contract/world.ts"

type Law = RecurrenceLaw

const creating = (law: Law) => {
  law("a recurrence begins now, and a name that is taken answers what has it", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const beforeMs = yield* storeNowMs
      const { definition, name, recurrence } = yield* made(every(3_600_000))
      assert.isAtLeast(recurrence.settledUntilMs, beforeMs - 5)
      assert.strictEqual(recurrence.nextAtMs, nextOf(definition.rule)(recurrence.settledUntilMs))
      assert.strictEqual(recurrence.revision, 1)
      const again = yield* store.create(name, definitionOf(definition.kind, every(1_000)))
      assert.deepStrictEqual(again, { created: false, recurrence })
      assert.deepStrictEqual(yield* store.find(name), recurrence)
    })
  )
  law("what does not exist is told by its name", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const told = { _tag: "RecurrenceNotFound", name: "nobody" } as const
      assert.deepInclude(yield* Effect.flip(store.find("nobody")), told)
      assert.deepInclude(yield* Effect.flip(store.revise("nobody", { _tag: "Pause" })), told)
    })
  )
  law("they are listed by name, page by page", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      yield* made(every(3_600_000))
      yield* made(every(3_600_000))
      const all = yield* store.list(null, 1_000)
      assert.deepStrictEqual(
        all.map(({ name }) => name),
        all.map(({ name }) => name).toSorted()
      )
      assert.deepStrictEqual(yield* store.list(all[0]?.name ?? "", 1), all.slice(1, 2))
    })
  )
}

const settling = (law: Law) => {
  law(
    "instants some seconds ahead are decided: a line and a task each, due then, with the id that follows from the instant",
    () =>
      Effect.gen(function* () {
        const { kind, name, recurrence, recurrenceId } = yield* made(every(1_000))
        yield* settle
        const nowMs = yield* storeNowMs
        const fired = yield* firedOf(recurrenceId)
        assert.strictEqual(fired[0]?.nominalAtMs, recurrence.nextAtMs)
        const lastMs = fired.at(-1)?.nominalAtMs ?? 0
        assert.isAtLeast(lastMs, nowMs + leadMsMin - 1_000)
        assert.isAtMost(lastMs, nowMs + leadMsMax)
        for (const { nominalAtMs, taskId } of fired) {
          assert.strictEqual(taskId, occurrenceTaskId(recurrenceId, 1, nominalAtMs))
          const state = yield* stateOf(taskId)
          assert.strictEqual(state.dueAtMs, nominalAtMs)
          assert.deepInclude(state, { stage: "pending", kind })
        }
        const now = yield* (yield* RecurrenceStore).find(name)
        assert.deepInclude(now, {
          settledUntilMs: lastMs,
          nextAtMs: lastMs + 1_000,
          lastTaskId: fired.at(-1)?.taskId ?? null
        })
      })
  )
  law("any number of engines at once decide every instant once", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const ids: Array<number> = []
      for (let index = 0; index < 20; index++) ids.push((yield* made(every(1_000, index * 50))).recurrenceId)
      yield* Effect.forEach(Array.from({ length: 12 }), () => store.settle(3), { concurrency: "unbounded" })
      yield* settle
      for (const recurrenceId of ids) {
        const instants = (yield* firedOf(recurrenceId)).map(({ nominalAtMs }) => nominalAtMs)
        assert.isAtLeast(instants.length, 5)
        assert.deepStrictEqual(
          instants,
          instants.map((_, index) => (instants[0] ?? 0) + index * 1_000)
        )
      }
    })
  )
  law("it says when to look again, and decides nothing twice", () =>
    Effect.gen(function* () {
      const { recurrenceId } = yield* made(every(1_000))
      const first = yield* settle
      assert.isAbove(first.nextInMs ?? 0, 0)
      const lines = yield* ledgerOf(recurrenceId)
      const again = yield* settle
      assert.deepStrictEqual((yield* ledgerOf(recurrenceId)).slice(0, lines.length), lines)
      assert.isAtMost(again.nextInMs ?? Infinity, leadMsMax)
    })
  )
  law("after an outage the missed ones are skipped, made up for by the last, or all up to the cap", () =>
    Effect.gen(function* () {
      const { rewind } = yield* RecurrenceControl
      const outageOf = Effect.fnUntraced(function* (policies: Partial<Policies>) {
        // The last one is half a minute old.
        const { name, recurrenceId } = yield* made(every(60_000, (yield* storeNowMs) - 30_000), policies)
        yield* rewind(name, 600_000)
        yield* settle
        yield* assertLedgerIsWhole(name)
        return yield* fatesOf(recurrenceId)
      })
      assert.deepStrictEqual(yield* outageOf({ misfire: "skip" }), ["skipped-misfire"])
      assert.deepStrictEqual(yield* outageOf({ misfire: "last" }), ["skipped-misfire", "fired"])
      const all = yield* outageOf({ misfire: "all", misfireCap: 4 })
      assert.deepStrictEqual(all, ["skipped-misfire", "fired", "fired", "fired", "fired"])
      const late = yield* outageOf({ misfire: "all", maxLatenessMs: 1_000 })
      assert.isTrue(late.length > 0 && late.every((fate) => fate === "skipped-too-late"))
    })
  )
  law("with a calendar only open instants fire, and another calendar is another revision", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const today = new Date(yield* storeNowMs).getUTCDay() || 7
      const closedNow = { zone: "UTC", weekdays: [((today + 1) % 7) + 1] }
      const rule: Rule = { ...every(1_000), open: { calendar: closedNow, closed: "skip" } }
      const { definition, name, recurrence, recurrenceId } = yield* made(rule)
      assert.strictEqual(recurrence.nextAtMs, nextOf(rule)(recurrence.settledUntilMs))
      assert.isAbove(recurrence.nextAtMs ?? 0, (yield* storeNowMs) + leadMsMax)
      yield* settle
      assert.deepStrictEqual(yield* firedOf(recurrenceId), [])
      const everyDay: Rule = {
        ...every(1_000),
        open: { calendar: { zone: "UTC", weekdays: [1, 2, 3, 4, 5, 6, 7] }, closed: "skip" }
      }
      const edit = {
        _tag: "Edit",
        definition: definitionOf(definition.kind, everyDay),
        unlessSuperseded: false
      } as const
      assert.strictEqual((yield* store.revise(name, edit)).recurrence.revision, 2)
      assert.deepStrictEqual((yield* store.find(name)).rule, everyDay)
      yield* settle
      const fired = yield* firedOf(recurrenceId)
      assert.isAtLeast(fired.length, 4)
      assert.isTrue(fired.every(({ revision }) => revision === 2))
    })
  )
  law("what was missed in open time and is made up for in closed time is due when it is open again", () =>
    Effect.gen(function* () {
      const { rewind } = yield* RecurrenceControl
      const nowMs = yield* storeNowMs
      // Between 12 and 13 o'clock there, and closed for two minutes.
      const ahead = 12 - new Date(nowMs).getUTCHours()
      const localMs = nowMs + ahead * 3_600_000
      const until = new Date(localMs - 120_000).toISOString().slice(11, 16)
      const calendar = {
        zone: `Etc/GMT${ahead > 0 ? "-" : "+"}${Math.abs(ahead)}`,
        weekdays: [1, 2, 3, 4, 5, 6, 7],
        hours: { from: "01:00", until }
      }
      const rule: Rule = { ...every(60_000), open: { calendar, closed: "skip" } }
      const { name, recurrenceId } = yield* made(rule)
      yield* rewind(name, 900_000)
      yield* settle
      const [fired] = yield* firedOf(recurrenceId)
      assert.isBelow(fired?.nominalAtMs ?? Infinity, nowMs - 100_000)
      const { dueAtMs } = yield* stateOf(fired?.taskId ?? "")
      const opensMs = (Math.floor(localMs / 86_400_000) + 1) * 86_400_000 + 3_600_000 - ahead * 3_600_000
      assert.strictEqual(dueAtMs, opensMs)
    })
  )
  law("under overlap skip an instant passes while the task of an earlier one has not ended", () =>
    Effect.gen(function* () {
      const { rewind } = yield* RecurrenceControl
      const { kind, name, recurrenceId } = yield* made(every(1_000), { overlap: "skip" })
      yield* rewind(name, 4_000)
      yield* settle
      const [first, ...others] = yield* fatesOf(recurrenceId)
      assert.strictEqual(first, "fired")
      assert.isAtLeast(others.length, 3)
      assert.isTrue(others.every((fate) => fate === "skipped-overlap"))
      const lines = yield* ledgerOf(recurrenceId)
      assert.isAtMost(lines.at(-1)?.nominalAtMs ?? 0, yield* storeNowMs, "nothing is decided before its instant")

      const { tasks } = yield* claim([kind])
      yield* finish(yield* startWhenDue(only(tasks)), succeed)
      yield* rewindTo(name, recurrenceId)
      yield* settle
      const later = (yield* firedOf(recurrenceId)).length
      assert.strictEqual(later, 2, "the first one has ended")
    })
  )
  law("under overlap cancel the task of an earlier instant is asked to end", () =>
    Effect.gen(function* () {
      const { rewind } = yield* RecurrenceControl
      const { name, recurrenceId } = yield* made(every(1_000), { overlap: "cancel" })
      yield* rewind(name, 2_000)
      yield* settle
      const [before] = yield* firedOf(recurrenceId)
      yield* rewindTo(name, recurrenceId)
      yield* settle
      const fired = yield* firedOf(recurrenceId)
      assert.isAtLeast(fired.length, 2)
      assert.strictEqual((yield* stateOf(before?.taskId ?? "")).stage, "cancelled")
      assert.strictEqual((yield* stateOf(fired.at(-1)?.taskId ?? "")).stage, "pending")
    })
  )
}

/** Waits until the next instant has come, a second at most: what is decided at its instant cannot be decided before. */
const rewindTo = Effect.fnUntraced(function* (name: string, recurrenceId: number) {
  const store = yield* RecurrenceStore
  const { nextAtMs } = yield* store.find(name)
  while ((yield* storeNowMs) < (nextAtMs ?? 0) + 5) yield* Effect.sleep(20)
  return recurrenceId
})

let edits = 0

const revising = (law: Law) => {
  const edited = Effect.fnUntraced(function* (recurrence: Recurrence, rule: Rule, policies: Partial<Policies> = {}) {
    const definition = definitionOf(recurrence.kind, rule, policies, `edited ${++edits}`)
    return yield* (yield* RecurrenceStore).revise(recurrence.name, {
      _tag: "Edit",
      definition,
      unlessSuperseded: false
    })
  })

  law("an edit takes back what has not started, and what both rules have fires once, under the new one", () =>
    Effect.gen(function* () {
      const { name, recurrence, recurrenceId } = yield* made(every(1_000))
      yield* settle
      const before = yield* firedOf(recurrenceId)
      const beforeMs = yield* storeNowMs
      const { _tag, recurrence: after } = yield* edited(recurrence, every(2_000))
      assert.strictEqual(_tag, "Changed")
      assert.strictEqual(after.revision, 2)
      assert.isAtLeast(after.settledUntilMs, before.at(-1)?.nominalAtMs ?? 0)
      const lines = new Map((yield* ledgerOf(recurrenceId)).map((line) => [line.nominalAtMs, line]))
      for (const { nominalAtMs, taskId } of before) {
        const line = lines.get(nominalAtMs)
        const old = yield* stateOf(taskId)
        if (nominalAtMs <= beforeMs) continue
        if (nominalAtMs > after.revisedAtMs) assert.strictEqual(old.stage, "cancelled")
        if (nominalAtMs <= after.revisedAtMs || line === undefined) continue
        if (nominalAtMs % 2_000 === 0) {
          assert.deepInclude(line, { fate: "fired", revision: 2 })
          assert.strictEqual(line.taskId, occurrenceTaskId(recurrenceId, 2, nominalAtMs))
          assert.strictEqual((yield* stateOf(line.taskId ?? "")).stage, "pending")
        } else assert.deepInclude(line, { fate: "cancelled-by-edit", revision: 1 })
      }
      yield* settle
      yield* assertLedgerIsWhole(name)
    })
  )
  law("each of its tasks has what is to follow it, as its revision says", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const { kind } = yield* made(every(1_000))
      const followUp = { kind, priority: "low", inMs: 3_600_000, dueJitter: null, payload: "after" } as const
      const followed = { ...definitionOf(kind, every(2_000)), followUps: { onSuccess: followUp }, digest: "followed" }
      const name = `followed-${kind}`
      const { recurrence } = yield* store.create(name, followed)
      assert.deepStrictEqual(recurrence.followUps, followed.followUps)
      yield* settle
      const [fired] = yield* firedOf(recurrence.recurrenceId)
      if (fired === undefined) throw new Error("nothing has fired")
      const started = yield* startedEarly(kind, fired.taskId)
      assert.isTrue(started.followed)
      yield* finish(started, succeed)
      const { tasks } = yield* (yield* TaskStore).find({ stage: "pending", kind, limit: 1_000 })
      assert.strictEqual(tasks.filter(({ priority }) => priority === "low").length, 1)
      yield* store.revise(name, { _tag: "Edit", definition: definitionOf(kind, every(3_000)), unlessSuperseded: false })
      assert.deepStrictEqual((yield* store.find(name)).followUps, {})
    })
  )

  law("an edit leaves what has started, and does not fire its instant again", () =>
    Effect.gen(function* () {
      const { kind, recurrence, recurrenceId } = yield* made(every(1_000))
      yield* settle
      const target = (yield* firedOf(recurrenceId)).at(-1)
      yield* startedEarly(kind, target?.taskId ?? "")
      yield* edited(recurrence, every(1_000))
      const line = (yield* ledgerOf(recurrenceId)).find(({ nominalAtMs }) => nominalAtMs === target?.nominalAtMs)
      assert.deepInclude(line, { fate: "fired", revision: 1, taskId: target?.taskId ?? null })
      assert.strictEqual((yield* stateOf(target?.taskId ?? "")).stage, "running")
    })
  )
  law("an edit at the same time as engines decide loses no instant and fires none twice", () =>
    Effect.gen(function* () {
      const { name, recurrence, recurrenceId } = yield* made(every(1_000))
      const store = yield* RecurrenceStore
      for (let round = 0; round < 6; round++)
        yield* Effect.all([store.settle(100), edited(recurrence, every(1_000, round * 100)), store.settle(100)], {
          concurrency: "unbounded"
        })
      yield* settle
      yield* assertLedgerIsWhole(name)
      const nowMs = yield* storeNowMs
      for (const { nominalAtMs, revision, taskId } of yield* firedOf(recurrenceId)) {
        if (nominalAtMs < nowMs) continue
        assert.strictEqual((yield* stateOf(taskId)).stage, "pending")
        for (let older = 1; older < revision; older++) {
          const other = yield* Effect.result(stateOf(occurrenceTaskId(recurrenceId, older, nominalAtMs)))
          if (Result.isSuccess(other)) assert.strictEqual(other.success.stage, "cancelled")
        }
      }
    })
  )
  law("what an edit finds undecided until now is decided by the old rule", () =>
    Effect.gen(function* () {
      const { rewind } = yield* RecurrenceControl
      const { name, recurrence, recurrenceId } = yield* made(every(60_000), { misfire: "last" })
      yield* rewind(name, 300_000)
      yield* edited(recurrence, every(3_600_000))
      const lines = yield* ledgerOf(recurrenceId)
      assert.isTrue(lines.length > 0 && lines.every(({ revision }) => revision === 1))
      assert.include(
        lines.map(({ fate }) => fate),
        "skipped-misfire"
      )
      yield* assertLedgerIsWhole(name)
    })
  )
  law("the same definition again changes nothing, and an older one nothing if it asks to leave newer ones alone", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const { definition, name, recurrence } = yield* made(every(3_600_000))
      const declared = { _tag: "Edit", definition, unlessSuperseded: true } as const
      assert.strictEqual((yield* store.revise(name, declared))._tag, "Unchanged")
      yield* edited(recurrence, every(7_200_000))
      assert.strictEqual((yield* store.revise(name, declared))._tag, "Superseded")
      assert.strictEqual((yield* store.find(name)).revision, 2)
      assert.strictEqual((yield* store.revise(name, { ...declared, unlessSuperseded: false }))._tag, "Changed")
      assert.deepInclude(yield* store.find(name), { revision: 3, digest: definition.digest })
    })
  )
  law("while it is paused its instants pass, each with that fate, and a resumption begins with the next one", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const { rewind } = yield* RecurrenceControl
      const { name, recurrenceId } = yield* made(every(1_000))
      yield* settle
      const paused = yield* store.revise(name, { _tag: "Pause" })
      assert.isNotNull(paused.recurrence.pausedAtMs)
      assert.isNull(paused.recurrence.nextAtMs)
      assert.strictEqual((yield* store.revise(name, { _tag: "Pause" }))._tag, "Unchanged")
      const aheadOf = Effect.map(ledgerOf(recurrenceId), (lines) =>
        lines.filter(({ nominalAtMs }) => nominalAtMs > paused.recurrence.revisedAtMs)
      )
      for (const { fate } of yield* aheadOf) assert.strictEqual(fate, "skipped-paused")
      const { tasksCount } = yield* settle
      assert.strictEqual(tasksCount, 0)

      const resumed = yield* store.revise(name, { _tag: "Resume" })
      assert.isNull(resumed.recurrence.pausedAtMs)
      const { revisedAtMs } = resumed.recurrence
      for (const { fate, nominalAtMs, revision } of yield* aheadOf)
        if (nominalAtMs > revisedAtMs) assert.deepEqual([fate, revision], ["fired", 3])

      const long = yield* made(every(60_000))
      yield* store.revise(long.name, { _tag: "Pause" })
      yield* rewind(long.name, 86_400_000)
      yield* store.revise(long.name, { _tag: "Resume" })
      assert.deepStrictEqual(yield* fatesOf(long.recurrenceId), ["skipped-paused"])
    })
  )
  law("a deletion takes back what has not started, keeps the ledger, and frees the name", () =>
    Effect.gen(function* () {
      const store = yield* RecurrenceStore
      const { definition, name, recurrence, recurrenceId } = yield* made(every(1_000))
      yield* settle
      const fired = yield* firedOf(recurrenceId)
      const nowMs = yield* storeNowMs
      yield* store.revise(name, { _tag: "Delete" })
      yield* Effect.flip(store.find(name))
      for (const { nominalAtMs, taskId } of fired)
        if (nominalAtMs > nowMs + 1_000) assert.strictEqual((yield* stateOf(taskId)).stage, "cancelled")
      assert.strictEqual((yield* fatesOf(recurrenceId)).at(-1), "cancelled-by-delete")
      const again = yield* store.create(name, definition)
      assert.isTrue(again.created)
      assert.notStrictEqual(again.recurrence.recurrenceId, recurrence.recurrenceId)
    })
  )
}

/** Runs every law against one store, on the live clock. */
export const recurrenceStoreContract = <E>(name: string, store: Layer.Layer<RecurrenceWorld, E>): void => {
  describe(name, () => {
    layer(store, { excludeTestServices: true, timeout: 60_000 })("keeps the laws of", (it) => {
      const chapters: ReadonlyArray<readonly [string, (law: Law) => void]> = [
        ["creating", creating],
        ["settling", settling],
        ["revising", revising],
        ["losing answers", recurrenceFaultLaws]
      ]
      for (const [chapter, laws] of chapters)
        describe(chapter, () => {
          laws((law, body) =>
            it.effect(law, () =>
              Effect.yieldNow.pipe(
                Effect.andThen(Effect.suspend(body)),
                Effect.tap(() => assertAllLedgersAreWhole),
                Effect.tap(() => assertAuditIsGreen)
              )
            )
          )
        })
    })
  })
}
