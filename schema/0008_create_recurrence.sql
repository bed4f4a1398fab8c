-- Recurrences, their revisions, and the ledger of what became of each nominal instant.
-- Locks: none on existing tables. Size: a row per recurrence, one per edit, pause and resumption, and a ledger line per instant
-- that fires, about 100 bytes, kept as long as history.
-- breaking: no

-- Small and hot: a row is updated each time instants of it are decided. decide_at is the index that engines look up.
CREATE TABLE duetime.recurrence (
  created_at    timestamptz NOT NULL,
  revised_at    timestamptz NOT NULL,
  settled_until timestamptz NOT NULL,
  next_at       timestamptz,
  decide_at     timestamptz,
  paused_at     timestamptz,
  last_task_id  uuid,
  recurrence_id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind_id       int4 NOT NULL,
  revision      int4 NOT NULL,
  priority      int2,
  name          text NOT NULL UNIQUE,
  digest        text NOT NULL,
  rule          jsonb NOT NULL,
  policies      jsonb NOT NULL,
  payload       jsonb NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX recurrence_decide ON duetime.recurrence (decide_at) WHERE decide_at IS NOT NULL;

-- What the ledger is proven against, and what an older program's declaration is known by.
CREATE TABLE duetime.recurrence_revision (
  from_at       timestamptz NOT NULL,
  recurrence_id int4 NOT NULL,
  revision      int4 NOT NULL,
  is_paused     bool NOT NULL,
  digest        text NOT NULL,
  rule          jsonb NOT NULL,
  policies      jsonb NOT NULL,
  PRIMARY KEY (recurrence_id, revision)
);

-- The ledger: every nominal instant has one line, and what was skipped in a row shares one.
CREATE TABLE duetime.occurrence (
  nominal_at    timestamptz NOT NULL,
  until_at      timestamptz NOT NULL,
  decided_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  task_id       uuid,
  recurrence_id int4 NOT NULL,
  revision      int4 NOT NULL,
  fate          int2 NOT NULL,
  PRIMARY KEY (recurrence_id, nominal_at)
) PARTITION BY RANGE (nominal_at);
