-- The history: append-only, one row per transition, the only truth. Everything else can be folded from it.
-- Partitions are day ranges of task_id (a UUIDv7 that carries the nominal due time), so a stream never moves and
-- (task_id, version) is one constraint: the optimistic lock.
-- Locks: none on existing tables. Size: billions of rows.
-- breaking: no

CREATE TABLE duetime.event (
  -- 8 bytes each, then 16, 4, 2: no padding inside the row. A null costs a bit.
  at            timestamptz NOT NULL,
  due_at        timestamptz,
  deadline_at   timestamptz,
  dispatched_at timestamptz,
  task_id       uuid NOT NULL,
  event_id      uuid NOT NULL,
  version       int4 NOT NULL,
  kind_id       int4,
  session_id    int4,
  attempt       int4,
  type          int2 NOT NULL,
  priority      int2,
  key           text,
  data          jsonb,
  CONSTRAINT event_version_is_appended_once PRIMARY KEY (task_id, version)
) PARTITION BY RANGE (task_id);

CREATE FUNCTION duetime.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'duetime.event is append-only: % refused', TG_OP;
END $$;

CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE ON duetime.event
  FOR EACH ROW EXECUTE FUNCTION duetime.refuse_change();
