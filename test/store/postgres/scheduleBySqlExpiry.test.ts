import type { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { jitteredDueAtMs } from "../../../src/core/KindPolicy.ts"
import { Duetime } from "../../../src/Duetime.ts"
import { expiresInMsMax } from "../../../src/ScheduleOptions.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { onEachServer } from "../../setup/database.ts"
import { assertAuditIsGreen, claim, servedKind, start, startedOf, storeNowMs, type World } from "../contract/world.ts"
import { type Arguments, connect, refusalOf, scheduleBy } from "./sqlSchedule.ts"
import { pgWorld } from "./world.ts"

/** An instant of the database as an SQL expression. */
const atSql = (atMs: number) => `to_timestamp(${atMs} / 1000.0)`
const dayMs = 86_400_000

onEachServer("A task that is scheduled in SQL with an expiry", (server) => {
  const world = Duetime.layer.pipe(Layer.provideMerge(pgWorld(server)))
  layer(world, { excludeTestServices: true, timeout: 60_000 })("in SQL", (it) => {
    type Needed = World | Duetime | PgClient.PgClient | Scope.Scope
    const law = <E>(name: string, body: () => Effect.Effect<void, E, Needed>) =>
      it.effect(name, () => Effect.scoped(body()).pipe(Effect.tap(() => assertAuditIsGreen)))

    const expiresAtMsOf = Effect.fnUntraced(function* (taskId: string) {
      const [born] = yield* (yield* Duetime).history(taskId)
      return born?._tag === "TaskScheduled" ? born.expiresAtMs : undefined
    })

    law(
      "expires as the client's does: so long after the due time, jitter included, or at the instant, rounded down",
      () =>
        Effect.gen(function* () {
          const dueJitter = { fromMs: 1_500, toMs: 90_000.7 }
          const kind = yield* servedKind({ dueJitter })
          const sql = yield* connect()
          const nominalMs = Date.parse("2030-05-05T05:05:00Z")
          const dueAt = "timestamptz '2030-05-05 05:05Z'"
          const after = yield* scheduleBy(sql, { kind, dueAt, expiresIn: "interval '90.0001 s'" })
          const dueAtMs = jitteredDueAtMs(nominalMs, after.task_id, dueJitter)
          assert.strictEqual(yield* expiresAtMsOf(after.task_id), dueAtMs + 90_001)
          const at = yield* scheduleBy(sql, {
            kind,
            dueAt,
            expiresAt: "timestamptz '2030-05-05 06:05:00.0019+01' + '1 hour'"
          })
          assert.strictEqual(yield* expiresAtMsOf(at.task_id), Date.parse("2030-05-05T06:05:00.001Z"))
          const never = yield* scheduleBy(sql, { kind, dueAt, expiresIn: "NULL", expiresAt: "NULL" })
          assert.isUndefined(yield* expiresAtMsOf(never.task_id))
        })
    )

    law("lasts days of 24 hours, whatever time zone the session is in", () =>
      Effect.gen(function* () {
        const sql = yield* connect()
        yield* sql`SET TimeZone = 'Europe/Berlin'`
        const kind = yield* servedKind()
        // Clocks change on 31 March 2030.
        const { task_id } = yield* scheduleBy(sql, { kind, dueAt: "'2030-03-30 12:00Z'", expiresIn: "'2 days'" })
        assert.strictEqual(yield* expiresAtMsOf(task_id), Date.parse("2030-04-01T12:00:00Z"))
      })
    )

    law("takes the least and the most that the client takes", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const dueAtMs = Math.ceil(yield* storeNowMs) + dayMs
        const dueAt = atSql(dueAtMs)
        for (const [given, lastsMs] of [
          [{ expiresIn: "'1 ms'" }, 1],
          [{ expiresIn: "'366 days'" }, expiresInMsMax],
          [{ expiresAt: atSql(dueAtMs + 1) }, 1],
          [{ expiresAt: atSql(dueAtMs + expiresInMsMax) }, expiresInMsMax]
        ] as const) {
          const { task_id } = yield* scheduleBy(sql, { kind, dueAt, ...given })
          assert.strictEqual(yield* expiresAtMsOf(task_id), dueAtMs + lastsMs)
        }
      })
    )

    law("starts in time, and once it has expired it ends where it waits, and its key is free", () =>
      Effect.gen(function* () {
        const store = yield* TaskStore
        const kind = yield* servedKind()
        const sql = yield* connect()
        yield* scheduleBy(sql, { kind, expiresIn: "'1 hour'" })
        const [inTime] = (yield* claim([kind])).tasks
        if (inTime === undefined) return assert.fail("was not claimed")
        startedOf(yield* start(inTime))
        const late = { kind, key: "k", keyExpiresIn: "'0'", expiresIn: "'1 ms'" }
        const { task_id } = yield* scheduleBy(sql, late)
        yield* sql`SELECT pg_sleep(0.01)`
        assert.include([...(yield* store.expireTasks(100)).taskIds], task_id)
        assert.strictEqual((yield* (yield* Duetime).get(task_id)).stage, "expired")
        const next = yield* scheduleBy(sql, { ...late, expiresIn: "'1 hour'" })
        assert.isTrue(next.created)
        // The key alone decides what is the same task.
        const same = yield* scheduleBy(sql, { ...late, expiresIn: "'2 hours'" })
        assert.deepStrictEqual(same, { task_id: next.task_id, created: false })
      })
    )

    law("is not there after a rollback, nor is its expiry", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const expiring = Effect.map(
          sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM duetime.expiring`,
          ([row]) => row?.n
        )
        const before = yield* expiring
        const call = scheduleBy(sql, { kind, expiresIn: "'1 hour'" })
        yield* sql.withTransaction(Effect.andThen(call, Effect.fail("rolled back"))).pipe(Effect.flip)
        assert.strictEqual(yield* expiring, before)
        yield* sql.withTransaction(call)
        assert.strictEqual(yield* expiring, (before ?? 0) + 1)
      })
    )

    const tomorrow = "now() + interval '1 day'"
    const refused: ReadonlyArray<readonly [string, Arguments, string, string]> = [
      ["no time at all", { kind: "k", expiresIn: "'0'" }, "expires_in", "expires_in is '00:00:00'"],
      ["a negative time", { kind: "k", expiresIn: "'-1 s'" }, "expires_in", "expires_in is '-00:00:01'"],
      ["more than 366 days", { kind: "k", expiresIn: "'366 days 1 ms'" }, "expires_in", "366 days"],
      // A year is 360 days when intervals are compared, and 365.25 when they are counted.
      ["more than 366 days, told in years", { kind: "k", expiresIn: "'1 year 5 days'" }, "expires_in", "1 year"],
      [
        "both a time and an instant",
        { kind: "k", expiresIn: "'1 hour'", expiresAt: "'2100-01-01Z'" },
        "expires_at",
        "expires_at is '2100-01-01"
      ],
      ["an infinite instant", { kind: "k", expiresAt: "'infinity'" }, "expires_at", "expires_at is 'infinity'"],
      [
        "an instant that has passed",
        { kind: "k", expiresAt: "'2020-01-01Z'" },
        "expires_at",
        "expires_at is '2020-01-01"
      ],
      ["the due time itself", { kind: "k", dueAt: tomorrow, expiresAt: tomorrow }, "expires_at", "expires_at is '"],
      [
        "an instant more than 366 days after the due time",
        { kind: "k", dueAt: tomorrow, expiresAt: `${tomorrow} + interval '367 days'` },
        "expires_at",
        "expires_at is '"
      ]
    ]
    for (const [name, given, column, says] of refused) {
      law(`may not have ${name}; the refusal names the field and the way out, and stores nothing`, () =>
        Effect.gen(function* () {
          const sql = yield* connect()
          const refusal = yield* refusalOf(scheduleBy(sql, given))
          assert.strictEqual(refusal.column, column)
          assert.include(refusal.message, `duetime.schedule: ${column} is`)
          assert.include(refusal.message, says)
          assert.match(refusal.hint, /^Give .+\.$/)
          assert.strictEqual(refusal.code, "22023")
          assert.isUndefined((yield* sql`SELECT FROM duetime.kind WHERE name = ${given.kind}`)[0])
        })
      )
    }

    law("may not expire before the latest due time that the kind's jitter allows", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind({ dueJitter: { fromMs: 0, toMs: 60_000 } })
        const sql = yield* connect()
        const dueAtMs = Math.ceil(yield* storeNowMs) + dayMs
        const given = { kind, dueAt: atSql(dueAtMs) }
        const refusal = yield* refusalOf(scheduleBy(sql, { ...given, expiresAt: atSql(dueAtMs + 60_000) }))
        assert.strictEqual(refusal.column, "expires_at")
        assert.match(refusal.hint, /^Give an instant after the latest due time /)
        yield* scheduleBy(sql, { ...given, expiresAt: atSql(dueAtMs + 60_001) })
      })
    )
  })
})
