-- Tasks that are worthless when late: until when they may start. Beside the projection and not in it, so that the rows of all
-- other tasks, billions of them, stay as they are: a ninth column of due would cost each of its rows 8 bytes more.
-- Locks: none on existing tables. Size: a row per task that expires, until it has.
-- A process of the version before starts tasks without looking here: use expiresAt when all engines and workers are of this one.
-- breaking: no

CREATE TABLE duetime.expiring (
  expires_at timestamptz NOT NULL,
  look_at    timestamptz NOT NULL,
  task_id    uuid NOT NULL PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX expiring_look ON duetime.expiring (look_at);

-- duetime.schedule(...) lets keys expire: the end of a task that expired frees its key, too.
DO $$
BEGIN
  EXECUTE replace(
    pg_get_functiondef('duetime.schedule(text, jsonb, timestamptz, text, text, text, interval)'::regprocedure),
    'final_ends CONSTANT int2[] := ''{30, 32, 33}''',
    'final_ends CONSTANT int2[] := ''{30, 32, 33, 34}'''
  );
END $$;
