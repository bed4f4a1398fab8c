import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Outcome } from "../../src/core/TaskCommand.ts"
import { layerPostgres } from "../../src/layers.ts"
import * as Migrations from "../../src/store/postgres/Migrations.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { attemptNow } from "./attemptNow.ts"
import { type Ended, normalised, runCli, runProcess } from "./runCli.ts"

/** Test servers keep nothing through a crash, and say so. */
const environment = Effect.map(TestDatabase, ({ url }) => ({
  DUETIME_DATABASE_URL: url,
  DUETIME_UNSAFE_DURABILITY: "true"
}))

const cli = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  return yield* runCli(args, yield* environment)
})

/** What a command prints for programs; it must have succeeded in silence. */
const documentOf = (ended: Ended): unknown => {
  assert.deepStrictEqual({ status: ended.status, stderr: ended.stderr }, { status: 0, stderr: "" })
  return JSON.parse(ended.stdout)
}

const json = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  return documentOf(yield* cli(...args, "--json"))
})

const attempt = (kind: string, outcome: Outcome) =>
  Effect.provide(attemptNow(kind, outcome), layerPostgres({ unsafeDurability: true }))

const migrated = Layer.effectDiscard(
  Effect.flatMap(PgClient.PgClient, (sql) => Effect.provideService(Migrations.migrate, SqlClient, sql))
).pipe(Layer.provideMerge(database()))

const refused: Outcome = {
  _tag: "Fail",
  error: { name: "CardError", message: "card\nrefused \u001B[31m" },
  retryable: false,
  retryInMs: null
}

layer(database(), { excludeTestServices: true })("duetime with a database that is empty", (it) => {
  it.effect("finds it without tables, makes them, and refuses tables that are newer than itself", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const missing = yield* cli("tasks")
      assert.match(missing.stderr, /^SchemaOutdated: .*duetime migrate/)
      assert.strictEqual(missing.status, 3)

      const planned = yield* json("migrate", "--dry-run")
      assert.nestedPropertyVal(planned, "migrations[0]", "0001_create_kind_and_session")
      assert.deepStrictEqual(yield* json("migrate"), { ...Object(planned), dryRun: false })
      assert.deepStrictEqual(yield* json("migrate"), { dryRun: false, migrations: [] })

      yield* sql`INSERT INTO duetime.migration (migration_id, name) VALUES (9999, 'contract_the_past')`
      for (const args of [["tasks"], ["migrate"]]) {
        const newer = yield* cli(...args)
        assert.match(newer.stderr, /^SchemaNewer: the database is at migration 9999/)
        assert.strictEqual(newer.status, 6)
      }
      yield* sql`DELETE FROM duetime.migration WHERE migration_id = 9999`
    })
  )
})

layer(migrated, { excludeTestServices: true })("duetime with a database", (it) => {
  it.effect("schedules once per key, and says why it does not", () =>
    Effect.gen(function* () {
      const schedule = (...args: ReadonlyArray<string>) => cli("schedule", "send-reminder", "--in", "3h", ...args)
      const first = yield* schedule("--key", "order-7", "--payload", `{"email":"ada@example.com"}`)
      assert.match(first.stdout, /^[0-9a-f-]{36}\n$/)
      assert.match(normalised(first.stderr), /^Scheduled send-reminder for <instant>\.\n/)

      const again = yield* schedule("--key", "order-7", "--payload", `{"email":"ada@example.com"}`)
      assert.deepStrictEqual({ status: again.status, stdout: again.stdout }, { status: 0, stdout: first.stdout })
      const other = yield* schedule("--key", "order-7", "--payload", `{"email":"bob@example.com"}`)
      assert.match(other.stderr, /^KeyConflict: the key "order-7"/)
      assert.deepStrictEqual({ status: other.status, stdout: other.stdout }, { status: 4, stdout: "" })

      const odd = yield* cli("schedule", "Send Reminder")
      assert.match(odd.stderr, /^OptionsRejected: kind is 'Send Reminder'/)
      assert.strictEqual(odd.status, 2)
    })
  )

  it.effect(
    "warns on stderr of a kind that no worker has ever served, and asks whether one with a similar name was meant",
    () =>
      Effect.gen(function* () {
        const schedule = (kind: string, ...more: ReadonlyArray<string>) => cli("schedule", kind, "--in", "3h", ...more)
        yield* attempt("flaky-mail", { _tag: "Succeed", result: null })
        const served = yield* schedule("flaky-mail")
        assert.strictEqual(normalised(served.stderr), "Scheduled flaky-mail for <instant>.\n")

        const mistyped = yield* schedule("flakey-mali")
        assert.strictEqual(mistyped.status, 0)
        assert.match(mistyped.stdout, /^[0-9a-f-]{36}\n$/)
        assert.strictEqual(
          normalised(mistyped.stderr),
          [
            "Scheduled flakey-mali for <instant>.",
            'No worker has ever served the kind "flakey-mali": the task waits until one does.',
            'Did you mean flaky-mail? This one is taken back with "duetime cancel <id>".',
            ""
          ].join("\n")
        )
        assert.notInclude((yield* schedule("flown-nail")).stderr, "Did you mean")
        const { stderr, stdout } = yield* schedule("flakey-mali", "--json")
        assert.strictEqual(stderr, "")
        assert.hasAllKeys(JSON.parse(stdout), ["id", "created", "kind", "priority", "dueAt"])
      })
  )

  it.effect("schedules a task into the trace that it is given or that its environment has", () =>
    Effect.gen(function* () {
      const contextOf = Effect.fnUntraced(function* (scheduled: Ended) {
        const { stdout } = yield* cli("task", scheduled.stdout.trim(), "--json")
        return JSON.parse(stdout).events[0].traceparent
      })
      const [given, its] = ["a", "b"].map((digit) => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`)
      const args = ["schedule", "trace", "--in", "1h"]
      const env = { ...(yield* environment), TRACEPARENT: its ?? "" }
      assert.strictEqual(yield* contextOf(yield* cli(...args, "--traceparent", given ?? "")), given)
      assert.strictEqual(yield* contextOf(yield* runCli(args, env)), its)
      assert.strictEqual(yield* contextOf(yield* runCli([...args, "--traceparent", given ?? ""], env)), given)
      assert.isUndefined(yield* contextOf(yield* cli(...args)))
      const odd = yield* cli(...args, "--traceparent", "00-1-2-01")
      assert.match(odd.stderr, /^OptionsRejected: traceparent is '00-1-2-01'/)
      assert.strictEqual(odd.status, 2)
    })
  )

  it.effect("moves a task at its owner's wish, and answers with where it stands", () =>
    Effect.gen(function* () {
      const id = (yield* cli("schedule", "send-report", "--in", "1d")).stdout.trim()
      const moved = yield* cli("reschedule", id, "--at", "2031-05-01T09:00:00+02:00")
      assert.strictEqual(moved.stdout, `${id}  pending  due 2031-05-01 07:00:00.000 UTC\n`)
      assert.propertyVal(yield* json("reprioritise", id, "--priority", "critical"), "priority", "critical")
      assert.propertyVal(yield* json("run-now", id), "stage", "pending")
      assert.propertyVal(yield* json("cancel", id, "--reason", "no longer wanted"), "status", "CANCELLED")

      const late = yield* cli("run-now", id)
      assert.match(late.stderr, /^InvalidTransition: .* it is cancelled\./)
      assert.strictEqual(late.status, 4)
      assert.strictEqual(
        normalised((yield* cli("task", id)).stdout),
        [
          "<id>  send-report  critical  CANCELLED",
          "  payload  {}",
          "  due  <instant>",
          "",
          "  scheduled  -<span>",
          "  rescheduled  -<span>  due in <span>",
          "  reprioritised  -<span>  critical",
          "  rescheduled  -<span>  due now",
          "  cancelled  -<span>  no longer wanted",
          "",
          "  5 events, version 5",
          ""
        ].join("\n")
      )
    })
  )

  it.effect("schedules what is worthless when late, and waits for an end", () =>
    Effect.gen(function* () {
      const schedule = (...args: ReadonlyArray<string>) => cli("schedule", "send-code", "--in", "1h", ...args)
      const id = (yield* schedule("--expires-in", "2m")).stdout.trim()
      assert.match(normalised((yield* cli("task", id)).stdout), /\n  expires  <instant>\n/)
      const past = yield* schedule("--expires-at", "2020-01-01T00:00:00Z")
      assert.match(past.stderr, /^OptionsRejected: expiresAt is '2020-01-01T00:00:00Z'/)
      assert.strictEqual(past.status, 2)

      const waiting = yield* cli("wait", id, "--timeout", "100ms")
      assert.deepStrictEqual(
        { status: waiting.status, stdout: waiting.stdout },
        { status: 1, stdout: "still waiting\n" }
      )
      assert.match(waiting.stderr, /^NotSucceeded: task .* is still waiting/)
      yield* cli("cancel", id, "--reason", "typed wrong")
      const ended = yield* runProcess(["wait", id, "--json"], yield* environment)
      assert.deepStrictEqual(JSON.parse(ended.stdout), { id, end: { _tag: "Cancelled", reason: "typed wrong" } })
      assert.strictEqual(ended.status, 1)
    })
  )

  it.effect("does not know a strange id, and does not take for an id what is none", () =>
    Effect.gen(function* () {
      const unknown = yield* cli("task", "019ab1d6-9c00-7a1b-8c2d-0123456789ab")
      assert.match(unknown.stderr, /^TaskNotFound: no task has the id 019ab1d6/)
      assert.deepStrictEqual({ status: unknown.status, stdout: unknown.stdout }, { status: 4, stdout: "" })
      const malformed = yield* cli("cancel", "order-7")
      assert.match(malformed.stderr, /^OptionsRejected: id is 'order-7'/)
      assert.strictEqual(malformed.status, 2)
    })
  )

  it.effect("lists page by page, and each page says how to get the next", () =>
    Effect.gen(function* () {
      for (const number of [1, 2, 3]) yield* cli("schedule", "count", "--in", `${number}h`, "--payload", String(number))
      const first = yield* cli("tasks", "--kind", "count", "--limit", "2")
      assert.strictEqual(first.stdout.split("\n").length, 4)
      const [, next = ""] = /^More: duetime (.*)\n$/.exec(first.stderr) ?? []
      const second = yield* cli(...next.split(" "), "--limit", "2")
      assert.strictEqual(second.stderr, "")
      assert.match(second.stdout, /\bpending\b.*\bcount\b.*\bin (3 h|2 h 59 min)\n$/)
      const lines = yield* cli("tasks", "--kind", "count", "--limit", "2", "--jsonl")
      const rows = lines.stdout.trimEnd().split("\n")
      assert.deepStrictEqual(
        rows.map((row) => Object(JSON.parse(row)).kind),
        ["count", "count"]
      )
      assert.strictEqual(lines.stderr, first.stderr, "and the next page")
      const none = yield* cli("tasks", "--kind", "never-seen")
      const others = "Other stages: --stage claimed, running, parked, dead, succeeded, cancelled, expired.\n"
      const stderr = `No pending tasks of kind never-seen.\n${others}`
      assert.deepStrictEqual(none, { status: 0, stdout: "", stderr })
      const dead = yield* cli("tasks", "--kind", "never-seen", "--stage", "dead")
      assert.strictEqual(dead.stderr, "No dead tasks of kind never-seen.\n")
    })
  )

  it.effect("shows dead letters and gives them another chance, in bulk only when told twice", () =>
    Effect.gen(function* () {
      for (const amount of ["1", "2", "3"]) yield* cli("schedule", "charge-card", "--payload", amount)
      yield* attempt("charge-card", refused)
      const list = yield* cli("dead", "list")
      assert.match(
        normalised(list.stdout),
        /<id>  charge-card  <instant>  1  not-retryable  CardError: card refused \\u001b\[31m\n/
      )
      const [id = ""] = /^[0-9a-f-]{36}/m.exec(list.stdout) ?? []
      assert.match(
        normalised((yield* cli("task", id)).stdout),
        /DEAD after 1 attempt, not-retryable\n[^]*\n  started  \+<span>  #1  session <n>; drift <span> = claim <span> \+ pull <span>(\n  late: .*)?\n  dead  \+<span>  #1  took <span>; not-retryable; CardError: card refused/
      )

      const groups = yield* cli("dead", "groups")
      assert.match(
        normalised(groups.stdout),
        /^GROUP[^\n]*\n[0-9a-f]{12}  3  charge-card  <instant>  <instant>  <id>  CardError: card refused \\u001b\[<n>m\n$/
      )
      const [group = ""] = /^[0-9a-f]{12}/m.exec(groups.stdout) ?? []
      assert.strictEqual((yield* cli("dead", "list", "--group", group)).stdout, list.stdout)
      assert.include((yield* cli("dead", "show", id)).stdout, `group      ${group}\n`)
      const unknown = yield* cli("dead", "list", "--group", "no-group")
      assert.match(unknown.stderr, /^OptionsRejected: group is 'no-group'/)
      const ramp = ["dead", "redrive", "--group", group, "--ramp"]
      assert.deepStrictEqual(yield* json(...ramp, "--dry-run"), {
        dryRun: true,
        dead: 3,
        groups: [{ group, count: 3 }]
      })

      const one = yield* cli("dead", "redrive", id, "019ab1d6-9c00-7a1b-8c2d-0123456789ab")
      assert.match(one.stdout, new RegExp(`^${id}  pending  due `))
      assert.match(one.stderr, /^TaskNotFound/)
      assert.strictEqual(one.status, 4)

      const unsure = yield* cli("dead", "redrive", "--all")
      assert.strictEqual(unsure.status, 2)
      assert.match(unsure.stderr, /^This would redrive 2 dead letters: add --yes/)
      const all = ["dead", "redrive", "--all", "--kind", "charge-card"]
      const none = { dead: 2, redriven: 0, skipped: 0 }
      assert.deepStrictEqual(yield* json(...all, "--dry-run"), { ...none, dryRun: true })
      assert.deepStrictEqual(yield* json(...all, "--yes"), { ...none, dryRun: false, redriven: 2 })
      assert.strictEqual((yield* cli("dead", "list")).stderr, "No dead letters.\n")

      yield* attempt("charge-card", refused)
      const mended = yield* cli("dead", "redrive", id, "--payload", "7")
      assert.match(mended.stdout, new RegExp(`^${id}  pending  due `))
      assert.match((yield* cli("task", id)).stdout, /payload +7\n/)
      const discard = ["dead", "discard", "--group", group, "--reason", "paid by hand"]
      const all2 = { dead: 2, discarded: 0, skipped: 0 }
      assert.deepStrictEqual(yield* json(...discard, "--dry-run"), { ...all2, dryRun: true })
      assert.deepStrictEqual(yield* json(...discard, "--yes"), { ...all2, dryRun: false, discarded: 2 })
      assert.strictEqual((yield* cli("dead", "groups")).stderr, "No dead letters.\n")
      assert.match(
        (yield* cli("dead", "discard", id, "--reason", "no")).stderr,
        /^InvalidTransition: cannot discard task/
      )
    })
  )

  it.effect("looks at a payload with the schema of a module, whose layers reach nobody", () =>
    Effect.gen(function* () {
      const scheduled = yield* cli("schedule", "greet-daily", "--payload", '{"name": 1}', "--json")
      const { id } = JSON.parse(scheduled.stdout)
      yield* attempt("greet-daily", refused)
      const redrive = ["dead", "redrive", id, "--tasks", "test/cli/modules/greetDaily.ts", "--payload"]
      const unfit = yield* cli(...redrive, '{"name": 2}')
      assert.match(unfit.stderr, /^PayloadRejected[^]*nothing was redriven/)
      assert.notStrictEqual(unfit.status, 0)
      assert.match((yield* cli(...redrive, '{"name": "Ada"}')).stdout, new RegExp(`^${id}  pending  due `))
      assert.notInclude((yield* cli("recur", "list")).stdout, "greet-the-world")
    })
  )

  it.effect("wishes the same of all tasks of a kind, only when told twice", () =>
    Effect.gen(function* () {
      for (const hours of ["1h", "2h", "3h"]) yield* cli("schedule", "bulk", "--in", hours)
      const all = ["--all", "--kind", "bulk"]
      const unsure = yield* cli("cancel", ...all)
      assert.strictEqual(unsure.status, 2)
      assert.match(unsure.stderr, /^This is about 3 pending tasks of kind bulk: add --yes/)
      const found = { found: 3, done: 0, skipped: 0 }
      assert.deepStrictEqual(yield* json("cancel", ...all, "--dry-run"), { ...found, dryRun: true })
      for (const verb of [
        ["reschedule", "--in", "2h"],
        ["reprioritise", "--priority", "high"],
        ["run-now"],
        ["cancel"]
      ]) {
        assert.deepStrictEqual(yield* json(...verb, ...all, "--yes"), { ...found, dryRun: false, done: 3 })
      }
      assert.match((yield* cli("tasks", "--kind", "bulk")).stderr, /^No pending tasks of kind bulk/)
      for (const wrong of [["--all"], ["--kind", "bulk"], []]) {
        assert.strictEqual((yield* cli("cancel", ...wrong)).status, 2, wrong.join(" "))
      }
    })
  )

  it.effect("pauses and resumes kinds and queues, and warns of a name that nobody serves", () =>
    Effect.gen(function* () {
      const pausedOf = Effect.map(json("kinds"), (records) =>
        Array.isArray(records) ? records.filter(({ isPaused }) => isPaused).map(({ policy }) => policy.kind) : []
      )
      const paused = yield* cli("pause", "--kind", "charge-card")
      assert.deepStrictEqual(paused, { status: 0, stdout: "kind charge-card  paused\n", stderr: "" })
      assert.deepStrictEqual(yield* pausedOf, ["charge-card"])
      assert.match(
        normalised((yield* cli("kinds")).stdout),
        /\ncharge-card  default  normal  8  <span>  paused  nobody now\n/
      )
      const resumed = yield* json("resume", "--kind", "charge-card")
      assert.deepStrictEqual(resumed, { kind: "charge-card", isPaused: false })
      assert.deepStrictEqual(yield* pausedOf, [])

      assert.deepStrictEqual(yield* json("pause", "--queue", "default"), { queue: "default", isPaused: true })
      assert.include(yield* pausedOf, "charge-card")
      yield* json("resume", "--queue", "default")
      assert.deepStrictEqual(yield* pausedOf, [])

      const typo = yield* cli("pause", "--queue", "biling")
      assert.deepStrictEqual([typo.status, typo.stdout], [0, "queue biling  paused\n"])
      assert.match(typo.stderr, /^No worker has served the queue "biling" yet\./)
      yield* cli("resume", "--queue", "biling")

      for (const args of [["pause"], ["resume", "--kind", "a", "--queue", "b"]]) {
        const wrong = yield* cli(...args)
        assert.strictEqual(wrong.status, 2)
        assert.match(wrong.stderr, /^Give --kind or --queue\./)
      }
    })
  )

  it.effect("tells the backlog and the kinds, also those that nobody serves", () =>
    Effect.gen(function* () {
      const kinds = yield* cli("kinds")
      assert.match(normalised(kinds.stdout), /\ncharge-card  default  normal  8  <span>  nobody now\n/)
      assert.match(normalised(kinds.stdout), /\nsend-reminder  nobody ever: its tasks wait\n/)
      const backlog = yield* cli("backlog")
      assert.match(normalised(backlog.stdout), /^KIND  DUE  OLDEST[^]*\ncharge-card  1  <span>  0  0  0\n/)
    })
  )

  it.effect(
    "audits the whole database, page by page, and ends with status 1 when a row disagrees with its events",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const sound = yield* runProcess(["audit", "--json"], yield* environment)
        assert.include(documentOf(sound), { violationsCount: 0 })

        yield* sql`UPDATE duetime.due SET attempt = attempt + 1 WHERE task_id = (SELECT task_id FROM duetime.due LIMIT 1)`
        const broken = yield* cli("audit")
        assert.strictEqual(broken.status, 1)
        assert.match(normalised(broken.stdout), /^RULE  TASK  VERSION  FINDING\nS10  <id>[^]* 1 violation\n$/)
        assert.match(broken.stderr, /^AuditFailed: 1 violation /)
      })
  )

  it.effect("tells a bug of its own in one line, and all of it when asked to", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const id = (yield* cli("schedule", "odd", "--in", "1h")).stdout.trim()
      yield* sql`INSERT INTO duetime.event (task_id, version, type, event_id, at)
        VALUES (${id}::uuid, 2, 99, gen_random_uuid(), clock_timestamp())`
      const bug = yield* cli("task", id)
      assert.deepStrictEqual({ status: bug.status, stdout: bug.stdout }, { status: 1, stdout: "" })
      assert.match(
        bug.stderr,
        /^duetime met a bug of its own: Error: event .* unknown type 99.*\nPlease open an issue .*\n$/
      )
      const debugged = yield* runCli(["task", id], { ...(yield* environment), DUETIME_DEBUG: "1" })
      assert.match(debugged.stderr, /^Error: event [^]*\n\s+at /)
    })
  )
})
