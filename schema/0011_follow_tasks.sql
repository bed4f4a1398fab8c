-- Tasks that follow the end of another one: what they are stands in the event that scheduled the first one, and in the definition of
-- a recurrence for each of its tasks. A bit in the row of a task tells whoever ends it that there is something to look up.
-- Locks: event, due, in_progress and recurrence, exclusively, for the instant of adding columns: nullable, or with a constant
-- default, they rewrite nothing. Size: none per event and waiting task, where alignment had left room; eight bytes per claimed or running one.
-- A process of the version before loses the bit when it claims such a task, and ends it without what follows: schedule with
-- onSuccess and onDead only when all engines and workers are of this version.
-- breaking: no

ALTER TABLE duetime.event ADD COLUMN follow_ups jsonb;
ALTER TABLE duetime.due ADD COLUMN followed bool NOT NULL DEFAULT false;
ALTER TABLE duetime.in_progress ADD COLUMN followed bool NOT NULL DEFAULT false;
ALTER TABLE duetime.recurrence ADD COLUMN follow_ups jsonb;
