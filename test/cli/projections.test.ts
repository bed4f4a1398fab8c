import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { TestDatabase } from "../setup/database.ts"
import {
  claim,
  claimed,
  failure,
  finish,
  newEventId,
  newTask,
  running,
  scheduled,
  servedKind,
  start,
  startedOf,
  stateOf,
  storeNowMs,
  succeed,
  tagsOf
} from "../store/contract/world.ts"
import { pgStore } from "../store/postgres/world.ts"
import { runCli, runProcess } from "./runCli.ts"

const environment = Effect.map(TestDatabase, ({ url }) => ({
  DUETIME_DATABASE_URL: url,
  DUETIME_UNSAFE_DURABILITY: "true"
}))

const cli = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  return yield* runCli(args, yield* environment)
})

/** Exit status and document of a command. */
const answer = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { status, stdout } = yield* cli(...args, "--json")
  const document: Record<string, unknown> = { ...JSON.parse(stdout), status }
  return document
})

const invariantsFound = Effect.map(answer("audit"), ({ violationsByInvariant }) =>
  Object.keys(Object(violationsByInvariant))
)

const unordered = <A>(list: ReadonlyArray<A>) => list.toSorted()

/** A task of its own kind at each stage that has a row. */
const staged = {
  due: Effect.gen(function* () {
    return (yield* scheduled(yield* servedKind())).taskId
  }),
  claimed: Effect.gen(function* () {
    return (yield* claimed(yield* servedKind())).taskId
  }),
  running: Effect.gen(function* () {
    return (yield* running(yield* servedKind())).taskId
  }),
  parked: Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const [session] = yield* sql<{ readonly id: number }>`INSERT INTO duetime.session (lease_until, process)
      VALUES (clock_timestamp() + interval '1 hour', 'doomed') RETURNING session_id AS id`
    const sessionId = session?.id ?? 0
    const { taskId } = startedOf(
      yield* start(yield* claimed(yield* servedKind({ onInterrupted: "park" })), { sessionId })
    )
    yield* sql`UPDATE duetime.session SET lease_until = clock_timestamp() WHERE session_id = ${sessionId}`
    assert.deepStrictEqual(yield* (yield* TaskStore).expire(1_000), [{ taskId, from: "running", stage: "parked" }])
    return taskId
  }),
  dead: Effect.gen(function* () {
    const started = yield* running(yield* servedKind())
    yield* finish(started, { ...failure, retryable: false })
    return started.taskId
  }),
  succeeded: Effect.gen(function* () {
    const started = yield* running(yield* servedKind())
    yield* finish(started, succeed)
    return started.taskId
  })
} as const

/** Ways to spoil a row, each with a condition that names the task. */
const damages: ReadonlyArray<readonly [name: string, stage: keyof typeof staged, statement: string]> = [
  ["a missing row in due", "due", "DELETE FROM duetime.due WHERE task_id = $1::uuid"],
  ["a wrong due time", "due", "UPDATE duetime.due SET due_at = due_at + interval '3 hours' WHERE task_id = $1::uuid"],
  [
    "a due time a microsecond off",
    "due",
    "UPDATE duetime.due SET due_at = due_at + interval '1 microsecond' WHERE task_id = $1::uuid"
  ],
  ["a wrong priority", "due", "UPDATE duetime.due SET priority = 0 WHERE task_id = $1::uuid"],
  ["a wrong kind", "due", "UPDATE duetime.due SET kind_id = kind_id - 1 WHERE task_id = $1::uuid"],
  ["a wrong version", "due", "UPDATE duetime.due SET version = 7 WHERE task_id = $1::uuid"],
  ["a death that nobody died", "due", "UPDATE duetime.due SET deaths = 2 WHERE task_id = $1::uuid"],
  ["a death during the attempt", "running", "UPDATE duetime.in_progress SET deaths = 1 WHERE task_id = $1::uuid"],
  ["a forgotten death", "parked", "UPDATE duetime.parked SET deaths = 0 WHERE task_id = $1::uuid"],
  ["a follow-up that nobody asked for", "due", "UPDATE duetime.due SET followed = true WHERE task_id = $1::uuid"],
  [
    "a follow-up that was not asked for during the attempt",
    "running",
    "UPDATE duetime.in_progress SET followed = true WHERE task_id = $1::uuid"
  ],
  ["an attempt too many", "due", "UPDATE duetime.due SET charged = 3 WHERE task_id = $1::uuid"],
  [
    "a second row in due",
    "due",
    `INSERT INTO duetime.due SELECT due_at + interval '1 day', task_id, kind_id, version, attempt, charged, priority
     FROM duetime.due WHERE task_id = $1::uuid`
  ],
  [
    "a row in due of a task that succeeded",
    "succeeded",
    `INSERT INTO duetime.due SELECT due_at, task_id, kind_id, 1, 0, 0, priority FROM duetime.event
     WHERE task_id = $1::uuid AND version = 1`
  ],
  [
    "a row in due of a task that runs",
    "running",
    "INSERT INTO duetime.due SELECT due_at, task_id, kind_id, version, attempt, charged, priority FROM duetime.in_progress WHERE task_id = $1::uuid"
  ],
  ["a missing claim", "claimed", "DELETE FROM duetime.in_progress WHERE task_id = $1::uuid"],
  ["a claim that runs", "claimed", "UPDATE duetime.in_progress SET status = 2 WHERE task_id = $1::uuid"],
  ["a missing attempt", "running", "DELETE FROM duetime.in_progress WHERE task_id = $1::uuid"],
  ["another fence", "running", "UPDATE duetime.in_progress SET fence_id = gen_random_uuid() WHERE task_id = $1::uuid"],
  ["another session", "running", "UPDATE duetime.in_progress SET session_id = 9999 WHERE task_id = $1::uuid"],
  ["no deadline", "running", "UPDATE duetime.in_progress SET deadline_at = NULL WHERE task_id = $1::uuid"],
  [
    "a wish that nobody had",
    "running",
    "UPDATE duetime.in_progress SET cancel_requested = true WHERE task_id = $1::uuid"
  ],
  [
    "a claim of a task that waits",
    "due",
    `INSERT INTO duetime.in_progress (due_at, task_id, fence_id, kind_id, session_id, version, fence_version, attempt, charged, priority, status)
     SELECT due_at, task_id, gen_random_uuid(), kind_id, 1, version, version, attempt, charged, priority, 1 FROM duetime.due
     WHERE task_id = $1::uuid`
  ],
  ["a missing parked row", "parked", "DELETE FROM duetime.parked WHERE task_id = $1::uuid"],
  ["a wrong version of a parked row", "parked", "UPDATE duetime.parked SET version = 1 WHERE task_id = $1::uuid"],
  [
    "a parked row since another time",
    "parked",
    "UPDATE duetime.parked SET parked_at = 'epoch' WHERE task_id = $1::uuid"
  ],
  [
    "a parked row of a dead task",
    "dead",
    `INSERT INTO duetime.parked SELECT due_at, dead_at, task_id, kind_id, version, attempt, charged, priority, false
     FROM duetime.dead_letter WHERE task_id = $1::uuid`
  ],
  ["a missing dead letter", "dead", "DELETE FROM duetime.dead_letter WHERE task_id = $1::uuid"],
  [
    "a dead letter with another reason",
    "dead",
    `UPDATE duetime.dead_letter SET data = '{"reason":"exhausted"}' WHERE task_id = $1::uuid`
  ],
  ["a wrong priority of a dead letter", "dead", "UPDATE duetime.dead_letter SET priority = 0 WHERE task_id = $1::uuid"]
]

/** Rows of tasks that no event tells of. */
const orphans: ReadonlyArray<string> = [
  "INSERT INTO duetime.due VALUES (clock_timestamp(), $1::uuid, 1, 1, 0, 0, 2)",
  "INSERT INTO duetime.in_progress VALUES (clock_timestamp(), NULL, $1::uuid, gen_random_uuid(), 1, 1, 2, 2, 0, 0, 2, 1)",
  "INSERT INTO duetime.parked VALUES (clock_timestamp(), clock_timestamp(), $1::uuid, 1, 4, 1, 1, 2, false)",
  "INSERT INTO duetime.dead_letter VALUES (clock_timestamp(), clock_timestamp(), $1::uuid, 1, 4, 1, 1, 2, NULL)"
]

const strange = "019ab1d6-9c00-7a1b-8c2d-0123456789ab"
/** Of a day that retention has not dropped. */
const lateStrange = "03e8b1d6-9c00-7a1b-8c2d-0123456789ab"

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 120_000 })("damaged projections", (it) => {
  for (const table of ["due", "in_progress", "parked", "dead_letter"]) {
    it.effect(`are found, compared and made anew, in ${table}`, () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const damaged = new Map<string, string>()
        for (const [name, stage, statement] of damages) {
          if (!new RegExp(`^(DELETE FROM|UPDATE|INSERT INTO) duetime.${table} `).test(statement)) continue
          const taskId = yield* staged[stage]
          yield* sql.unsafe(statement, [taskId])
          damaged.set(taskId, name)
        }
        const unfound = (document: unknown) =>
          [...damaged].flatMap(([taskId, name]) => (JSON.stringify(document).includes(taskId) ? [] : [name]))
        const audited = yield* answer("audit")
        assert.deepStrictEqual(Object.keys(Object(audited["violationsByInvariant"])), ["S10"])
        assert.deepStrictEqual(unfound(audited), [])

        const compared = yield* answer("projections", "rebuild")
        assert.include(compared, { status: 1, replacedCount: 0 })
        assert.deepStrictEqual(unfound(compared), [])
        assert.deepStrictEqual(yield* answer("audit"), audited, "comparing changes nothing")

        assert.include(yield* answer("projections", "rebuild", "--replace"), { status: 0 })
        assert.include(yield* answer("projections", "rebuild"), { status: 0, differencesCount: 0 })
        assert.include(yield* answer("audit"), { status: 0, violationsCount: 0 })
      })
    )
  }

  it.effect("get keys back that live tasks have lost, and lose those of tasks that no event tells of", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const lost = yield* scheduled(kind, { key: "lost", payload: { b: 1, a: [null] } })
      const stolen = yield* scheduled(kind, { key: "stolen" })
      const kept = yield* scheduled(kind, { key: "kept" })
      yield* sql`DELETE FROM duetime.key WHERE key = 'lost'`
      yield* sql`UPDATE duetime.key SET task_id = ${lateStrange}::uuid WHERE key = 'stolen'`
      assert.include(yield* answer("audit"), { status: 1, violationsCount: 3 })
      assert.include(yield* answer("projections", "rebuild"), { status: 1, differencesCount: 3 })
      assert.include(yield* answer("projections", "rebuild", "--replace"), { status: 0, replacedCount: 3 })
      assert.include(yield* answer("audit"), { status: 0 })
      const again = yield* Effect.forEach([lost, stolen, kept], (task) =>
        newTask(kind, { key: task.key, payload: task.payload })
      )
      assert.deepStrictEqual(
        yield* store.schedule(again),
        [lost, stolen, kept].map(({ taskId }) => ({ _tag: "Existing", taskId }))
      )
    })
  )

  it.effect("lose the rows of tasks that no event tells of, in every table", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      for (const statement of orphans) yield* sql.unsafe(statement, [strange])
      assert.include(yield* answer("audit"), { status: 1, violationsCount: orphans.length })
      assert.include(yield* answer("projections", "rebuild", "--replace"), { status: 0, replacedCount: orphans.length })
      assert.include(yield* answer("audit"), { status: 0 })
    })
  )
})

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 120_000 })("projections made anew", (it) => {
  it.effect("let every task go on where its events left it, though all rows were lost", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const kind = yield* servedKind()
      const waiting = yield* scheduled(kind)
      const expiresAtMs = (yield* storeNowMs) + 3_600_000
      const held = yield* claimed(yield* servedKind(), { expiresAtMs })
      yield* scheduled(yield* servedKind(), { expiresAtMs })
      const attempt = yield* running(yield* servedKind())
      const parked = yield* staged.parked
      const dead = yield* staged.dead
      const expiring = yield* sql`SELECT * FROM duetime.expiring ORDER BY task_id`
      assert.strictEqual(expiring.length, 2)
      yield* sql`UPDATE duetime.dead_letter SET announced_at = 'epoch'`
      const before = yield* sql`SELECT * FROM duetime.in_progress ORDER BY task_id`
      yield* sql`TRUNCATE duetime.due, duetime.in_progress, duetime.parked, duetime.dead_letter, duetime.expiring`

      assert.include(yield* answer("projections", "rebuild", "--replace"), { status: 0, replacedCount: 6 })
      assert.deepStrictEqual(yield* sql`SELECT * FROM duetime.expiring ORDER BY task_id`, expiring)
      assert.include(yield* answer("audit"), { status: 0 })
      assert.deepStrictEqual(yield* sql`SELECT * FROM duetime.in_progress ORDER BY task_id`, before)
      assert.deepStrictEqual(yield* sql`SELECT announced_at FROM duetime.dead_letter`, [{ announced_at: null }])

      const { act } = yield* TaskStore
      assert.strictEqual((yield* claim([kind])).tasks[0]?.taskId, waiting.taskId)
      startedOf(yield* start(held))
      assert.deepStrictEqual(yield* finish(attempt, succeed), { _tag: "Recorded", stage: "succeeded" })
      yield* act(parked, yield* newEventId, { _tag: "RunNow" })
      yield* act(dead, yield* newEventId, { _tag: "Redrive" })
      assert.deepStrictEqual([(yield* stateOf(parked)).stage, (yield* stateOf(dead)).stage], ["pending", "pending"])
      assert.include(yield* answer("audit"), { status: 0 })
    })
  )

  it.effect("keep what the world was told of a dead letter whose row was only damaged", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const taskId = yield* staged.dead
      yield* sql`UPDATE duetime.dead_letter SET announced_at = 'epoch', charged = 7 WHERE task_id = ${taskId}::uuid`
      yield* answer("projections", "rebuild", "--replace")
      const rows =
        yield* sql`SELECT charged, announced_at = 'epoch' AS told FROM duetime.dead_letter WHERE task_id = ${taskId}::uuid`
      assert.deepStrictEqual(rows, [{ charged: 1, told: true }])
    })
  )

  it.effect("leave a task alone whose history cannot be trusted, and say so", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const taskId = yield* staged.due
      yield* sql`INSERT INTO duetime.event (task_id, version, type, event_id, at)
        VALUES (${taskId}::uuid, 3, 99, gen_random_uuid(), clock_timestamp())`
      yield* sql`UPDATE duetime.due SET charged = 7 WHERE task_id = ${taskId}::uuid`
      assert.deepStrictEqual(unordered(yield* invariantsFound), ["S10", "S2"])
      const rebuilt = yield* cli("projections", "rebuild", "--replace")
      assert.strictEqual(rebuilt.status, 1)
      assert.match(
        rebuilt.stderr,
        /^ProjectionsDiffer: 1 difference between rows and events, 0 replaced\. .*duetime audit/
      )
    })
  )
})

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 120_000 })("the audit of a database", (it) => {
  it.effect("finds an event id and a living key that two tasks share, however far apart", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const kind = yield* servedKind()
      const eventId = yield* newEventId
      yield* scheduled(kind, { eventId })
      yield* scheduled(kind, { eventId, dueInMs: 86_400_000 * 300 })
      yield* scheduled(kind, { key: "order-7" })
      yield* sql`DELETE FROM duetime.key`
      yield* scheduled(kind, { key: "order-7", dueInMs: 86_400_000 })
      assert.deepStrictEqual(unordered(yield* invariantsFound), ["S1", "S15"])
    })
  )

  it.effect("finds an end without what follows it, and what follows no end, and nothing else", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const follower = { kind, priority: "low", inMs: 3_600_000, dueJitter: null, payload: "p" } as const
      const ended = Effect.gen(function* () {
        const task = yield* running(kind, { onSuccess: { ...follower, onDead: follower } })
        yield* finish(task, succeed)
        const born = (yield* store.find({ stage: "pending", kind, limit: 100 })).tasks
        const streams = yield* Effect.forEach(born, ({ taskId }) => store.history(taskId))
        const event = streams
          .flat()
          .find((event) => event._tag === "TaskScheduled" && event.follows?.taskId === task.taskId)
        return { taskId: task.taskId, followerId: event?.taskId ?? "" }
      })
      const violationsOf = Effect.map(answer("audit"), ({ violations }) => {
        const found = Array.isArray(violations) ? violations : []
        return found.flatMap(({ invariant, taskId }) => (invariant === "S20" ? [String(taskId)] : []))
      })
      yield* ended
      assert.deepStrictEqual(yield* violationsOf, [])
      const [bare, forged] = [yield* ended, yield* ended]
      yield* sql`ALTER TABLE duetime.event DISABLE TRIGGER event_is_append_only`
      yield* sql`DELETE FROM duetime.event WHERE task_id = ${bare.followerId}::uuid`
      yield* sql`DELETE FROM duetime.due WHERE task_id = ${bare.followerId}::uuid`
      assert.deepStrictEqual(yield* violationsOf, [bare.taskId])
      const copyId = `${forged.followerId.slice(0, -1)}${forged.followerId.endsWith("0") ? "1" : "0"}`
      yield* sql`INSERT INTO duetime.event (task_id, event_id, version, type, at, kind_id, priority, due_at, data, follow_ups)
        SELECT ${copyId}::uuid, gen_random_uuid(), version, type, at, kind_id, priority, due_at, data, follow_ups
        FROM duetime.event WHERE task_id = ${forged.followerId}::uuid`
      assert.deepStrictEqual(unordered(yield* violationsOf), unordered([bare.taskId, copyId]))
    })
  )

  it.effect("finds a history without a beginning", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`INSERT INTO duetime.event (task_id, version, type, event_id, at, session_id)
        VALUES (${strange}::uuid, 2, 2, gen_random_uuid(), clock_timestamp(), 1)`
      assert.include(yield* invariantsFound, "S2")
    })
  )
})

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 120_000 })("policies in an audit", (it) => {
  it.effect("are held against tasks only on demand, and only those born since the policy last changed", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const kind = yield* servedKind()
      const started = yield* running(kind)
      yield* finish(started, { ...failure, retryInMs: 3_600_000 })
      const auditedWith = Effect.map(
        answer("audit", "--policies"),
        ({ violationsByInvariant }) => violationsByInvariant
      )
      assert.deepStrictEqual(yield* auditedWith, {}, "a handler may choose a delay of its own")

      yield* sql`UPDATE duetime.kind SET policy = jsonb_set(policy, '{retry,attemptsMax}', '1') WHERE name = ${kind}`
      assert.include(yield* answer("audit"), { status: 0 })
      assert.deepStrictEqual(yield* auditedWith, { S11: 1 })
      yield* sql`UPDATE duetime.kind SET updated_at = clock_timestamp() WHERE name = ${kind}`
      assert.deepStrictEqual(yield* auditedWith, {}, "the policy changed during the task's life")
    })
  )
})

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 120_000 })("beside running engines", (it) => {
  it.effect("audit and rebuild see every page as of one instant, and no task is moved twice or lost", () =>
    Effect.gen(function* () {
      const kind = yield* servedKind()
      const moving = Effect.gen(function* () {
        for (let round = 0; round < 40; round++) {
          for (let count = 0; count < 5; count++) yield* scheduled(kind)
          for (const task of (yield* claim([kind])).tasks) yield* finish(startedOf(yield* start(task)), succeed)
        }
      })
      const looking = Effect.gen(function* () {
        assert.include(yield* answer("audit"), { status: 0 })
        assert.include(yield* answer("projections", "rebuild", "--replace"), { status: 0, differencesCount: 0 })
      }).pipe(Effect.forever)
      yield* Effect.raceFirst(moving, looking)
      assert.include(yield* answer("audit"), { status: 0, tasksCount: 200 })
    })
  )

  it.effect("a replace that runs into a move takes turns with it", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const kind = yield* servedKind()
      const tasks = yield* Effect.forEach(Array.from({ length: 20 }), () => scheduled(kind))
      const spoiling = Effect.forEach(
        tasks,
        ({ taskId }) =>
          sql`UPDATE duetime.due SET charged = 5 WHERE task_id = ${taskId}::uuid`.pipe(
            Effect.andThen(answer("projections", "rebuild", "--replace"))
          ),
        { discard: true }
      )
      const moving = Effect.forEach(tasks, ({ taskId }) =>
        Effect.gen(function* () {
          yield* (yield* TaskStore).act(taskId, yield* newEventId, { _tag: "Reprioritise", priority: "high" })
        })
      )
      yield* Effect.all([spoiling, moving], { concurrency: 2 })
      yield* answer("projections", "rebuild", "--replace")
      assert.include(yield* answer("audit"), { status: 0 })
      for (const { taskId } of tasks)
        assert.deepStrictEqual(yield* tagsOf(taskId), ["TaskScheduled", "TaskReprioritised"])
    })
  )

  it.effect("an interrupted audit prints nothing, ends with 130 and leaves no transaction behind", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const waits = sql<{ readonly pid: number }>`SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'duetime' AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'`
      const ended = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`LOCK TABLE duetime.due IN ACCESS EXCLUSIVE MODE`
          return yield* runProcess(["audit"], yield* environment, {
            interruptWhen: Effect.map(waits, (rows) => rows.length > 0).pipe(
              Effect.repeat({ until: (isWaiting) => isWaiting }),
              Effect.orDie
            )
          })
        })
      )
      assert.deepStrictEqual(ended, { status: 130, stdout: "", stderr: "" })
      assert.deepStrictEqual(yield* waits, [])
    })
  )
})
