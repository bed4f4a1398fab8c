import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import * as EngineConfig from "../../src/engine/EngineConfig.ts"
import { Duetime, Engine, Task, Worker } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { database } from "../setup/database.ts"
import { connect, scheduleBy } from "../store/postgres/sqlSchedule.ts"

const Remind = Task.define("remind", { payload: {} })

/** Between being told and starting, on a machine that is busy with something else. Without being told it would be a minute. */
const wokenMsMax = 2_000
const started = new Map<string, Deferred.Deferred<void>>()
const startOf = (id: string) => {
  const known = started.get(id) ?? Deferred.makeUnsafe<void>()
  started.set(id, known)
  return known
}

/** Its engine polls once a minute: whatever starts earlier, it has been woken for. */
const application = Layer.mergeAll(
  Remind.handle((_, { taskId }) => Deferred.succeed(startOf(taskId), undefined)),
  Engine.layer
).pipe(
  Layer.provideMerge(Worker.layer({ concurrency: 10 })),
  Layer.provide(Layer.succeed(EngineConfig.EngineConfig, { ...EngineConfig.defaults, idlePollMs: 60_000 })),
  Layer.provideMerge(layerPostgres({ migrate: true, unsafeDurability: true })),
  Layer.provideMerge(database())
)

/** From the due time to the start, in ms by the database's clock. */
const latenessMs = Effect.fnUntraced(function* (id: string) {
  yield* Deferred.await(startOf(id))
  const duetime = yield* Duetime
  const startedAtMs = (yield* duetime.history(id)).find(({ _tag }) => _tag === "AttemptStarted")?.atMs ?? Infinity
  return startedAtMs - (yield* duetime.get(id)).dueAt.getTime()
})

layer(application, { excludeTestServices: true, timeout: 60_000 })(
  "a task that another program schedules in SQL",
  (it) => {
    it.effect("starts on time: the engine is woken by the commit", () =>
      Effect.gen(function* () {
        const sql = yield* connect()
        for (const dueAt of ["now()", "now() + interval '800 milliseconds'"]) {
          const { task_id } = yield* scheduleBy(sql, { kind: "remind", payload: "{}", dueAt })
          const lateMs = yield* latenessMs(task_id)
          assert.isAtLeast(lateMs, 0)
          assert.isBelow(lateMs, wokenMsMax)
        }
      }).pipe(Effect.scoped)
    )

    it.effect("starts at once after a commit that comes long after the due time, and never before", () =>
      Effect.gen(function* () {
        const sql = yield* connect()
        const [scheduled, committedAtMs] = yield* sql.withTransaction(
          Effect.gen(function* () {
            const answer = yield* scheduleBy(sql, {
              kind: "remind",
              payload: "{}",
              dueAt: "now() + interval '100 milliseconds'"
            })
            yield* sql`SELECT pg_sleep(2.5)`
            assert.isFalse(yield* Deferred.isDone(startOf(answer.task_id)))
            const [now] = yield* sql<{ readonly ms: number }>`SELECT date_part('epoch', clock_timestamp()) * 1000 AS ms`
            return [answer, now?.ms ?? 0] as const
          })
        )
        const dueAtMs = (yield* (yield* Duetime).get(scheduled.task_id)).dueAt.getTime()
        const lateMs = yield* latenessMs(scheduled.task_id)
        assert.isAtLeast(dueAtMs + lateMs, committedAtMs)
        assert.isBelow(dueAtMs + lateMs - committedAtMs, wokenMsMax)
      }).pipe(Effect.scoped)
    )

    it.effect("of a trigger runs with the row that it is about, or not at all", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* sql`CREATE TABLE invoice (id int4 PRIMARY KEY)`
        yield* sql.unsafe(`CREATE FUNCTION remind_of_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM duetime.schedule('remind', '{}', key => 'invoice ' || NEW.id);
          RETURN NEW;
        END $$`)
        yield* sql`CREATE TRIGGER remind AFTER INSERT ON invoice FOR EACH ROW EXECUTE FUNCTION remind_of_invoice()`
        yield* sql`INSERT INTO invoice SELECT generate_series(1, 20)`
        yield* Effect.flip(sql`INSERT INTO invoice VALUES (21), (1)`)
        const tasks = yield* sql<{ readonly task_id: string; readonly key: string }>`
        SELECT task_id, key FROM duetime.key WHERE key LIKE 'invoice %' ORDER BY task_id`
        assert.strictEqual(tasks.length, 20)
        for (const { task_id } of tasks) yield* Deferred.await(startOf(task_id))
      })
    )
  }
)
