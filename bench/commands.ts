import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { float8, int4, int4s } from "../src/store/postgres/parameters.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { nowMs } from "./openLoop.ts"
import { kindIdsOf, loadTasks } from "./pending.ts"
import { atMost } from "./report.ts"
import { server } from "./server.ts"

/**
 * How long the command line takes on a database full of tasks: 60 % wait over the next 30 days, 29 % have succeeded and 10 % have died
 * in the last 12 hours, 1 % run. Each command is a process of its own, as a person or a script starts it from the package, so the start of
 * Node and of the program is in; what `tasks` takes on the empty database, before the load, tells how much that is on this machine.
 */
export type CommandsOptions = { readonly tasks: number; readonly rounds: number }

const hourMs = 3_600_000
const answerMsMax = 1_000
const kinds = ["charge-card", "send-receipt", "send-reminder", "sync-ledger", "close-day"]

const { AttemptStarted, AttemptSucceeded, TaskClaimed, TaskDeadLettered, TaskScheduled } = eventCodes

/** $1 count, $2 beginning (ms), $3 spread (ms), $4 kinds. Started 5 to 45 ms after due, one in a thousand 5 s. */
const made = `SELECT n, due, kind_id, priority, due + (5 + random() * 40 + CASE WHEN random() < 0.001 THEN 5000 ELSE 0 END) * interval '1 ms' AS started,
    (lpad(to_hex(ms::int8), 12, '0') || '7' || substr(hex, 1, 3) || '9' || substr(hex, 4, 15))::uuid AS task_id
  FROM generate_series(1, $1::int4) n, LATERAL (SELECT floor($2::float8 + (n + random()) / $1::float8 * $3::float8) AS ms,
      md5(random()::text || n) AS hex, ($4::int4[])[1 + n % cardinality($4::int4[])] AS kind_id, (n % 4)::int2 AS priority) r,
    LATERAL (SELECT to_timestamp(ms / 1000.0) AS due) d`

const events = (last: string) => `WITH made AS MATERIALIZED (${made}), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, dispatched_at, session_id, attempt, deadline_at, data)
    SELECT task_id, version, type, gen_random_uuid(), due + at, CASE WHEN version = 1 THEN kind_id END, CASE WHEN version = 1 THEN priority END,
      CASE WHEN version = 1 THEN due END, CASE WHEN version = 3 THEN started - interval '3 ms' END, CASE WHEN version IN (2, 3) THEN 1 END,
      CASE WHEN version > 2 THEN 1 END, CASE WHEN version = 3 THEN started + interval '1 day' END, data
    FROM made CROSS JOIN LATERAL (VALUES
      (1, ${TaskScheduled}, interval '-1 hour', jsonb_build_object('n', n)), (2, ${TaskClaimed}, interval '1 ms', NULL),
      (3, ${AttemptStarted}, started - due, NULL)${last}
    ) e (version, type, at, data)
  )`

const succeeded = `${events(`, (4, ${AttemptSucceeded}, started - due + interval '80 ms', NULL)`)} SELECT count(*) FROM made`
const dead = `${events(
  `, (4, ${TaskDeadLettered}, started - due + interval '80 ms', jsonb_build_object('reason', 'not-retryable', 'error', jsonb_build_object('name', 'CardError', 'message', 'card refused')))`
)} INSERT INTO duetime.dead_letter (due_at, dead_at, task_id, kind_id, version, attempt, charged, priority, data, announced_at)
  SELECT due, started + interval '80 ms', task_id, kind_id, 4, 1, 1, priority,
    jsonb_build_object('reason', 'not-retryable', 'error', jsonb_build_object('name', 'CardError', 'message', 'card refused')), started FROM made`
const running = `${events("")}
  INSERT INTO duetime.in_progress (due_at, deadline_at, task_id, fence_id, kind_id, session_id, version, fence_version, attempt, charged, priority, status)
  SELECT due, started + interval '1 day', task_id, gen_random_uuid(), kind_id, 1, 3, 3, 1, 1, priority, 2 FROM made`

export const load = Effect.fnUntraced(function* (tasks: number) {
  const sql = yield* PgClient.PgClient
  const ids = yield* kindIdsOf(kinds)
  const now = yield* nowMs
  yield* sql`INSERT INTO duetime.session (lease_until, process, kind_ids) VALUES (now() + interval '1 day', 'bench:1', ${int4s(ids)})`
  yield* loadTasks({ kindIds: ids, count: Math.round(tasks * 0.6), fromMs: now + hourMs, spreadMs: 30 * 24 * hourMs })
  const ended = [
    [succeeded, 0.29, 12 * hourMs],
    [dead, 0.1, 12 * hourMs],
    [running, 0.01, hourMs / 60]
  ] as const
  for (const [statement, share, spreadMs] of ended) {
    yield* sql.unsafe(statement, [
      int4(Math.round(tasks * share)),
      float8(now - spreadMs - 1_000),
      float8(spreadMs),
      int4s(ids)
    ])
  }
  yield* sql`VACUUM (ANALYZE)`.unprepared
  yield* sql`CHECKPOINT`.unprepared
  const one = (table: string) =>
    Effect.map(
      sql.unsafe<{ readonly id: string }>(`SELECT task_id AS id FROM duetime.${table} LIMIT 1`),
      ([row]) => row?.id ?? ""
    )
  return { pending: yield* one("due"), dead: yield* one("dead_letter"), running: yield* one("in_progress") }
})

/** As the package has it; made from the sources when the measurement begins. */
const program = "dist/cli/bin.js"
const build = Effect.callback<void>((resume) => {
  execFile("npm", ["run", "--silent", "build"], (error, _, stderr) =>
    resume(error === null ? Effect.void : Effect.die(new Error(`npm run build: ${stderr}`)))
  )
})

const timed = (url: string, args: ReadonlyArray<string>) =>
  Effect.callback<number>((resume) => {
    const beganMs = performance.now()
    const env = { PATH: process.env["PATH"] ?? "", DUETIME_DATABASE_URL: url }
    execFile(process.execPath, [program, ...args], { env, maxBuffer: 2 ** 28 }, (error, _, stderr) => {
      if (error !== null && error.code !== 1) resume(Effect.die(new Error(`${args.join(" ")}: ${stderr}`)))
      else resume(Effect.succeed(performance.now() - beganMs))
    })
  })

const medianMs = Effect.fnUntraced(function* (url: string, args: ReadonlyArray<string>, rounds: number) {
  const spans: Array<number> = []
  for (let round = 0; round < rounds; round++) spans.push(yield* timed(url, [...args, "--json"]))
  return spans.toSorted((left, right) => left - right)[Math.floor(rounds / 2)] ?? 0
})

export const commands = ({ rounds, tasks }: CommandsOptions) =>
  Effect.gen(function* () {
    const { url } = yield* EmbeddedPostgres
    yield* build
    yield* Effect.provide(Effect.void, layerStore({ migrate: true }))
    const emptyMs = Math.round(yield* medianMs(url, ["tasks"], rounds))
    process.stderr.write(`tasks, on an empty database: ${emptyMs} ms\n`)
    const ids = yield* load(tasks).pipe(Effect.provide(layerStore({ migrate: true })))
    const calls = [
      ["tasks"],
      ["tasks", "--kind", "close-day", "--limit", "1000"],
      ...["claimed", "running", "parked", "dead", "succeeded", "cancelled", "expired"].map((stage) => [
        "tasks",
        "--stage",
        stage
      ]),
      ["tasks", "--stage", "succeeded", "--kind", "close-day"],
      ["tasks", "--stage", "expired", "--kind", "close-day"],
      ...[ids.pending, ids.dead, ids.running].map((id) => ["task", id]),
      ["wait", ids.running, "--timeout", "0s"],
      ["dead", "list"],
      ["dead", "list", "--kind", "close-day"],
      ["backlog"],
      ["drift"],
      ["drift", "--last", "1d"],
      ["top"],
      ["kinds"],
      ["recur", "list"],
      ["partitions", "list"],
      ["doctor"],
      ["schedule", "send-reminder", "--in", "1h"],
      ["cancel", ids.pending]
    ]
    const answerMs: Record<string, number> = {}
    for (const args of calls) {
      const name = args.map((word) => (word.length === 36 ? "<id>" : word)).join(" ")
      const median = yield* medianMs(url, args, rounds)
      answerMs[name in answerMs ? `${name} (${Object.keys(answerMs).length})` : name] = Math.round(median)
      process.stderr.write(`${name}: ${Math.round(median)} ms\n`)
    }
    return {
      settings: { tasks, rounds },
      figures: { emptyMs, answerMs },
      floors: [
        atMost("slowest command, ms with the start of its process", answerMsMax, Math.max(...Object.values(answerMs)))
      ]
    }
  }).pipe(Effect.provide(server))
