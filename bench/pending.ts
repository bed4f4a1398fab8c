import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { float8, int4, int4s, texts } from "../src/store/postgres/parameters.ts"
import { Progress } from "./progress.ts"

/**
 * Waiting tasks straight into the tables, as `schedule` would have left them: the event, and the row that folds it. Made by the
 * server in due order, so that 10^7 take minutes and not an hour. The auditor finds nothing wrong with them.
 */
export type Pending = {
  readonly kindIds: ReadonlyArray<number>
  readonly count: number
  readonly fromMs: number
  /** Due times are uniform over it. */
  readonly spreadMs: number
}

/** Tasks per transaction. */
const chunkTasks = 100_000
/** As many as the machine has cores, and the server memory for. */
const chunksAtOnce = 2

/** Kinds and priorities take turns. $1 and $2 places in the load, $3 its size, $4 its beginning, $5 its spread, $6 kinds. */
const made = `SELECT to_timestamp(ms / 1000.0) AS due_at, kind_id, priority, n,
    (lpad(to_hex(ms::int8), 12, '0') || '7' || substr(hex, 1, 3) || '8' || substr(hex, 4, 15))::uuid AS task_id
  FROM generate_series($1::int4, $2::int4) n,
    LATERAL (SELECT floor($4::float8 + (n + random()) / $3::float8 * $5::float8) AS ms, md5(random()::text || n) AS hex,
      ($6::int4[])[1 + n % cardinality($6::int4[])] AS kind_id, (n / cardinality($6::int4[]) % 4)::int2 AS priority) r`

const insertRows = `INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged)
  SELECT kind_id, priority, due_at, task_id, 1, 0, 0 FROM made`

const insertTasks = `WITH made AS MATERIALIZED (${made}), appended AS (
    INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, data)
    SELECT task_id, 1, ${eventCodes.TaskScheduled}, gen_random_uuid(), (SELECT clock_timestamp()), kind_id, priority, due_at,
      jsonb_build_object('n', n, 'workMs', 0) FROM made
  ) ${insertRows}`

const insert = (name: string, statement: string) =>
  Effect.fnUntraced(function* ({ count, fromMs, kindIds, spreadMs }: Pending) {
    const sql = yield* PgClient.PgClient
    const progress = new Progress(name, count)
    let done = 0
    yield* Effect.forEach(
      Array.from({ length: Math.ceil(count / chunkTasks) }, (_, chunk) => chunk * chunkTasks),
      Effect.fnUntraced(function* (from) {
        const last = Math.min(from + chunkTasks, count) - 1
        yield* sql.unsafe(statement, [
          int4(from),
          int4(last),
          float8(count),
          float8(fromMs),
          float8(spreadMs),
          int4s(kindIds)
        ])
        progress.at((done += last + 1 - from))
      }),
      { concurrency: chunksAtOnce, discard: true }
    )
    progress.end()
  })

export const loadTasks = insert("load", insertTasks)

/** Only the rows that a claim looks at: for what is thrown away before anything can start. */
export const loadRows = insert("load rows", `WITH made AS (${made}) ${insertRows}`)

/** Numbers of kinds, made for those that nobody has named yet. */
export const kindIdsOf = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
  const sql = yield* PgClient.PgClient
  yield* sql`INSERT INTO duetime.kind (name) SELECT unnest(${texts(names)}) ON CONFLICT (name) DO NOTHING`
  const rows = yield* sql<{
    readonly id: number
  }>`SELECT kind_id AS id FROM duetime.kind WHERE name IN ${sql.in(names)} ORDER BY 1`
  return rows.map((row) => row.id)
})

/** As a database that has been up for long: statistics are there, nothing waits to be cleaned or written. */
export const settle = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  yield* sql`VACUUM (ANALYZE) duetime.due, duetime.event`.unprepared
  yield* sql`CHECKPOINT`.unprepared
})
