-- When the outside is asked next what became of a parked attempt, and how often it has been asked.
-- The default serves rows of today, and those that an engine of the version before parks while it is being replaced.
-- Locks: parked, exclusively, while it is rewritten: as long as a scan of it. Size: two columns per parked task.
-- breaking: no

ALTER TABLE duetime.parked
  ADD COLUMN ask_at timestamptz DEFAULT clock_timestamp(),
  ADD COLUMN asked int4 NOT NULL DEFAULT 0;

-- Empty of what only a person decides, however much that is.
CREATE INDEX parked_asked ON duetime.parked (kind_id, ask_at, task_id) WHERE ask_at IS NOT NULL;
