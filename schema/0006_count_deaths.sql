-- How many attempts of a task in a row have died with their processes.
-- Locks: due, in_progress and parked, exclusively, for the instant of adding a column: a constant default rewrites nothing.
-- Size: none; two bytes that the alignment of these rows had left unused.
-- Deaths of before are not counted, nor what a process of the version before moves while it is being replaced: the audit
-- names such rows, and `duetime projections rebuild --replace` brings them to what their events tell.
-- breaking: no

ALTER TABLE duetime.due ADD COLUMN deaths int2 NOT NULL DEFAULT 0;
ALTER TABLE duetime.in_progress ADD COLUMN deaths int2 NOT NULL DEFAULT 0;
ALTER TABLE duetime.parked ADD COLUMN deaths int2 NOT NULL DEFAULT 0;
