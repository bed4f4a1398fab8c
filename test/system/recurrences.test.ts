import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Result } from "effect"
import { auditLedger } from "../../src/core/recurrence/auditLedger.ts"
import { compiledOf } from "../../src/core/recurrence/compiled.ts"
import { Duetime, Recurrences } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { environment, RoleProcess, until } from "../cli/roleProcess.ts"
import { database } from "../setup/database.ts"

const client = layerPostgres({ migrate: true, unsafeDurability: true }).pipe(Layer.provideMerge(database()))
const killsCount = 5
const killEveryMs = 2_500
const seconds = 20

layer(client, { excludeTestServices: true, timeout: 120_000 })("three engines with one-second recurrences", (it) => {
  it.effect("killed one after another, run every instant exactly once, and the ledger is complete", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const start = () => new RoleProcess(["run", "--tasks", "test/cli/modules/ticks.ts"], env)
      const engines = [start(), start(), start()]
      yield* Effect.addFinalizer(() =>
        Effect.promise(() => {
          for (const engine of engines) engine.kill("SIGKILL")
          return Promise.all(engines.map(({ ended }) => ended))
        })
      )
      const recurrences = yield* Recurrences
      const store = yield* RecurrenceStore
      yield* until(Effect.map(recurrences.list(), (all) => all.length === 2))
      for (let kill = 0; kill < killsCount; kill++) {
        yield* Effect.sleep(killEveryMs)
        engines[kill % 3]?.kill("SIGKILL")
        engines[kill % 3] = start()
      }
      const { createdAt } = yield* recurrences.get("ticks")
      const untilMs = createdAt.getTime() + seconds * 1_000
      yield* until(Effect.map(Clock.currentTimeMillis, (nowMs) => nowMs > untilMs))
      for (const name of ["ticks", "lone-ticks"]) {
        yield* recurrences.pause(name)
      }

      const duetime = yield* Duetime
      for (const name of ["ticks", "lone-ticks"]) {
        const { recurrenceId, settledUntilMs } = yield* store.find(name)
        const revisions = (yield* store.revisions(recurrenceId)).map(({ rule, ...revision }) => ({
          ...revision,
          next: Result.getOrThrow(compiledOf(rule)).next
        }))
        const lines = yield* store.ledger(recurrenceId, 0, 1_000)
        assert.deepStrictEqual(auditLedger(revisions, lines, 0, settledUntilMs), [])
        const fired = lines.flatMap(({ fate, taskId }) => (fate === "fired" && taskId !== null ? [taskId] : []))
        assert.isAtLeast(fired.length, name === "ticks" ? seconds : 5)
        assert.strictEqual(new Set(fired).size, fired.length)
        yield* until(
          Effect.map(
            Effect.forEach(fired, (id) => duetime.get(id)),
            (views) => views.every(({ stage }) => stage === "succeeded")
          )
        )
      }
    }).pipe(Effect.scoped)
  )
})
