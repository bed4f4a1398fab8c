-- No stream begins in a day of history that is being retired, so that what is carried of it can be copied without a lock.
-- Locks: none. Size: none.
-- breaking: no

CREATE FUNCTION duetime.refuse_birth() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'duetime: the day of task % is being retired, and no task is born in it any more', NEW.task_id
    USING HINT = 'Schedule it again: a new id is of today.';
END $$;
