-- duetime.schedule(...): tasks from other languages, ORMs and triggers, in the caller's transaction, by a role that may do
-- nothing else here. What it stores is what the client stores; a test holds both equal.
-- And keys that are free again some time after the end of their task.
-- Locks: key, exclusively, for the instant of adding a nullable column. Size: a bit per key.
-- breaking: no

ALTER TABLE duetime.key ADD COLUMN kept_ms float8;

CREATE FUNCTION duetime.refuse_option(field text, value text, way_out text, code text DEFAULT '22023') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING
    MESSAGE = format('duetime.schedule: %s is %s', field, coalesce(left(quote_literal(value), 80), 'null')),
    ERRCODE = code, DETAIL = 'Nothing was scheduled.', HINT = way_out, COLUMN = field;
END $$;

-- FNV-1a over UTF-16 units, 32 bits, folded to 0 to 4095: slotOfKey of src/core/TaskId.ts.
CREATE FUNCTION duetime.slot_of_key(ordering_key text) RETURNS int4
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  hash int8 := 2166136261;
  point int4;
BEGIN
  FOR place IN 1 .. char_length(ordering_key) LOOP
    point := ascii(substr(ordering_key, place, 1));
    IF point > 65535 THEN
      hash := ((hash # (55296 + ((point - 65536) >> 10))) * 16777619) & 4294967295;
      point := 56320 + ((point - 65536) & 1023);
    END IF;
    hash := ((hash # point) * 16777619) & 4294967295;
  END LOOP;
  RETURN ((hash # (hash >> 16)) & 4095)::int4;
END $$;

-- Rows are written once for every call, so this avoids what a statement of the client spreads over a batch: no block with
-- an EXCEPTION, whose subtransactions make every snapshot of the server dearer beyond 64 in one transaction.
CREATE FUNCTION duetime.schedule(
  kind text,
  payload jsonb,
  due_at timestamptz DEFAULT now(),
  key text DEFAULT NULL,
  priority text DEFAULT NULL,
  ordering_key text DEFAULT NULL,
  key_expires_in interval DEFAULT NULL,
  OUT task_id uuid,
  OUT created bool
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  -- Those of src/: keyLengthMax, keyKeptMsMax, payloadBytesMaxDefault, jsonDepthMax, priorities by their rank, and of
  -- eventCodes TaskScheduled, and AttemptSucceeded, TaskCancelled, TaskReconciled: ends that are final.
  key_length_max CONSTANT int4 := 512;
  key_kept_max CONSTANT interval := '720 hours';
  payload_bytes_max CONSTANT int4 := 262144;
  levels_max CONSTANT text := '100';
  task_scheduled CONSTANT int2 := 1;
  final_ends CONSTANT int2[] := '{30, 32, 33}';
  ranks CONSTANT text[] := ARRAY['critical', 'high', 'normal', 'low'];
  -- A transaction may stay open so long after its call, and engines are still told when it commits. What is due later is
  -- found by polling. Being told costs: every commit that tells takes a lock of the whole database.
  near CONSTANT interval := '10 minutes';
  reserve_tries_max CONSTANT int4 := 10;
  payload_text text := schedule.payload::text;
  now_at timestamptz := date_trunc('milliseconds', clock_timestamp());
  nominal_at timestamptz;
  jittered_at timestamptz;
  horizon_at timestamptz;
  my_kind_id int4;
  policy jsonb;
  rank int2;
  bytes bytea := uuid_send(gen_random_uuid());
  holder uuid;
  holder_kept_ms float8;
  is_same bool;
  my_kept_ms float8 := ceil(extract(epoch FROM schedule.key_expires_in) * 1000);
BEGIN
  IF schedule.kind IS NULL OR schedule.kind COLLATE "C" !~ '^[a-z][a-z0-9._-]{0,99}$' THEN
    PERFORM duetime.refuse_option('kind', schedule.kind, 'Give 1 to 100 characters of a-z, 0-9 and "._-", a letter first, such as "send-reminder".');
  END IF;
  IF payload_text IS NULL THEN
    PERFORM duetime.refuse_option('payload', NULL, 'Give the payload as jsonb; no payload is ''null''::jsonb.');
  ELSIF octet_length(payload_text) > payload_bytes_max THEN
    PERFORM duetime.refuse_option('payload', format('%s bytes', octet_length(payload_text)),
      format('Give at most %s bytes of JSON; store the data elsewhere and put where it is into the payload.', payload_bytes_max));
  -- Whatever is nested deeper than 100 levels, or has a number over 1.8e308, takes more text.
  ELSIF octet_length(payload_text) > 2 * levels_max::int4 THEN
    IF jsonb_path_exists(schedule.payload, ('strict $.**{' || levels_max || '} ? (@.type() == "object" || @.type() == "array")')::jsonpath) THEN
      PERFORM duetime.refuse_option('payload', 'nested deeper than ' || levels_max || ' levels', 'Give plain JSON with fewer levels.');
    END IF;
    IF octet_length(payload_text) > 308
      AND jsonb_path_exists(schedule.payload, 'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') THEN
      PERFORM duetime.refuse_option('payload', 'a number beyond 1.8e308', 'Give numbers that a JSON reader can hold, or text.');
    END IF;
  END IF;
  IF schedule.due_at IS NULL OR NOT isfinite(schedule.due_at) THEN
    PERFORM duetime.refuse_option('due_at', schedule.due_at::text, 'Give an instant, or leave due_at out for now.');
  END IF;
  IF char_length(schedule.key) NOT BETWEEN 1 AND key_length_max THEN
    PERFORM duetime.refuse_option('key', schedule.key, format('Give 1 to %s characters, or null for none.', key_length_max));
  END IF;
  IF schedule.key_expires_in NOT BETWEEN interval '0' AND key_kept_max OR (schedule.key_expires_in IS NOT NULL AND schedule.key IS NULL) THEN
    PERFORM duetime.refuse_option('key_expires_in', schedule.key_expires_in::text, 'Give 0 to 30 days together with a key, or null: as long as the task''s history.');
  END IF;
  IF char_length(schedule.ordering_key) NOT BETWEEN 1 AND key_length_max THEN
    PERFORM duetime.refuse_option('ordering_key', schedule.ordering_key, format('Give 1 to %s characters, or null for none.', key_length_max));
  END IF;
  IF schedule.priority IS NOT NULL AND NOT schedule.priority = ANY (ranks) THEN
    PERFORM duetime.refuse_option('priority', schedule.priority, format('Give one of %s, or null for the kind''s.', array_to_string(ranks, ', ')));
  END IF;

  -- Whole milliseconds: now rounds down, so that it is due at once, the rest up.
  nominal_at := greatest(now_at, date_trunc('milliseconds', schedule.due_at + interval '999 microseconds'));
  -- A random UUID with the due time in front and version 7; what is random of it is the slot and the rest.
  bytes := overlay(bytes PLACING substring(int8send((extract(epoch FROM nominal_at) * 1000)::int8) FROM 3) FROM 1 FOR 6);
  bytes := set_byte(bytes, 6, 112 | (get_byte(bytes, 6) & 15));
  IF schedule.ordering_key IS NOT NULL THEN
    bytes := set_byte(bytes, 6, 112 | (duetime.slot_of_key(schedule.ordering_key) >> 8));
    bytes := set_byte(bytes, 7, duetime.slot_of_key(schedule.ordering_key) & 255);
  END IF;
  task_id := encode(bytes, 'hex')::uuid;

  SELECT k.kind_id, k.policy INTO my_kind_id, policy FROM duetime.kind k WHERE k.name = schedule.kind;
  rank := array_position(ranks, coalesce(schedule.priority, policy->>'priority', 'normal')) - 1;
  jittered_at := nominal_at + coalesce(floor(
    (policy->'dueJitter'->>'fromMs')::float8
    + ((policy->'dueJitter'->>'toMs')::float8 - (policy->'dueJitter'->>'fromMs')::float8)
    * (('x' || right(encode(bytes, 'hex'), 8))::bit(32)::int8 / 4294967296::float8)
  ), 0) * interval '1 millisecond';
  -- There is a place for the year ahead since a worker has announced a kind; the catalog knows about the rest.
  IF policy IS NULL OR jittered_at > now_at + interval '1 year' THEN
    SELECT max(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz) INTO horizon_at
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'duetime.due'::regclass;
    IF horizon_at IS NULL THEN
      RAISE EXCEPTION 'duetime.schedule: the database has no place for tasks yet'
        USING ERRCODE = '55000', DETAIL = 'Nothing was scheduled.', HINT = 'Start an engine, a worker or a program with duetime once: it makes the partitions.';
    ELSIF jittered_at >= horizon_at THEN
      PERFORM duetime.refuse_option('due_at', schedule.due_at::text,
        format('Give an instant before %s; schedule a nearer task that schedules this one.', horizon_at), '22008');
    END IF;
  END IF;

  IF my_kind_id IS NULL THEN
    INSERT INTO duetime.kind (name) VALUES (schedule.kind) ON CONFLICT (name) DO NOTHING;
    SELECT k.kind_id INTO my_kind_id FROM duetime.kind k WHERE k.name = schedule.kind;
  END IF;

  created := schedule.key IS NULL;
  IF NOT created THEN
    FOR tries IN 1 .. reserve_tries_max LOOP
      INSERT INTO duetime.key (kind_id, key, task_id, digest, kept_ms)
      VALUES (my_kind_id, schedule.key, schedule.task_id, sha256(convert_to(payload_text, 'UTF8')), my_kept_ms)
      ON CONFLICT (kind_id, key) DO NOTHING;
      created := FOUND;
      EXIT WHEN created;
      SELECT h.task_id, h.digest = sha256(convert_to(payload_text, 'UTF8')), h.kept_ms INTO holder, is_same, holder_kept_ms
      FROM duetime.key h WHERE h.kind_id = my_kind_id AND h.key = schedule.key;
      -- Without a holder maintenance has forgotten the key in between, and it is free.
      CONTINUE WHEN holder IS NULL;
      IF holder_kept_ms IS NOT NULL AND EXISTS (
        SELECT FROM duetime.event e WHERE e.task_id = holder AND e.type = ANY (final_ends)
          AND e.at + holder_kept_ms * interval '1 millisecond' <= clock_timestamp()
      ) THEN
        UPDATE duetime.key k
        SET task_id = schedule.task_id, digest = sha256(convert_to(payload_text, 'UTF8')), kept_ms = my_kept_ms, made_at = clock_timestamp()
        WHERE k.kind_id = my_kind_id AND k.key = schedule.key AND k.task_id = holder;
        created := FOUND;
        EXIT WHEN created;
        -- Another transaction was quicker: look at whom it gave the key.
        CONTINUE;
      END IF;
      IF NOT is_same THEN
        RAISE EXCEPTION 'duetime.schedule: the key % of kind % belongs to task %, which has another payload',
          quote_literal(schedule.key), schedule.kind, holder
          USING ERRCODE = '23505', DETAIL = 'Nothing was scheduled.', HINT = 'Use another key, or the same payload.',
            COLUMN = 'key', SCHEMA = 'duetime', TABLE = 'key';
      END IF;
      task_id := holder;
      RETURN;
    END LOOP;
    IF NOT created THEN
      RAISE EXCEPTION 'duetime.schedule: the key % is taken and freed again at every look', quote_literal(schedule.key)
        USING ERRCODE = '40001', DETAIL = 'Nothing was scheduled.', HINT = 'Repeat the transaction.';
    END IF;
  END IF;

  INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, key, data)
  VALUES (schedule.task_id, 1, task_scheduled, gen_random_uuid(), clock_timestamp(), my_kind_id, rank, jittered_at, schedule.key, schedule.payload);
  INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged)
  VALUES (my_kind_id, rank, jittered_at, schedule.task_id, 1, 0, 0);

  -- Delivered at the commit, and only then. A whole second, so that the equal ones of one transaction are sent once:
  -- an engine that looks further back than it must loses nothing.
  IF jittered_at <= now_at + near THEN
    PERFORM pg_notify('duetime_due', format('sql/%s', floor(extract(epoch FROM jittered_at))::int8 * 1000));
  END IF;
END $$;

REVOKE EXECUTE ON FUNCTION duetime.refuse_option(text, text, text, text) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION duetime.slot_of_key(text) FROM PUBLIC;

REVOKE EXECUTE ON FUNCTION duetime.schedule(text, jsonb, timestamptz, text, text, text, interval) FROM PUBLIC;
