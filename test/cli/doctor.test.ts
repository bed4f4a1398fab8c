/**
 * The doctor against a server of its own that is set up as it should be: each test plants one fault, sees that it is found and
 * nothing else, runs what the doctor advises to the letter, and sees that it is gone.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { randomUUID } from "node:crypto"
import type { Outcome } from "../../src/core/TaskCommand.ts"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { layerPostgres } from "../../src/layers.ts"
import { attemptNow } from "./attemptNow.ts"
import { RoleProcess, until } from "./roleProcess.ts"
import { type Environment, runCli } from "./runCli.ts"

type Remedy = { readonly run: "sql" | "shell"; readonly command: string }
type Finding = {
  readonly check: string
  readonly severity: string
  readonly sentence: string
  readonly advice: string
  readonly commands: ReadonlyArray<Remedy>
}
type Document = { readonly findings: ReadonlyArray<Finding>; readonly problemsCount: number }

const connectionsMax = 40
const server = Layer.merge(
  EmbeddedPostgres.layer({ settings: { max_connections: connectionsMax + 3, max_prepared_transactions: 2 } }),
  Reactivity.layer
)

/** A database of its own for each test: migrated, served by nobody, without a fault. */
const fresh = (isMigrated = true) =>
  Effect.gen(function* () {
    const { socketDirectory, url: rootUrl } = yield* EmbeddedPostgres
    const root = yield* PgClient.make({ url: Redacted.make(rootUrl), maxConnections: 1 })
    const name = `doctor_${randomUUID().replaceAll("-", "")}`
    yield* Effect.acquireRelease(root.unsafe(`CREATE DATABASE ${name}`).unprepared, () =>
      Effect.orDie(root.unsafe(`DROP DATABASE ${name} WITH (FORCE)`).unprepared)
    )
    const url = `postgresql://postgres@localhost:5432/${name}?host=${encodeURIComponent(socketDirectory)}`
    const env: Environment = { DUETIME_DATABASE_URL: url }
    if (isMigrated) {
      yield* run(env, "migrate")
      yield* run(env, "tasks")
    }
    const client = (application = "a-test", connections = 1) =>
      PgClient.make({ url: Redacted.make(url), maxConnections: connections, applicationName: application })
    return { client, env, name, sql: yield* client() }
  })

const run = Effect.fnUntraced(function* (env: Environment, ...args: ReadonlyArray<string>) {
  const ended = yield* runCli(args, env)
  assert.strictEqual(ended.status, 0, ended.stderr)
  return ended.stdout
})

const examined = Effect.fnUntraced(function* (env: Environment, ...args: ReadonlyArray<string>) {
  const { status, stdout, stderr } = yield* runCli(["doctor", ...args, "--json"], env)
  assert.notStrictEqual(stdout, "", stderr)
  const document: Document = JSON.parse(stdout)
  assert.strictEqual(status, document.problemsCount === 0 ? 0 : 1, stderr)
  return document.findings
})

const checksOf = (findings: ReadonlyArray<Finding>) => [...new Set(findings.map(({ check }) => check))]

/** Each statement as it stands there, each command line through its own words; `duetime` is this one. */
const follow = Effect.fnUntraced(function* (
  { env, sql }: { readonly env: Environment; readonly sql: PgClient.PgClient },
  findings: ReadonlyArray<Finding>
) {
  for (const { command, run: how } of findings.flatMap(({ commands }) => commands)) {
    if (how === "sql") yield* sql.unsafe(command).unprepared
    else {
      const [program, ...args] = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
        ([, quoted, plain]) => quoted ?? plain ?? ""
      )
      assert.strictEqual(program, "duetime")
      yield* run(env, ...args)
    }
  }
})

/** The fault is the only one, it is mended by following the advice, and then nothing is found. */
const mends = Effect.fnUntraced(function* (
  database: { readonly env: Environment; readonly sql: PgClient.PgClient },
  check: string,
  ...args: ReadonlyArray<string>
) {
  const found = yield* examined(database.env, ...args)
  assert.deepStrictEqual(checksOf(found), [check], JSON.stringify(found))
  assert.isAbove(found[0]?.commands.length ?? 0, 0)
  yield* follow(database, found)
  assert.deepStrictEqual(yield* examined(database.env, ...args), [])
  return found
})

const attempt = (sql: PgClient.PgClient, kind: string, outcome: Outcome) =>
  Effect.provide(attemptNow(kind, outcome), Layer.provide(layerPostgres(), Layer.succeed(PgClient.PgClient, sql)))

const refused: Outcome = {
  _tag: "Fail",
  error: { name: "CardError", message: "card refused" },
  retryable: false,
  retryInMs: null
}

layer(server, { excludeTestServices: true, timeout: 60_000 })("duetime doctor", (it) => {
  it.effect("finds nothing wrong with a database in which nothing is, and says what it has looked at", () =>
    Effect.gen(function* () {
      const { env } = yield* fresh()
      const { status, stderr, stdout } = yield* runCli(["doctor"], env)
      assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
      assert.match(stdout, /^not looked at: topics, DUETIME_KAFKA_BROKERS is not set\n/)
      assert.match(stdout, /\n15 checks: 0 problems\n$/)
    })
  )

  it.effect("finds a database without tables", () =>
    Effect.gen(function* () {
      const database = yield* fresh(false)
      const found = yield* examined(database.env)
      assert.deepStrictEqual(checksOf(found), ["migrations"])
      yield* follow(database, found)
      // The first client makes the partitions.
      const next = yield* examined(database.env)
      assert.deepStrictEqual(checksOf(next), ["partitions"])
      yield* follow(database, next)
      assert.deepStrictEqual(yield* examined(database.env), [])
    })
  )

  it.effect("finds partitions that are missing", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const [day] = yield* database.sql<{
        readonly name: string
      }>`SELECT to_char(now() AT TIME ZONE 'UTC' + interval '2 days', '"due_d"YYYYMMDD') AS name`
      yield* database.sql.unsafe(`DROP TABLE duetime.${day?.name}`)
      const [found] = yield* mends(database, "partitions")
      assert.include(found?.sentence ?? "", "duetime.due has no partition for d")
    })
  )

  it.effect("finds who pins a snapshot, in a connection and in a prepared transaction", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const reports = yield* database.client("nightly-report")
      const holding = yield* reports.reserve
      yield* holding.executeUnprepared("BEGIN ISOLATION LEVEL REPEATABLE READ", [], undefined)
      yield* holding.executeUnprepared("SELECT count(*) FROM duetime.due", [], undefined)
      assert.deepStrictEqual(yield* examined(database.env), [], "five minutes are allowed")
      const [found] = yield* mends(database, "snapshot", "--snapshot-age", "0s")
      assert.match(
        found?.sentence ?? "",
        /^nightly-report \(pid \d+, idle in transaction\) has had a transaction open for /
      )

      const holder = yield* database.client("payments")
      const preparing = yield* holder.reserve
      yield* preparing.executeUnprepared("BEGIN", [], undefined)
      yield* preparing.executeUnprepared("CREATE TABLE public.orders (id int)", [], undefined)
      yield* preparing.executeUnprepared("PREPARE TRANSACTION 'order 7'", [], undefined)
      yield* mends(database, "snapshot", "--snapshot-age", "0s")
    })
  )

  it.effect("finds a table full of dead rows, and one that autovacuum leaves alone", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const { sql } = database
      yield* sql`ALTER TABLE duetime.key SET (autovacuum_enabled = false)`
      yield* sql`INSERT INTO duetime.key (task_id, kind_id, key, digest)
        SELECT gen_random_uuid(), 1, 'k' || n, '' FROM generate_series(1, 30000) n`
      yield* sql`DELETE FROM duetime.key`
      yield* sql`SELECT pg_stat_force_next_flush()`
      yield* sql`SELECT 1`
      const found = yield* mends(database, "bloat")
      assert.strictEqual(found.length, 2)
    })
  )

  it.effect("finds that commits are acknowledged before they are on disk", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      yield* database.sql.unsafe(`ALTER DATABASE ${database.name} SET synchronous_commit = off`)
      const allowed = yield* examined({ ...database.env, DUETIME_UNSAFE_DURABILITY: "true" })
      assert.deepStrictEqual(
        allowed.map(({ check, severity }) => [check, severity]),
        [["durability", "warning"]]
      )
      yield* mends(database, "durability")
      yield* database.sql`ALTER SYSTEM SET full_page_writes = off`.unprepared
      yield* database.sql`SELECT pg_reload_conf()`
      yield* until(Effect.map(examined(database.env), (found) => found.length > 0))
      const found = yield* examined(database.env)
      assert.deepStrictEqual(checksOf(found), ["durability"])
      yield* follow(database, found)
      yield* until(Effect.map(examined(database.env), (findings) => findings.length === 0))
    })
  )

  it.effect(
    "finds a process that has been silent and whose session nobody has ended, and a kind that nobody serves",
    () =>
      Effect.gen(function* () {
        const database = yield* fresh()
        const { env, sql } = database
        yield* sql`INSERT INTO duetime.session (lease_until, process) VALUES (clock_timestamp() - interval '2 hours', 'worker-7:42')`
        yield* run(env, "schedule", "greet", "--payload", '{"name":"Ada"}')
        const args = ["--tasks", "test/cli/modules/greet.ts"]
        const found = yield* examined(env, ...args)
        assert.deepStrictEqual(checksOf(found), ["sessions", "unserved"])
        assert.match(found[0]?.sentence ?? "", /^worker-7:42 announced itself and has been silent for 2 h/)
        const commands = new Set(found.flatMap(({ commands }) => commands.map(({ command }) => command)))
        assert.deepStrictEqual([...commands], ["duetime run --tasks test/cli/modules/greet.ts"])
        const [command = ""] = commands
        yield* Effect.acquireRelease(
          Effect.sync(() => new RoleProcess(command.split(" ").slice(1), env)),
          (started) =>
            Effect.promise(() => {
              started.kill("SIGTERM")
              return started.ended
            })
        )
        yield* until(Effect.map(examined(env, ...args), (findings) => findings.length === 0))
      })
  )

  it.effect("finds a paused kind for which tasks are due", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const { env } = database
      yield* run(env, "schedule", "charge-card")
      yield* run(env, "pause", "--kind", "charge-card")
      const found = yield* examined(env)
      assert.deepStrictEqual(
        found.map(({ check, severity }) => [check, severity]),
        [["paused", "warning"]]
      )
      yield* follow(database, found)
      assert.deepStrictEqual(checksOf(yield* examined(env)), ["unserved"])
    })
  )

  it.effect("finds what was changed in the schema by hand", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const { sql } = database
      const faults = [
        `DROP INDEX duetime.parked_asked`,
        `ALTER TABLE duetime.parked DROP COLUMN asked`,
        `ALTER TABLE duetime.key ALTER COLUMN digest DROP NOT NULL`,
        `ALTER TABLE duetime.due ADD COLUMN note text`,
        `CREATE INDEX mine ON duetime.dead_letter (dead_at)`,
        `DROP TRIGGER event_is_append_only ON duetime.event`,
        `CREATE OR REPLACE FUNCTION duetime.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
        `ALTER TABLE duetime.kind DROP CONSTRAINT kind_name_is_short`,
        `DROP VIEW duetime.task`
      ]
      for (const fault of faults) yield* sql.unsafe(fault).unprepared
      const found = yield* mends(database, "schema")
      assert.strictEqual(found.length, faults.length)
      const all = ["changed", "extra", "missing"]
      assert.deepStrictEqual([...new Set(found.map((finding) => Object(finding).evidence.difference))].toSorted(), all)
    })
  )

  it.effect("finds pending payloads that the code of a module cannot read", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const { env } = database
      for (const name of ["Ada", "Bob"])
        yield* run(env, "schedule", "greet", "--in", "1d", "--payload", `{"name":"${name}"}`)
      yield* run(env, "schedule", "of-another-service", "--in", "1d")
      assert.deepStrictEqual(yield* examined(env, "--tasks", "test/cli/modules/greet.ts"), [])
      const [found] = yield* mends(database, "payloads", "--tasks", "test/cli/modules/greetByTitle.ts")
      assert.match(
        found?.sentence ?? "",
        /cannot read the payload of 2 pending tasks of kind greet, such as [0-9a-f-]{36}: .*title/
      )
    })
  )

  it.effect("finds dead letters that pile up", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      const { env, sql } = database
      yield* sql`SELECT count(s::text) FROM (SELECT duetime.schedule('charge-card', to_jsonb(n)) AS s FROM generate_series(1, 150) n) tasks`
      yield* attempt(sql, "charge-card", refused)
      const found = yield* examined(env)
      assert.deepStrictEqual(checksOf(found), ["dead-letters"])
      yield* follow(database, found)
      assert.deepStrictEqual(checksOf(yield* examined(env)), ["unserved"])
    })
  )

  it.effect("finds connections that run out, and whose they are", () =>
    Effect.gen(function* () {
      const database = yield* fresh()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forEach(
            Array.from({ length: connectionsMax * 0.85 }),
            () => Effect.flatMap(database.client("leaky-shop"), (sql) => sql`SELECT 1`),
            { discard: true }
          )
          const [found] = yield* mends(database, "connections")
          assert.match(found?.sentence ?? "", /idle ones of leaky-shop/)
        })
      )
    })
  )

  it.effect("finds processes that may open more connections than there are, though they have not yet", () =>
    Effect.gen(function* () {
      const { client, env } = yield* fresh()
      // As many as have a lease: with 17 connections each, two fit into 40 and three do not.
      const leases = yield* Effect.forEach([1, 2], () => client("duetime-session"))
      yield* Effect.forEach(leases, (sql) => sql`SELECT 1`)
      assert.deepStrictEqual(checksOf(yield* examined(env)), [])
      yield* (yield* client("duetime-session"))`SELECT 1`
      const [found] = yield* examined(env)
      assert.match(
        found?.sentence ?? "",
        /^3 processes of duetime may open 17 connections each, 51 in all, and others hold \d+: more than the 40/
      )
      assert.deepStrictEqual(yield* examined({ ...env, DUETIME_DATABASE_CONNECTIONS: "2" }), [])
    })
  )

  it.effect(
    "finds tables that a newer duetime has added to, and warns; and such as it has taken from, and objects",
    () =>
      Effect.gen(function* () {
        const { env, sql } = yield* fresh()
        yield* sql`INSERT INTO duetime.migration (migration_id, name) VALUES (9998, 'add_to_the_future')`
        const [added] = yield* examined(env)
        assert.deepInclude(added, { check: "migrations", severity: "warning" })
        yield* sql`INSERT INTO duetime.migration (migration_id, name) VALUES (9999, 'contract_the_past')`
        const [taken] = yield* examined(env)
        assert.deepInclude(taken, { check: "migrations", severity: "problem" })
      })
  )

  it.effect("finds a machine whose clock is not the database's", () =>
    Effect.gen(function* () {
      const { env } = yield* fresh()
      const clock = yield* Clock.Clock
      const shiftNs = 90_000_000_000n
      const shifted: Clock.Clock = {
        ...clock,
        sleep: (duration) => clock.sleep(duration),
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + 90_000,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (ms) => ms + 90_000),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + shiftNs,
        currentTimeNanos: Effect.map(clock.currentTimeNanos, (ns) => ns + shiftNs),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe()
      }
      const found = yield* Effect.provideService(examined(env), Clock.Clock, shifted)
      assert.deepStrictEqual(checksOf(found), ["clock"])
      assert.match(found[0]?.sentence ?? "", /^This machine's clock is 1 min 30 s ahead of the database's/)
    })
  )
})
