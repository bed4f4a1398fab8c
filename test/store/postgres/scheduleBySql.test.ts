import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option, Queue, type Scope } from "effect"
import { jitteredDueAtMs } from "../../../src/core/KindPolicy.ts"
import { jsonDepthMax } from "../../../src/core/storable.ts"
import { isTaskId, nominalDueAtMsOf, slotOf, slotOfKey } from "../../../src/core/TaskId.ts"
import { Duetime } from "../../../src/Duetime.ts"
import { keyLengthMax } from "../../../src/optionValues.ts"
import { payloadBytesMaxDefault, TaskStore } from "../../../src/store/TaskStore.ts"
import { onEachServer } from "../../setup/database.ts"
import {
  act,
  assertAuditIsGreen,
  claim,
  newTask,
  servedKind,
  storeNowMs,
  unservedKind,
  type World
} from "../contract/world.ts"
import { StoreControl } from "../TaskStore.contract.ts"
import { type Arguments, connect, refusalOf, scheduleBy } from "./sqlSchedule.ts"
import { pgWorld } from "./world.ts"

const uuidV4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const nested = (levels: number, innermost: string) => `${"[".repeat(levels)}${innermost}${"]".repeat(levels)}`
/** JSON text of so many bytes. */
const textOfBytes = (bytes: number) => JSON.stringify("p".repeat(bytes - 2))

onEachServer("duetime.schedule", (server) => {
  const world = Duetime.layer.pipe(Layer.provideMerge(pgWorld(server)))
  layer(world, { excludeTestServices: true, timeout: 60_000 })("in SQL", (it) => {
    type Needed = World | Duetime | PgClient.PgClient | Scope.Scope
    const law = <E>(name: string, body: () => Effect.Effect<void, E, Needed>) =>
      it.effect(name, () =>
        Effect.scoped(body()).pipe(
          Effect.tap(() => assertAuditIsGreen),
          Effect.tap(() =>
            Effect.flatMap(StoreControl, (control) =>
              Effect.map(control.auditRows, (found) => assert.deepStrictEqual(found, []))
            )
          )
        )
      )

    law("stores what the client stores: read as any task, and audited", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind({ priority: "high", queue: "sql" })
        const answer = yield* scheduleBy(yield* connect(), {
          kind,
          payload: `{"name": "Ada", "list": [1, 2.5, null, true], "text": "é😀"}`,
          dueAt: "timestamptz '2030-01-31 09:00:00.0001+01'",
          key: "a key"
        })
        const id = answer.task_id
        assert.strictEqual(answer.created, true)
        assert.isTrue(isTaskId(id))
        const duetime = yield* Duetime
        const [event, ...others] = yield* duetime.history(id)
        assert.deepStrictEqual(others, [])
        const dueAtMs = Date.parse("2030-01-31T08:00:00.001Z")
        assert.match(event?.eventId ?? "", uuidV4)
        assert.closeTo(event?.atMs ?? 0, yield* storeNowMs, 10_000)
        assert.deepStrictEqual(event, {
          _tag: "TaskScheduled",
          taskId: id,
          version: 1,
          eventId: event?.eventId ?? "",
          atMs: event?.atMs ?? 0,
          kind,
          priority: "high",
          dueAtMs,
          key: "a key",
          payload: { name: "Ada", list: [1, 2.5, null, true], text: "é😀" }
        })
        assert.strictEqual(nominalDueAtMsOf(id), dueAtMs)
        const view = yield* duetime.get(id)
        assert.strictEqual(view.dueAt.getTime(), dueAtMs)
        assert.strictEqual(view.stage, "pending")
      })
    )

    law("is due now without a due time, and with one that is past", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const before = yield* storeNowMs
        const ids: Array<string> = []
        for (const dueAt of [undefined, "now() - interval '3 days'"]) {
          ids.push((yield* scheduleBy(sql, { kind, ...(dueAt === undefined ? {} : { dueAt }) })).task_id)
        }
        for (const id of ids) assert.closeTo(nominalDueAtMsOf(id), before, 10_000)
        const { tasks } = yield* claim([kind])
        assert.sameMembers(
          tasks.map(({ taskId }) => taskId),
          ids
        )
      })
    )

    law("spreads due times by the kind's jitter as the client does, and leaves the nominal one in the id", () =>
      Effect.gen(function* () {
        const dueJitter = { fromMs: 1_500, toMs: 90_000.7 }
        const kind = yield* servedKind({ dueJitter })
        const sql = yield* connect()
        const duetime = yield* Duetime
        for (let count = 0; count < 50; count++) {
          const { task_id } = yield* scheduleBy(sql, { kind, dueAt: "timestamptz '2030-05-05 05:05Z'" })
          const nominalMs = Date.parse("2030-05-05T05:05:00Z")
          assert.strictEqual(nominalDueAtMsOf(task_id), nominalMs)
          const { dueAt } = yield* duetime.get(task_id)
          assert.strictEqual(dueAt.getTime(), jitteredDueAtMs(nominalMs, task_id, dueJitter))
        }
      })
    )

    law("puts tasks of one ordering key into the slot that the client puts them into, and others anywhere", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        for (const orderingKey of ["customer 7", "é", "日本", "a😀b", "\u{10FFFF}", "k".repeat(keyLengthMax)]) {
          const { task_id } = yield* scheduleBy(sql, { kind, orderingKey })
          assert.strictEqual(slotOf(task_id), slotOfKey(orderingKey), orderingKey)
        }
        const slots = new Set<number>()
        for (let count = 0; count < 40; count++) slots.add(slotOf((yield* scheduleBy(sql, { kind })).task_id))
        assert.isAbove(slots.size, 30)
      })
    )

    law("makes a kind that nobody has announced, whose tasks wait, visible", () =>
      Effect.gen(function* () {
        const kind = yield* unservedKind
        const { task_id } = yield* scheduleBy(yield* connect(), { kind })
        const store = yield* TaskStore
        const found = (yield* store.kinds).find(({ policy }) => policy.kind === kind)
        assert.strictEqual(found?.known, false)
        assert.deepStrictEqual(
          (yield* store.find({ stage: "pending", kind, limit: 10 })).tasks.map(({ taskId }) => taskId),
          [task_id]
        )
      })
    )

    law("takes the priority that is given before the kind's", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind({ priority: "low" })
        const sql = yield* connect()
        const duetime = yield* Duetime
        const own = yield* scheduleBy(sql, { kind })
        const given = yield* scheduleBy(sql, { kind, priority: "critical" })
        assert.strictEqual((yield* duetime.get(own.task_id)).priority, "low")
        assert.strictEqual((yield* duetime.get(given.task_id)).priority, "critical")
      })
    )

    law("and the client answer the first task of a key, whichever scheduled it", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const store = yield* TaskStore
        const payload = `{"b": {"c": [1, 2], "d": null}, "a": 1.0}`
        const first = yield* scheduleBy(sql, { kind, payload, key: "by sql", dueAt: "now() + interval '3 hours'" })
        const again = yield* scheduleBy(sql, { kind, payload, key: "by sql", priority: "low" })
        assert.deepStrictEqual(again, { task_id: first.task_id, created: false })
        const equal = { a: 1, b: { d: null, c: [1, 2] } }
        const other = yield* newTask(kind, { key: "by client", payload: equal })
        yield* store.schedule([other])
        assert.deepStrictEqual(yield* scheduleBy(sql, { kind, payload: JSON.stringify(equal), key: "by client" }), {
          task_id: other.taskId,
          created: false
        })
        const second = yield* scheduleBy(sql, { kind, payload: JSON.stringify(equal), key: "by sql 2" })
        const same = yield* newTask(kind, { key: "by sql 2", payload: equal })
        assert.deepStrictEqual(yield* store.schedule([same]), [{ _tag: "Existing", taskId: second.task_id }])
      })
    )

    law("refuses a key whose task has another payload, names that task, and schedules nothing", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const first = yield* scheduleBy(sql, { kind, payload: "[1, 2]", key: "once" })
        const refusal = yield* refusalOf(scheduleBy(sql, { kind, payload: "[2, 1]", key: "once" }))
        assert.deepStrictEqual(refusal, {
          code: "23505",
          message: `duetime.schedule: the key 'once' of kind ${kind} belongs to task ${first.task_id}, which has another payload`,
          hint: "Use another key, or the same payload.",
          column: "key"
        })
        assert.strictEqual((yield* (yield* TaskStore).find({ stage: "pending", kind, limit: 10 })).tasks.length, 1)
      })
    )

    law("of many connections with one key exactly one creates the task", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const connections = yield* Effect.forEach(Array.from({ length: 6 }), () => connect())
        const answers = yield* Effect.forEach(connections, (sql) => scheduleBy(sql, { kind, key: "race" }), {
          concurrency: "unbounded"
        })
        assert.strictEqual(answers.filter(({ created }) => created).length, 1)
        assert.strictEqual(new Set(answers.map(({ task_id }) => task_id)).size, 1)
      })
    )

    law("leaves nothing of a transaction that is rolled back, and all of one that commits", () =>
      Effect.gen(function* () {
        const sql = yield* connect()
        const ambient = yield* PgClient.PgClient
        const kind = yield* unservedKind
        const given = { kind, key: "k" }
        yield* sql.withTransaction(Effect.andThen(scheduleBy(sql, given), Effect.fail("rolled back"))).pipe(Effect.flip)
        const [left] = yield* ambient<{ readonly found: boolean }>`SELECT
          EXISTS (SELECT FROM duetime.kind WHERE name = ${kind}) AS found`
        assert.strictEqual(left?.found, false)
        const { created, task_id } = yield* sql.withTransaction(scheduleBy(sql, given))
        assert.isTrue(created)
        assert.strictEqual((yield* (yield* Duetime).get(task_id)).stage, "pending")
      })
    )

    law("takes over a key that has expired, of its own tasks and of the client's, and no other", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const store = yield* TaskStore
        const cancel = (taskId: string) => act(taskId, { _tag: "Cancel", reason: null })
        const given = { kind, key: "k", keyExpiresIn: "interval '0'" }
        const first = yield* scheduleBy(sql, given)
        assert.deepStrictEqual(yield* scheduleBy(sql, given), { task_id: first.task_id, created: false })
        yield* cancel(first.task_id)
        const byClient = yield* newTask(kind, { key: "k", keyKeptMs: 0, payload: "client" })
        assert.strictEqual((yield* store.schedule([byClient]))[0]?._tag, "Created")
        yield* cancel(byClient.taskId)
        const third = yield* scheduleBy(sql, { ...given, keyExpiresIn: "interval '1 hour'" })
        assert.isTrue(third.created)
        yield* cancel(third.task_id)
        assert.deepStrictEqual(yield* scheduleBy(sql, given), { task_id: third.task_id, created: false })
      })
    )

    law("gives a key that has expired to exactly one of many connections", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const connections = yield* Effect.forEach(Array.from({ length: 6 }), () => connect())
        const first = yield* scheduleBy(yield* connect(), { kind, key: "race", keyExpiresIn: "interval '0'" })
        yield* act(first.task_id, { _tag: "Cancel", reason: null })
        const answers = yield* Effect.forEach(connections, (sql) => scheduleBy(sql, { kind, key: "race" }), {
          concurrency: "unbounded"
        })
        assert.strictEqual(answers.filter(({ created }) => created).length, 1)
        assert.strictEqual(new Set(answers.map(({ task_id }) => task_id)).size, 1)
      })
    )

    const edge: ReadonlyArray<readonly [string, Omit<Arguments, "kind">]> = [
      ["a payload of the most bytes", { payload: textOfBytes(payloadBytesMaxDefault) }],
      ["a payload of the most levels", { payload: nested(jsonDepthMax, JSON.stringify("p".repeat(900))) }],
      ["numbers as great as there are", { payload: `[1.7976931348623157e308, -1.7e308, "${"9".repeat(400)}"]` }],
      ["a key of the most characters", { key: "k".repeat(keyLengthMax) }],
      ["ten years ahead", { dueAt: "now() + interval '10 years'" }]
    ]
    for (const [name, given] of edge) {
      law(`takes ${name}`, () =>
        Effect.gen(function* () {
          const { task_id } = yield* scheduleBy(yield* connect(), { kind: yield* servedKind(), ...given })
          const [event] = yield* (yield* Duetime).history(task_id)
          if (event?._tag !== "TaskScheduled") return assert.fail("was not scheduled")
          if (given.payload !== undefined) assert.deepStrictEqual(event.payload, JSON.parse(given.payload ?? ""))
          assert.strictEqual(event.key, given.key ?? null)
        })
      )
    }

    const refused: ReadonlyArray<readonly [string, Arguments, string, string]> = [
      ["no kind", { kind: null }, "kind", "kind is null"],
      ["a kind with strange characters", { kind: "Send Mail" }, "kind", "kind is 'Send Mail'"],
      ["a kind with a line end", { kind: "mail\n" }, "kind", "kind is 'mail\n'"],
      ["a kind that is too long", { kind: "k".repeat(101) }, "kind", "kind is 'kkk"],
      ["no payload", { kind: "k", payload: null }, "payload", "payload is null"],
      [
        "a payload that is too large",
        { kind: "k", payload: textOfBytes(payloadBytesMaxDefault + 1) },
        "payload",
        `payload is '${payloadBytesMaxDefault + 1} bytes'`
      ],
      [
        "a payload that is nested too deep",
        { kind: "k", payload: nested(jsonDepthMax + 1, "") },
        "payload",
        "payload is 'nested deeper than 100 levels'"
      ],
      ["a number that is too great", { kind: "k", payload: `{"a": [1e309]}` }, "payload", "a number beyond 1.8e308"],
      ["a null due time", { kind: "k", dueAt: "NULL" }, "due_at", "due_at is null"],
      ["an infinite due time", { kind: "k", dueAt: "'infinity'" }, "due_at", "due_at is 'infinity'"],
      ["a due time beyond the horizon", { kind: "k", dueAt: "'3000-01-01Z'" }, "due_at", "due_at is '3000-01-01"],
      ["an empty key", { kind: "k", key: "" }, "key", "key is ''"],
      ["a key that is too long", { kind: "k", key: "k".repeat(keyLengthMax + 1) }, "key", "key is 'kkk"],
      [
        "an expiry without a key",
        { kind: "k", keyExpiresIn: "'1 hour'" },
        "key_expires_in",
        "key_expires_in is '01:00:00'"
      ],
      ["an expiry that is negative", { kind: "k", key: "k", keyExpiresIn: "'-1 s'" }, "key_expires_in", "-00:00:01"],
      ["an expiry over 30 days", { kind: "k", key: "k", keyExpiresIn: "'31 days'" }, "key_expires_in", "31 days"],
      ["an empty ordering key", { kind: "k", orderingKey: "" }, "ordering_key", "ordering_key is ''"],
      ["an unknown priority", { kind: "k", priority: "urgent" }, "priority", "priority is 'urgent'"]
    ]
    for (const [name, given, column, says] of refused) {
      law(`refuses ${name}, names the field and the way out, and stores nothing`, () =>
        Effect.gen(function* () {
          const sql = yield* connect()
          const refusal = yield* refusalOf(scheduleBy(sql, given))
          assert.strictEqual(refusal.column, column)
          assert.include(refusal.message, `duetime.schedule: ${column} is`)
          assert.include(refusal.message, says)
          assert.match(refusal.hint, /^Give .+\.$/)
          assert.strictEqual(refusal.code, name.includes("horizon") ? "22008" : "22023")
          const [kind] = yield* sql`SELECT FROM duetime.kind WHERE name = ${given.kind}`
          assert.isUndefined(kind)
        })
      )
    }

    law("never sees U+0000: the server refuses it in any text", () =>
      Effect.gen(function* () {
        const sql = yield* connect()
        const payload = yield* refusalOf(scheduleBy(sql, { kind: "k", payload: `"\\u0000"` }))
        assert.strictEqual(payload.code, "22P05")
      })
    )

    law("is found at once when its transaction commits long after the due time", () =>
      Effect.gen(function* () {
        const kind = yield* servedKind()
        const sql = yield* connect()
        const wakeUps = yield* (yield* TaskStore).wakeUps
        // Until this process listens.
        while (Option.isNone(yield* Effect.timeoutOption(Queue.take(wakeUps), 50))) {
          yield* sql`SELECT pg_notify('duetime_due', 'test/4102444800000')`
        }
        // A claim leaves a mark two seconds back, behind which nothing looks before the next sweep, five seconds later at least.
        yield* claim([kind])
        const { task_id } = yield* sql.withTransaction(
          Effect.gen(function* () {
            const answer = yield* scheduleBy(sql, { kind })
            yield* sql`SELECT pg_sleep(2.2)`
            yield* claim([kind])
            return answer
          })
        )
        const committedAtMs = yield* storeNowMs
        for (;;) {
          const { tasks } = yield* claim([kind])
          if (tasks.some(({ taskId }) => taskId === task_id)) break
          assert.isBelow((yield* storeNowMs) - committedAtMs, 1_000, "not found within a second of the commit")
        }
        assert.isAbove(committedAtMs - nominalDueAtMsOf(task_id), 2_000)
      })
    )
  })
})
