-- The projection, split by stage (docs/adr/0001): a row moves from table to table as the task goes on, and each row
-- carries the version of the last event it folds. A task that succeeded or was cancelled has no row, only history.
-- Locks: none on existing tables.
-- breaking: no

-- Status PENDING: insert and delete only. The primary key is the claim index, (status, due time) with the status in the
-- table's name and a lane per kind and priority in front, so a claim never reads past what it does not serve.
-- Size: everything that waits, 10^9 and more.
CREATE TABLE duetime.due (
  due_at   timestamptz NOT NULL,
  task_id  uuid NOT NULL,
  kind_id  int4 NOT NULL,
  version  int4 NOT NULL,
  attempt  int4 NOT NULL,
  charged  int4 NOT NULL,
  priority int2 NOT NULL,
  PRIMARY KEY (kind_id, priority, due_at, task_id)
) PARTITION BY RANGE (due_at);

-- Status IN_PROGRESS: claimed (1) by an engine or running (2) on a worker. Small and hot. Half-full pages and no index
-- on a column that the start changes, so that the start is a HOT update.
CREATE TABLE duetime.in_progress (
  due_at           timestamptz NOT NULL,
  deadline_at      timestamptz,
  task_id          uuid NOT NULL PRIMARY KEY,
  fence_id         uuid NOT NULL,
  kind_id          int4 NOT NULL,
  session_id       int4 NOT NULL,
  version          int4 NOT NULL,
  fence_version    int4 NOT NULL,
  attempt          int4 NOT NULL,
  charged          int4 NOT NULL,
  priority         int2 NOT NULL,
  status           int2 NOT NULL,
  cancel_requested bool NOT NULL DEFAULT false,
  CONSTRAINT in_progress_status_is_known CHECK (status IN (1, 2))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Status PARKED: interrupted in the middle of something that must not be repeated unasked.
CREATE TABLE duetime.parked (
  due_at           timestamptz NOT NULL,
  parked_at        timestamptz NOT NULL,
  task_id          uuid NOT NULL PRIMARY KEY,
  kind_id          int4 NOT NULL,
  version          int4 NOT NULL,
  attempt          int4 NOT NULL,
  charged          int4 NOT NULL,
  priority         int2 NOT NULL,
  cancel_requested bool NOT NULL
);

-- Status DEAD: kept for a person, until redriven or discarded.
CREATE TABLE duetime.dead_letter (
  due_at   timestamptz NOT NULL,
  dead_at  timestamptz NOT NULL,
  task_id  uuid NOT NULL PRIMARY KEY,
  kind_id  int4 NOT NULL,
  version  int4 NOT NULL,
  attempt  int4 NOT NULL,
  charged  int4 NOT NULL,
  priority int2 NOT NULL,
  data     jsonb
);

-- Alone decides idempotency: the same key in the same kind is the same task.
CREATE TABLE duetime.key (
  task_id  uuid NOT NULL,
  made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind_id  int4 NOT NULL,
  key      text NOT NULL,
  digest   bytea NOT NULL,
  PRIMARY KEY (kind_id, key)
);

-- The requirements' picture of a task: status, scheduled time and version in one place, for people and reports.
CREATE VIEW duetime.task AS
  SELECT 'PENDING' AS status, due_at AS scheduled_time, version, task_id, kind_id, priority, attempt FROM duetime.due
  UNION ALL
  SELECT 'IN_PROGRESS', due_at, version, task_id, kind_id, priority, attempt FROM duetime.in_progress
  UNION ALL
  SELECT 'PARKED', due_at, version, task_id, kind_id, priority, attempt FROM duetime.parked
  UNION ALL
  SELECT 'DEAD', due_at, version, task_id, kind_id, priority, attempt FROM duetime.dead_letter;
