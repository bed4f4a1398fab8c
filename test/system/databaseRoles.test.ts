/**
 * Goal: each program needs no more of the database than its role gives, and has no more. Method: an engine, a worker, a producer and a
 * reader, each with an account of its role alone, take tasks through all their stages; and every statement on every table is
 * tried with each account, and refused unless the table below says otherwise.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { randomUUID } from "node:crypto"
import { Broker } from "../../src/broker/Broker.ts"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { Engine, Task, Worker } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { make as makePartitions } from "../../src/store/postgres/Partitions.ts"
import { Session } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { type Environment, runCli } from "../cli/runCli.ts"
import { until } from "../cli/roleProcess.ts"
import { blocksOf } from "../docs/pageCode.ts"
import { database, onEachServer, type ServerKind, TestDatabase } from "../setup/database.ts"

const denied = "42501"

/** What each may do with each table: `r` read, `a` append, `w` change, `d` delete. */
const allowed: Readonly<Record<string, readonly [engine: string, worker: string, producer: string, reader: string]>> = {
  event: ["ra", "ra", "ra", "r"],
  due: ["rawd", "rad", "ra", "r"],
  in_progress: ["rawd", "rwd", "r", "r"],
  parked: ["rawd", "rawd", "r", "r"],
  dead_letter: ["rawd", "rawd", "r", "r"],
  expiring: ["rawd", "ra", "ra", "r"],
  key: ["rawd", "raw", "raw", "r"],
  edited: ["rawd", "raw", "r", "r"],
  kind: ["raw", "raw", "ra", "r"],
  session: ["rawd", "raw", "r", "r"],
  pace: ["raw", "r", "", "r"],
  paused_queue: ["rad", "r", "r", "r"],
  recurrence: ["rawd", "rawd", "r", "r"],
  recurrence_revision: ["rad", "rad", "r", "r"],
  occurrence: ["raw", "raw", "r", "r"],
  migration: ["r", "r", "r", "r"],
  task: ["r", "r", "r", "r"]
}
const roles = ["engine", "worker", "producer", "reader"] as const
type Role = (typeof roles)[number] | "owner"

/** A login of each role, in a database whose tables are the owner's. */
class Accounts extends Context.Service<Accounts, Readonly<Record<Role, string>>>()("test/Accounts") {}

const accounts = Layer.effect(
  Accounts,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    yield* cli("migrate")
    yield* cli("roles")
    const suffix = randomUUID().replaceAll("-", "").slice(0, 12)
    const made: Record<Role, string> = { owner: "", engine: "", worker: "", producer: "", reader: "" }
    // As the guide makes them; accounts belong to the whole server, so each test has its own.
    const statements = blocksOf("docs/guide/deploying.md", "sql")[0]?.split(";\n") ?? []
    for (const role of ["owner", ...roles] as const) {
      const statement = statements.find((text) => text.includes(`IN ROLE duetime_${role}`)) ?? ""
      const [, name = ""] = /CREATE ROLE (\w+)/.exec(statement) ?? []
      made[role] = `${name}_${suffix}`
      yield* sql.unsafe(statement.replace(name, made[role]).replace(/;\s*$/, ""))
      yield* Effect.addFinalizer(() => Effect.orDie(sql.unsafe(`DROP ROLE ${made[role]}`)))
    }
    return made
  })
)

const world = (server: ServerKind) => accounts.pipe(Layer.provideMerge(database({ server })))

const environment = Effect.map(TestDatabase, ({ url }): Environment => ({
  DUETIME_DATABASE_URL: url,
  DUETIME_UNSAFE_DURABILITY: "true"
}))

/** As the superuser. */
const cli = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { status, stderr, stdout } = yield* runCli(args, yield* environment)
  assert.strictEqual(status, 0, `${args.join(" ")}: ${stderr}`)
  return stdout
})

const cliAs = Effect.fnUntraced(function* (role: Role, ...args: ReadonlyArray<string>) {
  const env = yield* environment
  const url = env["DUETIME_DATABASE_URL"]?.replace("postgres@", `${(yield* Accounts)[role]}@`) ?? ""
  return yield* runCli(args, { ...env, DUETIME_DATABASE_URL: url })
})

/** Of a command that must succeed. */
const textAs = Effect.fnUntraced(function* (role: Role, ...args: ReadonlyArray<string>) {
  const { status, stderr, stdout } = yield* cliAs(role, ...args)
  assert.strictEqual(status, 0, `${role}: ${args.join(" ")}: ${stderr}`)
  return stdout
})

const clientOf = (role: Role) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { database: name, port, socketDirectory } = yield* TestDatabase
      const username = (yield* Accounts)[role]
      return PgClient.layer({ host: socketDirectory, port, username, database: name, maxConnections: 3 })
    })
  )

/** For the rest of the scope. */
const connectAs = (role: Role) =>
  Effect.map(Layer.build(Layer.fresh(clientOf(role))), (context) => Context.get(context, PgClient.PgClient))

const codeOf = (effect: Effect.Effect<unknown, SqlError>) =>
  Effect.match(effect, {
    onSuccess: () => "done",
    onFailure: ({ reason }) => {
      const cause: unknown = reason.cause
      return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "unknown"
    }
  })

/** What the account can really do with a table, tried on no row; what gets as far as a constraint was allowed. */
const lettersOf = Effect.fnUntraced(function* (sql: PgClient.PgClient, table: string) {
  const [column] = yield* sql<{ readonly name: string }>`SELECT attname::text AS name FROM pg_attribute
    WHERE attrelid = ${`duetime.${table}`}::text::regclass AND attnum > 0 AND attidentity = '' ORDER BY attnum LIMIT 1`
  const statements = [
    ["r", `SELECT FROM duetime.${table} LIMIT 0`],
    ["a", `INSERT INTO duetime.${table} DEFAULT VALUES`],
    ["w", `UPDATE duetime.${table} SET ${column?.name} = DEFAULT WHERE false`],
    ["d", `DELETE FROM duetime.${table} WHERE false`],
    ["truncate", `TRUNCATE duetime.${table}`],
    ["lock", `LOCK TABLE duetime.${table} IN ACCESS EXCLUSIVE MODE NOWAIT`],
    ["alter", `ALTER TABLE duetime.${table} ADD COLUMN mine int4`]
  ] as const
  let letters = ""
  for (const [letter, statement] of statements) {
    const code = yield* codeOf(
      sql.withTransaction(Effect.andThen(sql.unsafe(statement), Effect.fail("undo" as const))).pipe(
        Effect.catchIf(
          (error): error is "undo" => error === "undo",
          () => Effect.void
        )
      )
    )
    // LOCK wants a right to change rows, any of them.
    if (code !== denied && letter !== "lock") letters += letter
  }
  return letters
})

const Greet = Task.define("greet", { payload: { name: Schema.String }, queue: "greetings" })
const Capped = Task.define("capped", { payload: {}, queue: "greetings", caps: { concurrency: 1, perSecond: 1_000 } })
const Unsteady = Task.define("unsteady", {
  payload: {},
  queue: "greetings",
  retry: { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
})
const Hopeless = Task.define("hopeless", {
  payload: {},
  queue: "greetings",
  retry: { attemptsMax: 1, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
})

const Both = Task.define("both", { payload: {}, queue: "both" })

/** An engine and a worker that share nothing but the database and a broker between processes. */
const fleet = Effect.gen(function* () {
  const broker = Context.get(yield* Layer.build(MemoryBroker.layer), Broker)
  const between = Layer.succeed(Broker, { ...broker, reach: "fleet", offerDue: () => false })
  const groundOf = (role: Role) =>
    Layer.fresh(layerPostgres({ unsafeDurability: true, broker: between }).pipe(Layer.provideMerge(clientOf(role))))
  let unsteadyCount = 0
  const handlers = Layer.mergeAll(
    Greet.handle(() => Effect.void),
    Capped.handle(() => Effect.void),
    Unsteady.handle(() => (unsteadyCount++ === 0 ? Effect.fail(new Error("not yet")) : Effect.void)),
    Hopeless.handle(() => Effect.fail(new Error("never"))),
    Greet.recur("greet-hourly", { every: "1 hour", payload: { name: "Ada" } })
  )
  const worker = yield* Layer.build(
    handlers.pipe(Layer.provideMerge(Worker.layer({ concurrency: 5 })), Layer.provideMerge(groundOf("worker")))
  )
  const engine = yield* Layer.build(Engine.layer.pipe(Layer.provideMerge(groundOf("engine"))))
  return { worker, engine }
})

const idOf = (text: string): string => (JSON.parse(text) as { readonly id: string }).id

const stageAs = Effect.fnUntraced(function* (role: Role, id: string) {
  return (JSON.parse(yield* textAs(role, "task", id, "--json")) as { readonly task: { readonly stage: string } }).task
    .stage
})
/** Waits where waiting is cheap, and then looks as a reader does. */
const reaches = Effect.fnUntraced(function* (id: string, stage: string) {
  const sql = yield* PgClient.PgClient
  yield* until(
    Effect.map(
      sql`SELECT FROM duetime.task WHERE task_id = ${id}::uuid AND status <> 'DEAD'`,
      (rows) => rows.length === 0
    )
  )
  assert.strictEqual(yield* stageAs("reader", id), stage)
})

onEachServer("Programs with an account of their role", (server) => {
  layer(world(server), { excludeTestServices: true, timeout: 60_000 })("alone", (it) => {
    it.effect(
      "take tasks from their schedule to their end, and those who look see it",
      () =>
        Effect.gen(function* () {
          const { engine, worker } = yield* fleet
          const greeted = idOf(yield* textAs("producer", "schedule", "greet", "--payload", '{"name":"Ada"}', "--json"))
          const keyed = [
            "schedule",
            "greet",
            "--payload",
            '{"name":"Eve"}',
            "--key",
            "k",
            "--expires-in",
            "1h",
            "--json"
          ]
          const again = idOf(yield* textAs("producer", ...keyed))
          assert.strictEqual(idOf(yield* textAs("producer", ...keyed)), again)
          const producer = yield* connectAs("producer")
          const [bySql] = yield* producer<{ readonly id: string }>`
          SELECT task_id AS id FROM duetime.schedule('unsteady', '{}', key => 'sql', expires_in => interval '1 hour')`
          const capped = idOf(yield* textAs("producer", "schedule", "capped", "--payload", "{}", "--json"))
          const hopeless = idOf(yield* textAs("producer", "schedule", "hopeless", "--payload", "{}", "--json"))
          for (const id of [greeted, again, bySql?.id ?? "", capped]) yield* reaches(id, "succeeded")
          yield* reaches(hopeless, "dead")

          // What an application with handlers does beside them, and what operators do with the engine's role.
          const later = idOf(
            yield* textAs("worker", "schedule", "greet", "--in", "1h", "--payload", '{"name":"Bo"}', "--json")
          )
          yield* textAs("worker", "reschedule", later, "--in", "2h")
          yield* textAs("worker", "cancel", later)
          yield* textAs("engine", "pause", "--kind", "greet")
          yield* textAs("engine", "resume", "--kind", "greet")
          yield* textAs("engine", "pause", "--queue", "greetings")
          yield* textAs("engine", "resume", "--queue", "greetings")
          yield* textAs("engine", "recur", "run-now", "greet-hourly")
          yield* textAs("engine", "dead", "groups")
          yield* textAs("engine", "dead", "redrive", hopeless)
          yield* reaches(hopeless, "dead")
          yield* Effect.provideContext(
            Effect.flatMap(TaskStore, (store) => store.maintain),
            engine
          )
          const steps = yield* Effect.provideContext(
            Effect.gen(function* () {
              const store = yield* TaskStore
              yield* store.expire(10)
              yield* store.expireTasks(10)
              return yield* store.relayDead(10, () => Effect.void)
            }),
            engine
          )
          assert.isDefined(steps)
          assert.isTrue(Context.get(worker, Session).isAlive())

          for (const look of [
            ["tasks"],
            ["backlog"],
            ["kinds"],
            ["dead", "list"],
            ["recur", "list"],
            ["drift"],
            ["audit"]
          ]) {
            yield* textAs("reader", ...look)
          }
        }).pipe(Effect.scoped),
      90_000
    )

    for (const [index, role] of roles.entries()) {
      it.effect(`of the ${role} may do with each table what its role needs, and nothing else`, () =>
        Effect.gen(function* () {
          const sql = yield* PgClient.PgClient
          const theirs = yield* connectAs(role)
          const tables = yield* sql<{ readonly name: string; readonly base: string }>`
            SELECT c.relname::text AS name, coalesce((SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
              WHERE i.inhrelid = c.oid), c.relname)::text AS base
            FROM pg_class c WHERE c.relnamespace = 'duetime'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relname !~ '_d\\d+$'`
          assert.sameMembers([...new Set(tables.map(({ base }) => base))], Object.keys(allowed))
          for (const { base, name } of tables) {
            const may = allowed[base]?.[index] ?? "nothing"
            // A view takes no other statement than a SELECT, and says so only to those who may try.
            assert.strictEqual(base === "task" ? "r" : yield* lettersOf(theirs, name), may, `${role} on ${name}`)
          }
          for (const statement of [
            "CREATE TABLE duetime.mine (n int4)",
            "DROP FUNCTION duetime.refuse_change()",
            "SELECT duetime.slot_of_key('a')",
            "CREATE TRIGGER mine BEFORE INSERT ON duetime.due FOR EACH ROW EXECUTE FUNCTION duetime.refuse_change()",
            "ALTER TABLE duetime.event DISABLE TRIGGER event_is_append_only",
            "SET ROLE duetime_owner",
            ...(role === "reader" ? ["SELECT duetime.schedule('greet', '{}')"] : [])
          ]) {
            assert.strictEqual(yield* codeOf(theirs.unsafe(statement)), denied, `${role}: ${statement}`)
          }
        }).pipe(Effect.scoped)
      )
    }

    it.effect("of engine and worker together run what is due in one process, in which a claim starts it", () =>
      Effect.gen(function* () {
        const { engine } = yield* Accounts
        const sql = yield* PgClient.PgClient
        yield* sql.unsafe(`GRANT duetime_worker TO ${engine}`)
        const ground = Layer.fresh(layerPostgres({ unsafeDurability: true })).pipe(
          Layer.provideMerge(clientOf("engine"))
        )
        const both = Layer.mergeAll(
          Both.handle(() => Effect.void),
          Engine.layer
        ).pipe(Layer.provideMerge(Worker.layer({ concurrency: 5 })), Layer.provideMerge(ground))
        yield* Layer.build(both)
        const id = idOf(yield* textAs("producer", "schedule", "both", "--payload", "{}", "--json"))
        yield* reaches(id, "succeeded")
        yield* sql.unsafe(`REVOKE duetime_worker FROM ${engine}`)
      }).pipe(Effect.scoped)
    )

    it.effect("that own the tables cannot change history either", () =>
      Effect.gen(function* () {
        const owner = yield* connectAs("owner")
        const { taskId } = yield* Effect.map(
          owner<{ readonly taskId: string }>`SELECT task_id AS "taskId" FROM duetime.schedule('greet', '{}')`,
          ([row]) => row ?? { taskId: "" }
        )
        for (const statement of [`UPDATE duetime.event SET version = 9`, `DELETE FROM duetime.event`])
          assert.strictEqual(yield* codeOf(owner.unsafe(`${statement} WHERE task_id = '${taskId}'`)), "P0001")
      }).pipe(Effect.scoped)
    )

    it.effect("leave partitions to the owner, whose later ones have the grants of the earlier", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const engine = yield* connectAs("engine")
        const [now] = yield* sql<{ readonly ms: number }>`SELECT date_part('epoch', clock_timestamp()) * 1000 AS ms`
        const laterMs = (now?.ms ?? 0) + 3 * 86_400_000
        assert.deepStrictEqual(yield* makePartitions(engine, 14).maintainAt(laterMs), {
          made: [],
          dropped: [],
          leftTo: "duetime_owner"
        })
        // By the superuser, who may act for anybody.
        const { made } = yield* makePartitions(sql, 14).maintainAt(laterMs)
        assert.isAbove(made.length, 0)
        const strange =
          yield* sql`SELECT c.relname FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
          WHERE c.relkind = 'r' AND c.relnamespace = 'duetime'::regnamespace AND (c.relowner <> p.relowner OR NOT c.relacl @> p.relacl)`
        assert.deepStrictEqual(strange, [])
        // And those that have stepped into its role: an account that is given both.
        const { engine: name } = yield* Accounts
        yield* sql.unsafe(`GRANT duetime_owner TO ${name}`)
        const own = yield* makePartitions(engine, 14).maintainAt(laterMs + 86_400_000)
        assert.isNull(own.leftTo)
        assert.isAbove(own.made.length, 0)
        yield* sql.unsafe(`REVOKE duetime_owner FROM ${name}`)
      }).pipe(Effect.scoped)
    )

    it.effect(
      "get back what was taken from their role, and lose what it was given besides, when roles are applied again",
      () =>
        Effect.gen(function* () {
          const sql = yield* PgClient.PgClient
          yield* sql.unsafe("GRANT DELETE ON duetime.event TO duetime_worker")
          yield* sql.unsafe("REVOKE SELECT ON duetime.due FROM duetime_reader")
          yield* cli("roles")
          const reader = yield* connectAs("reader")
          const worker = yield* connectAs("worker")
          assert.strictEqual(yield* lettersOf(reader, "due"), "r")
          assert.strictEqual(yield* lettersOf(worker, "event"), "ra")
        }).pipe(Effect.scoped)
    )

    it.effect("need no migration where none is pending, and cannot make one", () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* textAs("worker", "migrate")
        yield* sql`DELETE FROM duetime.migration WHERE migration_id = (SELECT max(migration_id) FROM duetime.migration)`
        const refused = yield* cliAs("worker", "migrate")
        assert.match(refused.stderr, /^SchemaOutdated: /)
        assert.strictEqual(refused.status, 3)
      }).pipe(Effect.scoped)
    )
  })
})
