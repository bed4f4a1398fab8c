-- Pausing kinds and queues, the pace of capped kinds, and which dead letters have been announced.
-- Locks: kind and dead_letter, exclusively, for the instant of adding a nullable column; dead_letter is closed to writes
-- while its index is built, a second per million dead letters. Size: a row per paused queue and per capped kind.
-- breaking: no

ALTER TABLE duetime.kind ADD COLUMN paused_at timestamptz;

-- Both ways to what is paused are empty when nothing is: a claim or start then reads no kind at all.
CREATE INDEX kind_paused ON duetime.kind (kind_id) WHERE paused_at IS NOT NULL;
CREATE INDEX kind_queue ON duetime.kind ((coalesce(policy->>'queue', 'default')));

CREATE TABLE duetime.paused_queue (
  queue     text PRIMARY KEY,
  paused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Locked by whoever claims of the kind, so that claims of a capped kind come one after another.
CREATE TABLE duetime.pace (
  refilled_at timestamptz NOT NULL,
  tokens      float8 NOT NULL,
  kind_id     int4 NOT NULL PRIMARY KEY
) WITH (fillfactor = 50);

ALTER TABLE duetime.dead_letter ADD COLUMN announced_at timestamptz;

CREATE INDEX dead_letter_unannounced ON duetime.dead_letter (dead_at, task_id) WHERE announced_at IS NULL;
