import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Queue } from "effect"
import { claimSql, startSql, wholeDue } from "../../../src/store/postgres/statements.ts"
import { wakeUpChannel } from "../../../src/store/postgres/WakeUps.ts"
import { float8s, instant, int2s, int4, int4s, uuid, uuids } from "../../../src/store/postgres/parameters.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { newTask, storeNowMs } from "../contract/world.ts"
import { pgStore } from "./world.ts"

/** A due time that no other test of this file has; the last one marks the end of what is listened to. */
const endMs = 59_000

layer(Layer.provideMerge(Layer.empty, pgStore("embedded")), { excludeTestServices: true, timeout: 60_000 })(
  "other processes",
  (it) => {
    /** What is told to others while the effect runs. */
    const toldDuring = Effect.fnUntraced(function* <E, R>(effect: Effect.Effect<unknown, E, R>) {
      const sql = yield* PgClient.PgClient
      const notifications = yield* sql.listen(wakeUpChannel)
      yield* effect
      const end = `test/${(yield* storeNowMs) + endMs}`
      yield* sql.notify(wakeUpChannel, end)
      const told: Array<string> = []
      for (;;) {
        const { payload } = yield* Queue.take(notifications)
        if (payload === end) return told
        told.push(payload)
      }
    }, Effect.scoped)
    const scheduled = Effect.fnUntraced(function* (kind: string, inMs: number) {
      const store = yield* TaskStore
      const dueAtMs = Math.floor((yield* storeNowMs) + inMs)
      yield* store.schedule([yield* newTask(kind, { dueAtMs })])
      return `${process.pid}/${dueAtMs}`
    })

    it.effect("are told once of a lone task that is due soon, when it is committed", () =>
      Effect.gen(function* () {
        const expected: Array<string> = []
        const told = yield* toldDuring(
          Effect.tap(scheduled("lone", 0), (text) => Effect.sync(() => expected.push(text)))
        )
        assert.deepStrictEqual(told, expected)
      })
    )

    it.effect("are not told of a task that is due after the next poll of everybody", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* toldDuring(scheduled("far", 3_600_000)), [])
      })
    )

    it.effect("hear nothing of a transaction that is rolled back", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const refused = Effect.andThen(scheduled("rolled-back", 0), Effect.fail("refused"))
        assert.deepStrictEqual(yield* toldDuring(Effect.ignore(sql.withTransaction(refused))), [])
      })
    )

    it.effect("hear nothing new of a kind of which they know something due earlier", () =>
      Effect.gen(function* () {
        const expected: Array<string> = []
        const told = yield* toldDuring(
          Effect.gen(function* () {
            expected.push(yield* scheduled("known", 30_000))
            // Longer than two statements that tell others themselves must be apart.
            yield* Effect.sleep(50)
            yield* scheduled("known", 40_000)
          })
        )
        assert.deepStrictEqual(told, expected)
      })
    )

    it.effect("may lose a claim with the server, but never a start: only the claim's commit does not wait", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { id } = yield* Session
        const commit = Effect.map(
          sql<{ readonly setting: string }>`SELECT current_setting('synchronous_commit') AS setting`,
          ([row]) => row?.setting
        )
        const after = (statement: string, parameters: ReadonlyArray<unknown>) =>
          sql.withTransaction(Effect.andThen(sql.unsafe(statement, parameters), commit))
        const lanes = [int4s([1]), int2s([0])]
        const [fromMs, toMs] = [0, yield* storeNowMs]
        const claimed = [...lanes, instant(fromMs), instant(toMs), int4(1), int4(id()), instant(toMs)]
        assert.strictEqual(yield* after(claimSql(wholeDue), claimed), "off")
        const none = [uuids([]), uuids([]), int4s([]), uuids([]), float8s([]), float8s([])]
        const nil = "00000000-0000-0000-0000-000000000000"
        const started = [...none, int4(id()), uuid(nil), uuid(nil)]
        assert.strictEqual(yield* after(startSql("duetime.event"), started), yield* commit)
      })
    )
  }
)
