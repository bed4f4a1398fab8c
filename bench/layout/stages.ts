/**
 * Candidate B: a task's row is in the table of its stage. `due` is insert and delete only, ranged by the current due time,
 * and its primary key is the only index, in claim order. `in_progress` is small and unpartitioned, so that a start is a
 * HOT update and an expired lease is found without touching a pending row. What ended is in the events alone.
 *
 * Every statement appends and moves the row in one CTE. The row's version and fence are compared in the statement that
 * locks it; a row that is gone or has moved is not returned, which is how losing looks.
 */
import {
  dayMs,
  type Days,
  eachDay,
  eventTables,
  eventType,
  instant,
  type Layout,
  loadEvents,
  partitionName
} from "./layout.ts"

export const stages: Layout = {
  name: "stages",
  schema: "stages",
  projections: ["due", "in_progress"],
  tables: (days: Days) => [
    ...eventTables(days),
    `CREATE TABLE due (
       kind_id int2 NOT NULL, priority int2 NOT NULL, attempt int2 NOT NULL, version int4 NOT NULL,
       due_at timestamptz NOT NULL, task_id uuid NOT NULL, event_id uuid NOT NULL,
       PRIMARY KEY (kind_id, priority, due_at, task_id)
     ) PARTITION BY RANGE (due_at)`,
    `CREATE TABLE due_past PARTITION OF due FOR VALUES FROM (MINVALUE) TO (${instant(days.fromMs)})`,
    ...eachDay(days).map(
      (day) =>
        `CREATE TABLE ${partitionName("due", day)} PARTITION OF due FOR VALUES FROM (${instant(day)}) TO (${instant(day + dayMs)})`
    ),
    `CREATE TABLE in_progress (
       task_id uuid NOT NULL PRIMARY KEY, event_id uuid NOT NULL, due_at timestamptz NOT NULL, deadline_at timestamptz NOT NULL,
       version int4 NOT NULL, session_id int4 NOT NULL, kind_id int2 NOT NULL, priority int2 NOT NULL, status int2 NOT NULL,
       attempt int2 NOT NULL, cancel_requested bool NOT NULL DEFAULT false
     ) WITH (fillfactor = 50)`,
    `CREATE TABLE dead_letter (
       task_id uuid NOT NULL PRIMARY KEY, event_id uuid NOT NULL, at timestamptz NOT NULL, version int4 NOT NULL,
       kind_id int2 NOT NULL, priority int2 NOT NULL, attempt int2 NOT NULL
     )`
  ],
  load: [
    loadEvents,
    `INSERT INTO due (kind_id, priority, due_at, task_id, version, event_id, attempt)
     SELECT kind_id, priority, due_at, task_id, 1, uuidv7(), 0 FROM public.seed`
  ],
  loadProjection: `INSERT INTO due (kind_id, priority, due_at, task_id, version, event_id, attempt)
     SELECT kind_id, priority, due_at, task_id, 1, task_id, 0 FROM public.seed`,
  schedule: `WITH arrived AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::int2[], $5::timestamptz[], $6::text[])
        AS t(task_id, event_id, kind_id, priority, due_at, data)
    ), appended AS (
      INSERT INTO event (task_id, version, type, event_id, at, due_at, data)
      SELECT task_id, 1, ${eventType.TaskScheduled}, event_id, (SELECT clock_timestamp()), due_at, data::jsonb FROM arrived
    )
    INSERT INTO due (kind_id, priority, due_at, task_id, version, event_id, attempt)
    SELECT kind_id, priority, due_at, task_id, 1, event_id, 0 FROM arrived`,
  claims: [
    {
      byDay: true,
      idBounds: false,
      sql: `WITH picked AS MATERIALIZED (
      SELECT d.tid, d.kind_id, d.priority, d.due_at, d.task_id, d.version + 1 AS version, d.attempt, uuidv7() AS event_id
      FROM unnest($1::int2[], $2::int2[], $3::timestamptz[], $4::int4[]) AS lane(kind_id, priority, low_mark, quota)
      CROSS JOIN LATERAL (
        SELECT w.ctid AS tid, w.kind_id, w.priority, w.due_at, w.task_id, w.version, w.attempt
        FROM due{day} w
        WHERE w.kind_id = lane.kind_id AND w.priority = lane.priority AND w.due_at > lane.low_mark AND w.due_at <= $5::timestamptz
        ORDER BY w.due_at, w.task_id
        LIMIT lane.quota
        FOR UPDATE SKIP LOCKED
      ) d
    ), gone AS (
      DELETE FROM due{day} d USING picked p WHERE d.ctid = p.tid
    ), held AS (
      INSERT INTO in_progress (task_id, event_id, due_at, deadline_at, version, session_id, kind_id, priority, status, attempt)
      SELECT task_id, event_id, due_at, (SELECT clock_timestamp()) + $7::int4 * interval '1 millisecond', version, $6::int4,
        kind_id, priority, 1, attempt
      FROM picked
    ), appended AS (
      INSERT INTO event (task_id, version, type, event_id, at, session_id)
      SELECT task_id, version, ${eventType.TaskClaimed}, event_id, (SELECT clock_timestamp()), $6::int4 FROM picked
    )
    SELECT task_id, version, event_id, due_at, kind_id, priority FROM picked`
    }
  ],
  start: {
    byDay: true,
    idBounds: true,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::int4[], $3::uuid[], $4::uuid[]) AS w(task_id, version, fence, event_id)
    ), started AS (
      UPDATE in_progress p
      SET status = 2, version = p.version + 1, event_id = w.event_id, session_id = $5::int4, attempt = p.attempt + 1,
        deadline_at = (SELECT clock_timestamp()) + $6::int4 * interval '1 millisecond'
      FROM wanted w
      WHERE p.task_id = ANY (ARRAY[w.task_id]) AND p.version = w.version AND p.event_id = w.fence
      RETURNING p.task_id, p.version, p.event_id, p.attempt, p.deadline_at
    ), appended AS (
      INSERT INTO event (task_id, version, type, event_id, at, session_id, attempt, deadline_at)
      SELECT task_id, version, ${eventType.AttemptStarted}, event_id, (SELECT clock_timestamp()), $5::int4, attempt, deadline_at
      FROM started
    )
    SELECT s.task_id, s.version, s.event_id, s.attempt,
      (SELECT f.data FROM event f
       WHERE f.task_id = s.task_id AND f.version = 1 AND f.task_id >= $7::uuid AND f.task_id < $8::uuid) AS data
    FROM started s`
  },
  succeed: {
    byDay: false,
    idBounds: false,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS w(task_id, fence, event_id)
    ), ended AS (
      DELETE FROM in_progress p USING wanted w
      WHERE p.task_id = ANY (ARRAY[w.task_id]) AND p.event_id = w.fence
      RETURNING p.task_id, p.version + 1 AS version, w.event_id, p.session_id, p.attempt
    )
    INSERT INTO event (task_id, version, type, event_id, at, session_id, attempt)
    SELECT task_id, version, ${eventType.AttemptSucceeded}, event_id, (SELECT clock_timestamp()), session_id, attempt FROM ended
    RETURNING task_id`
  },
  retry: {
    byDay: false,
    idBounds: false,
    sql: `WITH wanted AS (
      SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) AS w(task_id, fence, event_id, due_at)
    ), ended AS (
      DELETE FROM in_progress p USING wanted w
      WHERE p.task_id = ANY (ARRAY[w.task_id]) AND p.event_id = w.fence
      RETURNING p.task_id, p.version + 1 AS version, w.event_id, p.session_id, p.attempt, p.kind_id, p.priority, w.due_at
    ), waiting AS (
      INSERT INTO due (kind_id, priority, due_at, task_id, version, event_id, attempt)
      SELECT kind_id, priority, due_at, task_id, version, event_id, attempt FROM ended
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
    ), known AS MATERIALIZED (
      SELECT w.*, f.kind_id, f.priority, l.due_at AS old_due_at
      FROM wanted w
      CROSS JOIN LATERAL (
        SELECT (e.data->>'kind')::int2 AS kind_id, (e.data->>'priority')::int2 AS priority
        FROM event{day} e WHERE e.task_id = w.task_id AND e.version = 1 LIMIT 1
      ) f
      CROSS JOIN LATERAL (
        SELECT e.due_at FROM event{day} e WHERE e.task_id = w.task_id AND e.due_at IS NOT NULL ORDER BY e.version DESC LIMIT 1
      ) l
    ), moved AS (
      DELETE FROM due{day} d USING known k
      WHERE d.kind_id = k.kind_id AND d.priority = k.priority AND d.due_at = k.old_due_at AND d.task_id = k.task_id
        AND d.version = k.version
      RETURNING d.kind_id, d.priority, k.due_at, d.task_id, d.version + 1 AS version, k.event_id, d.attempt
    ), waiting AS (
      INSERT INTO due (kind_id, priority, due_at, task_id, version, event_id, attempt)
      SELECT kind_id, priority, due_at, task_id, version, event_id, attempt FROM moved
    )
    INSERT INTO event (task_id, version, type, event_id, at, due_at)
    SELECT task_id, version, ${eventType.TaskRescheduled}, event_id, (SELECT clock_timestamp()), due_at FROM moved
    RETURNING task_id`
  },
  find: `SELECT version, type, due_at, event_id FROM event WHERE task_id = $1::uuid ORDER BY version`
}
