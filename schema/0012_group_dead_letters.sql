-- Groups of dead letters with the same cause, and payloads that a person has mended.
-- The fingerprint is worked out behind the death, not by the statement that records it, so null: not yet.
-- Locks: dead_letter, exclusively, for the instant of adding a nullable column; then it is closed to writes while its two
-- indexes are built, two seconds per million dead letters. Size: 60 bytes per dead letter in the indexes; a row per mended task.
-- A process of the version before that starts a mended task while it is being replaced gives it the payload of before.
-- breaking: no

ALTER TABLE duetime.dead_letter ADD COLUMN fingerprint text;

CREATE INDEX dead_letter_ungrouped ON duetime.dead_letter (task_id) WHERE fingerprint IS NULL;
CREATE INDEX dead_letter_group ON duetime.dead_letter (fingerprint, task_id) INCLUDE (kind_id, dead_at) WHERE fingerprint IS NOT NULL;

CREATE TABLE duetime.edited (
  task_id uuid NOT NULL PRIMARY KEY,
  version int4 NOT NULL
);
