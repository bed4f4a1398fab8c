/**
 * What PostgreSQL takes back by itself, made to happen: a lock that does not come in time (55P03), a deadlock (40P01), a
 * serialization failure (40001), a backend that is ended (57P01). The first three cost the caller nothing but time; after the
 * last one the same request is sent again and answers as it did, or would have, the first time.
 */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Fiber, Layer, Schedule } from "effect"
import type { TaskEvent } from "../../../src/core/TaskEvent.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import type { Session } from "../../../src/store/Session.ts"
import { type ClaimedTask, TaskStore } from "../../../src/store/TaskStore.ts"
import { database, TestDatabase } from "../../setup/database.ts"
import {
  assertAuditIsGreen,
  claimed,
  newEventId,
  policyOf,
  servedKind,
  start,
  startedOf,
  succeed,
  tagsOf
} from "../contract/world.ts"
import { pgStore } from "./world.ts"

/** At most 20 s: a lock timeout is 2 s, a deadlock is found after one. */
const looks = Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 1_000 }))

type Waiting = { readonly pid: number; readonly sinceMs: number }

/** The backend of this database that waits for a lock, once there is one that began to wait later than `afterMs`. */
const waitingSince = (afterMs: number) =>
  PgClient.PgClient.use((sql) =>
    sql<Waiting>`SELECT pid, (extract(epoch FROM query_start) * 1000)::float8 AS "sinceMs" FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND extract(epoch FROM query_start) * 1000 > ${afterMs}::float8`.pipe(
      Effect.repeat({ schedule: looks, until: (rows) => rows.length > 0 }),
      Effect.flatMap(([waiting]) =>
        waiting === undefined ? Effect.die(new Error("nobody waits for a lock")) : Effect.succeed(waiting)
      )
    )
  )

const lockOf = (taskId: string) =>
  PgClient.PgClient.use((sql) => sql`SELECT 1 FROM duetime.in_progress WHERE task_id = ${taskId}::uuid FOR UPDATE`)

/**
 * Runs `work` against a row that somebody else has locked; `during` runs once it waits. Then `last`, still in the other one's
 * transaction, which commits.
 */
const against = Effect.fnUntraced(function* <A, E, R>(options: {
  readonly taskId: string
  readonly work: Effect.Effect<A, E, R>
  readonly during?: (waiting: Waiting) => Effect.Effect<unknown, unknown, PgClient.PgClient>
  readonly last?: Effect.Effect<unknown, unknown, PgClient.PgClient>
}) {
  const { during = () => Effect.void, last = Effect.void, taskId, work } = options
  const sql = yield* PgClient.PgClient
  const isHeld = yield* Deferred.make<void>()
  const mayEnd = yield* Deferred.make<void>()
  const holder = yield* lockOf(taskId).pipe(
    Effect.andThen(Deferred.succeed(isHeld, undefined)),
    Effect.andThen(Deferred.await(mayEnd)),
    Effect.andThen(last),
    sql.withTransaction,
    Effect.forkChild
  )
  yield* Deferred.await(isHeld)
  const worker = yield* Effect.forkChild(work)
  yield* during(yield* waitingSince(0))
  yield* Deferred.succeed(mayEnd, undefined)
  yield* Fiber.join(holder)
  return yield* Fiber.join(worker)
})

const deadlocks = PgClient.PgClient.use((sql) =>
  Effect.map(
    sql<{
      readonly count: number
    }>`SELECT deadlocks::int4 AS count FROM pg_stat_database WHERE datname = current_database()`,
    ([row]) => row?.count ?? 0
  )
)

const recorded = { _tag: "Recorded", stage: "succeeded" } as const

type Work = Effect.Effect<void, unknown, TaskStore | Session>

/** The requests of the hot path that lock rows of others. (A handler's transaction waits for as long as its handler may.) */
const requests: ReadonlyArray<{
  readonly name: string
  readonly make: (task: ClaimedTask) => Effect.Effect<Work, unknown, TaskStore | Session>
  readonly lastTag: TaskEvent["_tag"]
}> = [
  {
    name: "a start",
    make: (task) => Effect.succeed(Effect.asVoid(startedNow(task))),
    lastTag: "AttemptStarted"
  },
  {
    name: "an outcome",
    make: (task) =>
      Effect.map(successOf(task), (request) =>
        TaskStore.use((store) => store.finish([request])).pipe(
          Effect.map((answers) => assert.deepStrictEqual(answers, [recorded]))
        )
      ),
    lastTag: "AttemptSucceeded"
  }
]

const startedNow = (task: ClaimedTask) => Effect.map(start(task), startedOf)

const successOf = Effect.fnUntraced(function* (task: ClaimedTask) {
  const started = yield* startedNow(task)
  return { started, eventId: yield* newEventId, outcome: succeed, policy: policyOf(started.kind) }
})

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 60_000 })("taken back by PostgreSQL", (it) => {
  for (const { lastTag, make, name } of requests) {
    it.effect(`${name} that did not get its lock in time (55P03) is made when the lock is free`, () =>
      Effect.gen(function* () {
        const task = yield* claimed(yield* servedKind())
        const work = yield* make(task)
        // The second wait is a second statement: the first was ended by its lock timeout.
        yield* against({ taskId: task.taskId, work, during: ({ sinceMs }) => waitingSince(sinceMs) })
        assert.strictEqual((yield* tagsOf(task.taskId)).filter((tag) => tag === lastTag).length, 1)
        yield* assertAuditIsGreen
      })
    )
  }

  it.effect("outcomes that met a deadlock (40P01) are recorded, each once", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const tasks = [yield* claimed(kind), yield* claimed(kind)]
      const sorted = tasks.toSorted((left, right) => (left.taskId < right.taskId ? -1 : 1))
      const [first, second] = sorted
      if (first === undefined || second === undefined) throw new Error("two tasks were claimed")
      const batch = yield* Effect.forEach(sorted, successOf)
      const before = yield* deadlocks
      // The batch has locked its first row and waits for the second, whose holder now asks for the first. Whoever has waited
      // longer looks first, finds the deadlock and is the one to give way: the batch.
      const answers = yield* against({ taskId: second.taskId, work: store.finish(batch), last: lockOf(first.taskId) })
      assert.deepStrictEqual(answers, [recorded, recorded])
      const after = yield* deadlocks.pipe(Effect.repeat({ schedule: looks, until: (count) => count > before }))
      assert.strictEqual(after - before, 1)
      yield* assertAuditIsGreen
    })
  )

  it.effect("an outcome whose backend was ended (57P01) is unknown, and the same request records it once", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const task = yield* claimed(yield* servedKind())
      const batch = [yield* successOf(task)]
      const error = yield* against({
        taskId: task.taskId,
        work: Effect.flip(store.finish(batch)),
        during: ({ pid }) => sql`SELECT pg_terminate_backend(${pid}::int4)`
      })
      assert.deepInclude(error, { _tag: "StoreUnavailable", operation: "finish", commitUnknown: true })
      assert.deepStrictEqual(yield* store.finish(batch), [recorded])
      assert.deepStrictEqual(yield* store.finish(batch), [recorded])
      assert.deepStrictEqual((yield* tagsOf(task.taskId)).filter((tag) => tag === "AttemptSucceeded").length, 1)
      yield* assertAuditIsGreen
    })
  )
})

/** As an operator may have set it: then every statement that waited for a row that has changed meanwhile is taken back. */
const repeatableRead = PgTaskStore.layer({ migrate: true, unsafeDurability: true }).pipe(
  Layer.provide(
    Layer.effectDiscard(
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const { database: name } = yield* TestDatabase
        yield* sql.unsafe(`ALTER DATABASE ${name} SET default_transaction_isolation TO 'repeatable read'`)
      })
    )
  ),
  Layer.provideMerge(database())
)

layer(repeatableRead, { excludeTestServices: true, timeout: 60_000 })(
  "where every transaction is repeatable read",
  (it) => {
    it.effect("a handler's transaction that met a serialization failure (40001) runs again and is recorded once", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const store = yield* TaskStore
        const task = yield* claimed(yield* servedKind())
        const request = yield* successOf(task)
        let runs = 0
        // Its snapshot is taken before the other one commits.
        const body = Effect.andThen(
          sql`SELECT 1`,
          Effect.sync(() => ++runs)
        )
        yield* against({
          taskId: task.taskId,
          work: store.finishWith(body, () => request),
          last: sql`UPDATE duetime.in_progress SET priority = priority WHERE task_id = ${task.taskId}::uuid`
        })
        assert.strictEqual(runs, 2)
        assert.strictEqual((yield* tagsOf(task.taskId)).filter((tag) => tag === "AttemptSucceeded").length, 1)
        yield* assertAuditIsGreen
      })
    )
  }
)
