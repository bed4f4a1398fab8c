/**
 * Candidate A: one `task` row per task from birth to its day's end, partitioned by the day of the id and updated in place.
 * `claimable` exists so that the partial claim index is left by the claim and not touched again: start and outcome change
 * no indexed column and can be HOT. A task whose current due time lies in another day than its id has a row in `elsewhere`,
 * because the id range of a claim would not find it; claiming those is a second statement, whose ids are of any day.
 *
 * Flattering to A: there is no index by session or deadline, though finding expired leases among a day's rows needs one.
 */
import {
  dayMs,
  type Days,
  eachDay,
  eventTables,
  eventType,
  idFloor,
  type Layout,
  loadEvents,
  partitionName
} from "./layout.ts"

const taskTables = (days: Days, fillfactor: number): ReadonlyArray<string> => [
  `CREATE TABLE task (
     task_id uuid NOT NULL PRIMARY KEY, event_id uuid NOT NULL, due_at timestamptz NOT NULL, deadline_at timestamptz,
     version int4 NOT NULL, session_id int4, kind_id int2 NOT NULL, priority int2 NOT NULL, status int2 NOT NULL,
     attempt int2 NOT NULL, claimable bool NOT NULL, cancel_requested bool NOT NULL DEFAULT false
   ) PARTITION BY RANGE (task_id)`,
  `CREATE INDEX task_claim ON task (kind_id, priority, due_at) WHERE claimable`,
  `CREATE TABLE task_kept PARTITION OF task FOR VALUES FROM (MINVALUE) TO ('${idFloor(days.fromMs)}')`,
  ...eachDay(days).map(
    (day) =>
      `CREATE TABLE ${partitionName("task", day)} PARTITION OF task
       FOR VALUES FROM ('${idFloor(day)}') TO ('${idFloor(day + dayMs)}') WITH (fillfactor = ${fillfactor})`
  ),
  `CREATE TABLE elsewhere (
     kind_id int2 NOT NULL, priority int2 NOT NULL, due_at timestamptz NOT NULL, task_id uuid NOT NULL,
     PRIMARY KEY (kind_id, priority, due_at, task_id)
   )`
]

const pick = (from: string, claimable: string) => `
      FROM unnest($1::int2[], $2::int2[], $3::timestamptz[], $4::int4[]) AS lane(kind_id, priority, low_mark, quota)
      CROSS JOIN LATERAL (
        SELECT w.ctid AS tid, w.task_id
        FROM ${from} w
        WHERE ${claimable} w.kind_id = lane.kind_id AND w.priority = lane.priority
          AND w.due_at > lane.low_mark AND w.due_at <= $5::timestamptz
        ORDER BY w.due_at
        LIMIT lane.quota
        FOR UPDATE SKIP LOCKED
      ) d`

const claimAndAppend = (table: string, join: string) => `claimed AS (
      UPDATE ${table} t
      SET status = 1, claimable = false, version = t.version + 1, event_id = p.event_id, session_id = $6::int4,
        deadline_at = (SELECT clock_timestamp()) + $7::int4 * interval '1 millisecond'
      FROM picked p
      WHERE ${join}
      RETURNING t.task_id, t.version, t.event_id, t.due_at, t.kind_id, t.priority
    ), appended AS (
      INSERT INTO event (task_id, version, type, event_id, at, session_id)
      SELECT task_id, version, ${eventType.TaskClaimed}, event_id, (SELECT clock_timestamp()), $6::int4 FROM claimed
    )
    SELECT task_id, version, event_id, due_at, kind_id, priority FROM claimed`

const moveHome = `claimable = (date_trunc('day', w.due_at, 'UTC') = date_trunc('day', uuid_extract_timestamp(t.task_id), 'UTC'))`

const make = (name: string, schema: string, fillfactor: number, outcome: string): Layout => ({
  name,
  schema,
  projections: ["task", "elsewhere"],
  tables: (days: Days) => [...eventTables(days), ...taskTables(days, fillfactor)],
  load: [
    loadEvents,
    `INSERT INTO task (task_id, event_id, due_at, version, kind_id, priority, status, attempt, claimable)
     SELECT task_id, uuidv7(), due_at, 1, kind_id, priority, 0, 0, true FROM public.seed`
  ],
  loadProjection: `INSERT INTO task (task_id, event_id, due_at, version, kind_id, priority, status, attempt, claimable)
     SELECT task_id, task_id, due_at, 1, kind_id, priority, 0, 0, true FROM public.seed`,
  schedule: `WITH arrived AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::int2[], $5::timestamptz[], $6::text[])
        AS t(task_id, event_id, kind_id, priority, due_at, data)
    ), appended AS (
      INSERT INTO event (task_id, version, type, event_id, at, due_at, data)
      SELECT task_id, 1, ${eventType.TaskScheduled}, event_id, (SELECT clock_timestamp()), due_at, data::jsonb FROM arrived
    )
    INSERT INTO task (task_id, event_id, due_at, version, kind_id, priority, status, attempt, claimable)
    SELECT task_id, event_id, due_at, 1, kind_id, priority, 0, 0, true FROM arrived`,
  claims: [
    {
      byDay: true,
      idBounds: false,
      sql: `WITH picked AS MATERIALIZED (
      SELECT d.tid, uuidv7() AS event_id ${pick("task{day}", "w.claimable AND")}
    ), ${claimAndAppend("task{day}", "t.ctid = p.tid")}`
    },
    {
      byDay: false,
      idBounds: false,
      probe: `SELECT 1 FROM unnest($1::int2[], $2::int2[], $3::timestamptz[]) AS lane(kind_id, priority, low_mark)
        CROSS JOIN LATERAL (
          SELECT 1 FROM elsewhere w
          WHERE w.kind_id = lane.kind_id AND w.priority = lane.priority AND w.due_at > lane.low_mark AND w.due_at <= $4::timestamptz
          LIMIT 1
        ) d LIMIT 1`,
      sql: `WITH picked AS MATERIALIZED (
      SELECT d.tid, d.task_id, uuidv7() AS event_id ${pick("elsewhere", "")}
    ), gone AS (
      DELETE FROM elsewhere e USING picked p WHERE e.ctid = p.tid
    ), ${claimAndAppend("task", "t.task_id = p.task_id")}`
    }
  ],
  start: {
    byDay: true,
    idBounds: false,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::int4[], $3::uuid[], $4::uuid[]) AS w(task_id, version, fence, event_id)
    ), started AS (
      UPDATE task{day} t
      SET status = 2, version = t.version + 1, event_id = w.event_id, session_id = $5::int4, attempt = t.attempt + 1,
        deadline_at = (SELECT clock_timestamp()) + $6::int4 * interval '1 millisecond'
      FROM wanted w
      WHERE t.task_id = ANY (ARRAY[w.task_id]) AND t.version = w.version AND t.event_id = w.fence
      RETURNING t.task_id, t.version, t.event_id, t.attempt, t.deadline_at
    ), appended AS (
      INSERT INTO event (task_id, version, type, event_id, at, session_id, attempt, deadline_at)
      SELECT task_id, version, ${eventType.AttemptStarted}, event_id, (SELECT clock_timestamp()), $5::int4, attempt, deadline_at
      FROM started
    )
    SELECT s.task_id, s.version, s.event_id, s.attempt,
      (SELECT f.data FROM event{day} f WHERE f.task_id = s.task_id AND f.version = 1) AS data
    FROM started s`
  },
  succeed: {
    byDay: true,
    idBounds: false,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w(task_id, fence, event_id)
    ), ended AS (
      ${outcome}
    )
    INSERT INTO event (task_id, version, type, event_id, at, session_id, attempt)
    SELECT task_id, version, ${eventType.AttemptSucceeded}, event_id, (SELECT clock_timestamp()), session_id, attempt FROM ended
    RETURNING task_id`
  },
  retry: {
    byDay: true,
    idBounds: false,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS w(task_id, fence, event_id, due_at)
    ), ended AS (
      UPDATE task{day} t
      SET status = 0, version = t.version + 1, event_id = w.event_id, due_at = w.due_at, ${moveHome}
      FROM wanted w
      WHERE t.task_id = ANY (ARRAY[w.task_id]) AND t.event_id = w.fence
      RETURNING t.task_id, t.version, t.event_id, t.session_id, t.attempt, t.kind_id, t.priority, t.due_at, t.claimable
    ), waiting AS (
      INSERT INTO elsewhere (kind_id, priority, due_at, task_id)
      SELECT kind_id, priority, due_at, task_id FROM ended WHERE NOT claimable
    )
    INSERT INTO event (task_id, version, type, event_id, at, session_id, attempt, due_at)
    SELECT task_id, version, ${eventType.AttemptRetried}, event_id, (SELECT clock_timestamp()), session_id, attempt, due_at FROM ended
    RETURNING task_id`
  },
  reschedule: {
    byDay: true,
    idBounds: false,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::int4[], $3::uuid[], $4::timestamptz[]) AS w(task_id, version, event_id, due_at)
    ), before AS MATERIALIZED (
      SELECT t.kind_id, t.priority, t.due_at, t.task_id FROM task{day} t JOIN wanted w ON t.task_id = ANY (ARRAY[w.task_id])
      WHERE t.version = w.version AND NOT t.claimable
    ), gone AS (
      DELETE FROM elsewhere e USING before b
      WHERE e.kind_id = b.kind_id AND e.priority = b.priority AND e.due_at = b.due_at AND e.task_id = b.task_id
    ), moved AS (
      UPDATE task{day} t
      SET version = t.version + 1, event_id = w.event_id, due_at = w.due_at, ${moveHome}
      FROM wanted w
      WHERE t.task_id = ANY (ARRAY[w.task_id]) AND t.version = w.version
      RETURNING t.task_id, t.version, t.event_id, t.kind_id, t.priority, t.due_at, t.claimable
    ), waiting AS (
      INSERT INTO elsewhere (kind_id, priority, due_at, task_id)
      SELECT kind_id, priority, due_at, task_id FROM moved WHERE NOT claimable
    )
    INSERT INTO event (task_id, version, type, event_id, at, due_at)
    SELECT task_id, version, ${eventType.TaskRescheduled}, event_id, (SELECT clock_timestamp()), due_at FROM moved
    RETURNING task_id`
  },
  find: `SELECT version, status, due_at, event_id FROM task WHERE task_id = $1::uuid`
})

/** Fillfactor 50 leaves room for the claim, start and outcome versions of a page's rows. */
export const inPlace = make(
  "in place",
  "in_place",
  50,
  `UPDATE task{day} t
      SET status = 3, version = t.version + 1, event_id = w.event_id
      FROM wanted w
      WHERE t.task_id = ANY (ARRAY[w.task_id]) AND t.event_id = w.fence
      RETURNING t.task_id, t.version, t.event_id, t.session_id, t.attempt`
)

/** The same, but the row goes when the task ends: a variant kinder to A's size. */
export const inPlaceDeleting = make(
  "in place, deleting",
  "in_place_deleting",
  70,
  `DELETE FROM task{day} t
      USING wanted w
      WHERE t.task_id = ANY (ARRAY[w.task_id]) AND t.event_id = w.fence
      RETURNING t.task_id, t.version + 1 AS version, w.event_id, t.session_id, t.attempt`
)
