-- Tasks that follow the end of another one: what they are stands in the event that scheduled the first one, and a bit in its row
-- tells whoever ends it that there is something to look up.
-- Locks: event, due, in_progress and recurrence, exclusively, for the instant of adding columns: nullable, or with a constant default, they
-- rewrite nothing. Size: none for a task that nothing follows; the bit lies where the alignment of these rows had left room.
-- A process of the version before loses the bit when it claims such a task, and ends it without what follows: schedule with
-- onSuccess and onDead only when all engines and workers are of this version.
-- breaking: no

-- And what follows each task of a recurrence.

ALTER TABLE duetime.event ADD COLUMN follow_ups jsonb;
ALTER TABLE duetime.due ADD COLUMN followed bool NOT NULL DEFAULT false;
ALTER TABLE duetime.in_progress ADD COLUMN followed bool NOT NULL DEFAULT false;
ALTER TABLE duetime.recurrence ADD COLUMN follow_ups jsonb;
