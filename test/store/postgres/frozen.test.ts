/** A process that freezes with a transaction open, and one whose connection is ended by an operator or a failing server. */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Fiber } from "effect"
import { batchSizeMax, type Started, TaskStore } from "../../../src/store/TaskStore.ts"
import {
  assertAuditIsGreen,
  claimed,
  newEventId,
  policyOf,
  running,
  servedKind,
  start,
  startedOf,
  stateOf,
  succeed
} from "../contract/world.ts"
import { StoreControl } from "../TaskStore.contract.ts"
import { pgWorld } from "./world.ts"

const successOf = Effect.fnUntraced(function* (started: Started) {
  return { started, eventId: yield* newEventId, outcome: succeed, policy: policyOf(started.kind) }
})

layer(pgWorld("embedded"), { excludeTestServices: true })("with a transaction open", (it) => {
  it.effect("a handler's commit is given ten seconds between two statements, a process that freezes no longer", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const limit = sql<{ readonly limit: string }>`SHOW idle_in_transaction_session_timeout`.pipe(
        Effect.map(([row]) => Object.values(row ?? {})[0])
      )
      const request = yield* successOf(yield* running(yield* servedKind()))
      assert.strictEqual(yield* store.finishWith(limit, () => request), "10s")
      assert.strictEqual(yield* limit, "0", "the application's connection is left as it was")
    })
  )

  it.effect("an outcome that a frozen process has not committed holds up the repair of its own task alone", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const control = yield* StoreControl
      const kind = yield* servedKind()
      const sessionId = yield* control.secondSession
      const startedBySecond = Effect.flatMap(claimed(kind), (task) => Effect.map(start(task, { sessionId }), startedOf))
      const [frozen, other] = [yield* startedBySecond, yield* startedBySecond]
      const isHeld = yield* Deferred.make<void>()
      const holder = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* sql`SELECT 1 FROM duetime.in_progress WHERE task_id = ${frozen.taskId}::uuid FOR UPDATE`
            yield* Deferred.succeed(isHeld, undefined)
            return yield* Effect.never
          })
        )
        .pipe(Effect.forkChild)
      yield* Deferred.await(isHeld)
      yield* control.killSession(sessionId)
      const repaired = Effect.map(store.expire(batchSizeMax), (expired) => expired.map(({ taskId }) => taskId))
      assert.deepStrictEqual(yield* repaired, [other.taskId])
      yield* Fiber.interrupt(holder)
      assert.deepStrictEqual(yield* repaired, [frozen.taskId])
      yield* assertAuditIsGreen
    })
  )

  it.effect("a backend that is ended in the middle takes effects and outcome with it, and a repeat records both", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      yield* sql`CREATE TABLE effect (task_id uuid NOT NULL)`
      const started = yield* running(yield* servedKind())
      const request = yield* successOf(started)
      // The pool may hand out the broken connection once more.
      const again = { times: 3 }
      const effects = Effect.map(sql`SELECT 1 FROM effect`, (rows) => rows.length).pipe(Effect.retry(again))
      const write = sql`INSERT INTO effect VALUES (${started.taskId}::uuid)`
      const ended = Effect.andThen(write, sql`SELECT pg_terminate_backend(pg_backend_pid())`)
      const error = yield* Effect.flip(store.finishWith(ended, () => request))
      assert.strictEqual(error._tag, "StoreUnavailable")
      assert.deepStrictEqual([yield* effects, (yield* stateOf(started.taskId)).stage], [0, "running"])
      yield* store.finishWith(write, () => request).pipe(Effect.retry(again))
      assert.deepStrictEqual([yield* effects, (yield* stateOf(started.taskId)).stage], [1, "succeeded"])
      yield* assertAuditIsGreen
    })
  )
})
