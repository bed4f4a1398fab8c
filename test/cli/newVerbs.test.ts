import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { eventCodes } from "../../src/core/TaskEvent.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { runCli } from "./runCli.ts"

const cli = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { url } = yield* TestDatabase
  return yield* runCli(args, { DUETIME_DATABASE_URL: url, DUETIME_UNSAFE_DURABILITY: "true" })
})

const fileOf = (lines: ReadonlyArray<unknown>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-import-"))
      const file = path.join(folder, "tasks.jsonl")
      fs.writeFileSync(file, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"))
      return file
    }),
    (file) => Effect.sync(() => fs.rmSync(path.dirname(file), { recursive: true }))
  )

const Tally = Schema.fromJsonString(
  Schema.Struct({
    checked: Schema.Int,
    created: Schema.Int,
    existing: Schema.Int,
    conflictsCount: Schema.Int,
    conflicts: Schema.Array(Schema.Struct({ line: Schema.Int, key: Schema.String })),
    stoppedAtLine: Schema.NullOr(Schema.Int)
  })
)
const tallyOf = Schema.decodeUnknownSync(Tally)

layer(database(), { excludeTestServices: true })("duetime import", (it) => {
  it.effect("schedules every line, twice as once where they have keys, and names the lines whose keys are taken", () =>
    Effect.gen(function* () {
      yield* cli("migrate")
      const task = (n: number) => ({ kind: "send-reminder", payload: { n }, in: "3 hours", key: `order-${n}` })
      const lines = Array.from({ length: 2_500 }, (_, n) => task(n))
      const file = yield* fileOf([...lines, "", { ...task(3), payload: { n: "another" } }])
      const dry = yield* cli("import", file, "--dry-run", "--json")
      assert.deepInclude(tallyOf(dry.stdout), { checked: 2_501, created: 0 })
      assert.match((yield* cli("tasks", "--kind", "send-reminder")).stderr, /^No pending tasks/)

      const first = yield* cli("import", file, "--json")
      assert.deepInclude(tallyOf(first.stdout), { created: 2_500, existing: 0, conflictsCount: 1 })
      assert.deepStrictEqual(tallyOf(first.stdout).conflicts, [{ line: 2_502, key: "order-3" }])
      assert.strictEqual(first.status, 4)
      const again = yield* cli("import", file, "--json")
      assert.deepInclude(tallyOf(again.stdout), { created: 0, existing: 2_500, conflictsCount: 1 })
    })
  )

  it.effect("stops at the first line that is wrong, with its number, and goes on from there", () =>
    Effect.gen(function* () {
      const good = { kind: "count", payload: 1, in: "1 hour" }
      const faults = [
        ["{", /line 3: it is not JSON/],
        [{ ...good, priority: "urgent" }, /line 3: .*priority is 'urgent'/],
        [{ ...good, dueAt: "2030-01-01T00:00:00Z" }, /line 3: the field "dueAt" is not known/],
        [{ payload: 1 }, /line 3: .*kind is ''/],
        ["[1]", /line 3: it is no JSON object/]
      ] as const
      for (const [fault, message] of faults) {
        const stopped = yield* cli("import", yield* fileOf([good, "", fault, good]), "--dry-run")
        assert.match(stopped.stderr, message)
        assert.strictEqual(stopped.status, 2)
      }
      const file = yield* fileOf([good, good, "{", good])
      const stopped = yield* cli("import", file, "--json")
      assert.deepInclude(tallyOf(stopped.stdout), { created: 2, stoppedAtLine: 3 })
      const [, next = ""] = /go on with "duetime (.*)"/.exec(stopped.stderr) ?? []
      fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace("{\n", `${JSON.stringify(good)}\n`))
      assert.deepInclude(tallyOf((yield* cli(...next.split(" "), "--json")).stdout), { created: 2 })
      const none = yield* cli("import", "nowhere.jsonl")
      assert.match(none.stderr, /^There is no file nowhere\.jsonl\./)
      assert.strictEqual(none.status, 2)
    })
  )
})

const Drift = Schema.fromJsonString(
  Schema.Struct({
    rows: Schema.Array(
      Schema.Struct({
        kind: Schema.String,
        priority: Schema.String,
        attemptsCount: Schema.Int,
        earlyCount: Schema.Int,
        drift: Schema.Struct({ p50: Schema.Number, max: Schema.Number }),
        claim: Schema.Struct({ p50: Schema.Number, max: Schema.Number }),
        dispatch: Schema.NullOr(Schema.Struct({ p50: Schema.Number, max: Schema.Number })),
        delivery: Schema.Struct({ p50: Schema.Number, max: Schema.Number })
      })
    )
  })
)

const { AttemptFailed, AttemptStarted, TaskClaimed, TaskReprioritised, TaskScheduled } = eventCodes

layer(database(), { excludeTestServices: true })("duetime drift", (it) => {
  it.effect("splits how late attempts were into the three lags, by the due time of each attempt", () =>
    Effect.gen(function* () {
      yield* cli("migrate")
      yield* cli("tasks")
      const sql = yield* PgClient.PgClient
      yield* sql`INSERT INTO duetime.kind (name) VALUES ('charge'), ('other')`
      // Due ten minutes ago: claimed after 12 ms, published after 21, started after 41; failed, and again, pulled, 500 ms after its new due time.
      yield* sql.unsafe(`WITH t AS (
          SELECT n, to_timestamp(floor(extract(epoch FROM clock_timestamp()) - 600 + n)) AS due FROM generate_series(1, 10) n
        ), i AS (
          SELECT t.*, (lpad(to_hex((extract(epoch FROM due) * 1000)::int8), 12, '0') || '7abc8' || lpad(to_hex(n), 15, '0'))::uuid AS id FROM t
        )
        INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, dispatched_at, attempt, session_id)
        SELECT id, v.version, v.type, gen_random_uuid(), due + v.at * interval '1 ms',
          CASE WHEN v.type = ${TaskScheduled} THEN (SELECT kind_id FROM duetime.kind WHERE name = 'charge') END, v.priority,
          due + v.due_after * interval '1 ms', due + v.dispatched * interval '1 ms', v.attempt, 1
        FROM i CROSS JOIN (VALUES
          (1, ${TaskScheduled}, -1000, 2, 0, NULL, NULL), (2, ${TaskReprioritised}, -500, 1, NULL, NULL, NULL),
          (3, ${TaskClaimed}, 12, NULL, NULL, NULL, NULL), (4, ${AttemptStarted}, 41, NULL, NULL, 21, 1),
          (5, ${AttemptFailed}, 100, NULL, 5000, NULL, 1), (6, ${TaskClaimed}, 4900, NULL, NULL, NULL, NULL),
          (7, ${AttemptStarted}, 5500, NULL, NULL, NULL, 2)
        ) v (version, type, at, priority, due_after, dispatched, attempt)`)
      const { stdout } = yield* cli("drift", "--json")
      const [row, ...others] = Schema.decodeUnknownSync(Drift)(stdout).rows
      assert.strictEqual(others.length, 0)
      assert.deepInclude(row, { kind: "charge", priority: "high", attemptsCount: 20, earlyCount: 0 })
      const near = (
        lag: { readonly p50: number; readonly max: number } | null | undefined,
        p50: number,
        max: number
      ) => {
        assert.closeTo(lag?.p50 ?? -1, p50, 0.01)
        assert.closeTo(lag?.max ?? -1, max, 0.01)
      }
      near(row?.drift, 270.5, 500)
      near(row?.claim, 6, 12)
      near(row?.dispatch, 9, 9)
      near(row?.delivery, 260, 500)

      const text = yield* cli("drift", "--kind", "charge")
      assert.match(text.stdout, /^KIND +QUEUE +PRIORITY +ATTEMPTS .*\ncharge +default +high +20 /)
      assert.match((yield* cli("drift", "--kind", "other")).stderr, /^No attempt /)
      assert.match((yield* cli("drift", "--last", "1m")).stderr, /^No attempt /)
      assert.strictEqual((yield* cli("drift", "--last", "90d")).status, 2)
    })
  )

  it.effect("shows the same live on a terminal, and one sample of it anywhere", () =>
    Effect.gen(function* () {
      const piped = yield* cli("top")
      assert.deepStrictEqual([piped.status, piped.stdout], [2, ""])
      assert.match(piped.stderr, /^duetime top needs a terminal; --json gives one sample anywhere\./)
      const { kinds } = JSON.parse((yield* cli("top", "--json")).stdout) as { kinds: ReadonlyArray<object> }
      assert.deepInclude(kinds[0], {
        kind: "charge",
        dueCount: 0,
        inProgressCount: 0,
        startsPerSecond: 0,
        driftP99Ms: null
      })
    })
  )

  it.effect("lists partitions with their rows, and makes those that are missing", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`ANALYZE duetime.event`
      const list = yield* cli("partitions", "list", "--table", "event")
      assert.match(list.stdout, /^PARTITION +STATE +ROWS +DEAD +SIZE\n(event_.*\n)*event_d\d{8} +(today|over) +70 /)
      assert.match(list.stderr, /partitions without rows left out: --all shows them\.\n$/)
      const [day] = yield* sql<{
        readonly name: string
      }>`SELECT to_char(now() AT TIME ZONE 'UTC' + interval '3 days', '"due_d"YYYYMMDD') AS name`
      yield* sql.unsafe(`DROP TABLE duetime.${day?.name}`)
      assert.strictEqual((yield* cli("partitions", "ensure", "--dry-run")).stdout, `make  ${day?.name}\n`)
      assert.match(
        (yield* cli("partitions", "list")).stderr,
        /1 missing, or to be split or retired: "duetime partitions ensure"/
      )
      yield* cli("partitions", "ensure")
      assert.deepStrictEqual(yield* cli("partitions", "ensure", "--dry-run"), {
        status: 0,
        stdout: "",
        stderr: "All partitions are ready.\n"
      })
    })
  )
})
