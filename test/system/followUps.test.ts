/**
 * Goal: no end without what follows it, and nothing that follows without its end, wherever a process is killed. Method: `duetime run` as
 * a process of its own; triggers in the database hold it at a named point of its append until SIGKILL has come, and then let go what
 * it has left there. Then kills in the middle of work, wherever they hit.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Duetime } from "../../src/Duetime.ts"
import { environment, role, until } from "../cli/roleProcess.ts"
import { runCli } from "../cli/runCli.ts"
import { pgStore } from "../store/postgres/world.ts"
import { Alert, Booking, Loss, Receipt, Sale } from "./modules/followUps.ts"

/** Where an append is held: before the end's row, before that of what follows, and in the commit of both. */
const points = [
  ["end", "TRIGGER hold_end BEFORE", "", "NEW.type IN (30, 31) AND NEW.version > 1"],
  ["follow-up", "TRIGGER hold_follow_up BEFORE", "", "NEW.type = 1 AND NEW.follow_ups ? 'follows'"],
  [
    "commit",
    "CONSTRAINT TRIGGER hold_commit AFTER",
    "DEFERRABLE INITIALLY DEFERRED",
    "NEW.type = 1 AND NEW.follow_ups ? 'follows'"
  ]
] as const

const gate = 4711
const killsCount = 4
const tasksCount = 120
/** Eight processes start and end, and as many leases, on a machine that may be busy. */
const timeoutMs = 240_000

const prepared = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* sql`CREATE TABLE public.held (point text NOT NULL)`
  yield* sql.unsafe(`CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (SELECT FROM public.held WHERE point = TG_ARGV[0]) THEN PERFORM pg_advisory_xact_lock_shared(${gate}); END IF;
      RETURN NEW;
    END $$`)
  for (const [point, trigger, timing, condition] of points) {
    yield* sql.unsafe(
      `CREATE ${trigger} INSERT ON duetime.event ${timing} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION public.hold('${point}')`
    )
  }
})

/** A process that runs everything; ended with the scope if nobody kills it before. */
const started = role(["run", "--tasks", "test/system/modules/followUps.ts"], {
  DUETIME_LEASE: "1 second"
})

const scheduled = Effect.fnUntraced(function* (count: number) {
  const duetime = yield* Duetime
  const onSuccess = Receipt.follow({ n: 1 })
  const entries = Array.from({ length: count }, (_, n) => ({
    payload: { n },
    onSuccess,
    onDead: Alert.follow({ n: 2 })
  }))
  for (const kind of [Sale, Loss, Booking]) yield* duetime.scheduleMany(kind, entries)
})

/** Ends that something should follow, and the ends that what follows names: each in the words `task version`. */
const found = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{ readonly ends: ReadonlyArray<string>; readonly followed: ReadonlyArray<string> }>`SELECT
    array(SELECT e.task_id || ' ' || e.version FROM duetime.event e JOIN duetime.event b ON b.task_id = e.task_id AND b.version = 1
      WHERE e.type IN (30, 31) AND b.follow_ups ? 'onSuccess' ORDER BY 1) AS ends,
    array(SELECT (follow_ups->'follows'->>'taskId') || ' ' || (follow_ups->'follows'->>'version') FROM duetime.event
      WHERE version = 1 AND follow_ups ? 'follows' ORDER BY 1) AS followed`
  return { ends: row?.ends ?? [], followed: row?.followed ?? [] }
})

const assertTogether = Effect.gen(function* () {
  const { ends, followed } = yield* found
  assert.deepStrictEqual(followed, ends)
  return ends.length
})

/** What killed processes have left in the server has come to its end. */
const untilNobodyIsLeft = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const others = sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'duetime%' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`
  yield* until(Effect.map(others, ([row]) => row?.n === 0))
})

layer(Duetime.layer.pipe(Layer.provideMerge(pgStore("embedded"))), { excludeTestServices: true, timeout: 60_000 })(
  "an end and what follows it",
  (it) => {
    it.effect(
      "are both there or neither, at whatever point of the append its process is killed",
      () =>
        Effect.gen(function* () {
          const sql = yield* PgClient.PgClient
          yield* prepared
          const waiting = sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM pg_locks
            WHERE locktype = 'advisory' AND objid = ${gate} AND NOT granted`
          for (const [point] of points) {
            const endsBefore = yield* assertTogether
            yield* scheduled(2)
            yield* Effect.scoped(
              Effect.gen(function* () {
                const keeper = yield* sql.reserve
                yield* keeper.executeUnprepared(`SELECT pg_advisory_lock(${gate})`, [], undefined)
                yield* sql`INSERT INTO public.held VALUES (${point})`
                const victim = yield* started
                // One in the transaction of a handler, one in that of the outcomes.
                yield* until(Effect.map(waiting, ([row]) => (row?.n ?? 0) >= 2))
                victim.kill("SIGKILL")
                yield* Effect.promise(() => victim.ended)
                assert.strictEqual(yield* assertTogether, endsBefore, "nothing of it is committed while it is held")
                yield* sql`DELETE FROM public.held`
                yield* keeper.executeUnprepared(`SELECT pg_advisory_unlock(${gate})`, [], undefined)
              })
            )
            yield* untilNobodyIsLeft
            const endsAfter = yield* assertTogether
            if (point === "commit") assert.isAbove(endsAfter, endsBefore, "what was being committed is committed")
            else assert.strictEqual(endsAfter, endsBefore, "what was open is rolled back")
          }
        }),
      timeoutMs
    )

    it.effect(
      "are both there or neither after kills in the middle of work, and every task has ended with its own",
      () =>
        Effect.gen(function* () {
          yield* scheduled(tasksCount)
          const from = (yield* found).ends.length
          const countedEnds = Effect.map(found, ({ ends }) => ends.length - from)
          for (let kill = 1; kill <= killsCount; kill++) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const victim = yield* started
                yield* until(Effect.map(countedEnds, (count) => count >= kill * 20))
                victim.kill("SIGKILL")
                yield* Effect.promise(() => victim.ended)
              })
            )
            yield* untilNobodyIsLeft
            yield* assertTogether
          }
          const sql = yield* PgClient.PgClient
          yield* started
          const live = sql<{ readonly n: number }>`SELECT (SELECT count(*) FROM duetime.due)::int4 +
            (SELECT count(*) FROM duetime.in_progress)::int4 AS n`
          yield* until(Effect.map(live, ([row]) => row?.n === 0))
          yield* assertTogether
          const counts = yield* sql`SELECT k.name AS kind, e.type, count(*)::int4 AS n FROM duetime.event e
            JOIN duetime.event b ON b.task_id = e.task_id AND b.version = 1 JOIN duetime.kind k ON k.kind_id = b.kind_id
            WHERE e.type BETWEEN 30 AND 34 GROUP BY 1, 2 ORDER BY 1`
          const each = tasksCount + 2 * points.length
          assert.deepStrictEqual(counts, [
            { kind: "alert", type: 30, n: each },
            { kind: "booking", type: 30, n: each },
            { kind: "loss", type: 31, n: each },
            { kind: "receipt", type: 30, n: 2 * each },
            { kind: "sale", type: 30, n: each }
          ])
          const { status, stdout } = yield* runCli(["audit", "--json"], yield* environment)
          assert.strictEqual(status, 0, stdout)
        }),
      timeoutMs
    )
  }
)
