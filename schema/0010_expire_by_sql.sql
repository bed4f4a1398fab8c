-- duetime.schedule(...) with expires_in and expires_at: tasks that are worthless when late, as the client schedules them.
-- Two parameters more are another function, so it takes the place of the one before, with that one's owner and grants. Calls
-- stay as they are, by position and by name, those in triggers and prepared statements too. What PostgreSQL knows to depend on the
-- one before (a view, a body written in standard SQL) makes this migration fail, by name: drop it, migrate, and make it again.
-- Locks: none on tables. A call that was being planned at the instant of the commit may fail ("cache lookup failed for function")
-- and has scheduled nothing.
-- A process of a version before migration 0009 starts tasks without looking at their expiry: use it when all are newer.
-- breaking: no

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
  expires_in interval DEFAULT NULL,
  expires_at timestamptz DEFAULT NULL,
  OUT task_id uuid,
  OUT created bool
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  -- Those of src/: keyLengthMax, keyKeptMsMax, expiresInMsMax, payloadBytesMaxDefault, jsonDepthMax, priorities by their rank, and
  -- of eventCodes TaskScheduled, and AttemptSucceeded, TaskCancelled, TaskReconciled, TaskExpired: ends that are final.
  key_length_max CONSTANT int4 := 512;
  key_kept_max CONSTANT interval := '720 hours';
  expires_in_max CONSTANT interval := '8784 hours';
  payload_bytes_max CONSTANT int4 := 262144;
  levels_max CONSTANT text := '100';
  task_scheduled CONSTANT int2 := 1;
  final_ends CONSTANT int2[] := '{30, 32, 33, 34}';
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
  -- Counted in hours, days of 24 of them: what "1 day" is must not depend on the time zone of the session.
  expires_in_ms float8 := ceil(extract(epoch FROM schedule.expires_in) * 1000);
  latest_due_at timestamptz;
  my_expires_at timestamptz;
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
  IF expires_in_ms NOT BETWEEN 1 AND extract(epoch FROM expires_in_max) * 1000 THEN
    PERFORM duetime.refuse_option('expires_in', schedule.expires_in::text, 'Give 1 ms to 366 days, counted from the due time, or null: never.');
  ELSIF schedule.expires_in IS NOT NULL AND schedule.expires_at IS NOT NULL THEN
    PERFORM duetime.refuse_option('expires_at', schedule.expires_at::text, 'Give either expires_in or expires_at, not both.');
  ELSIF NOT isfinite(schedule.expires_at) THEN
    PERFORM duetime.refuse_option('expires_at', schedule.expires_at::text, 'Give an instant after the due time, or null: never.');
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
  IF schedule.expires_at IS NOT NULL THEN
    -- Down, so that it never starts later than was said; and after the latest due time, whatever this task's jitter is.
    my_expires_at := date_trunc('milliseconds', schedule.expires_at);
    latest_due_at := nominal_at + coalesce((policy->'dueJitter'->>'toMs')::float8, 0) * interval '1 millisecond';
    IF my_expires_at <= latest_due_at OR my_expires_at > latest_due_at + expires_in_max THEN
      PERFORM duetime.refuse_option('expires_at', schedule.expires_at::text,
        format('Give an instant after the latest due time %s and at most 366 days after it.', latest_due_at));
    END IF;
  ELSE
    my_expires_at := jittered_at + expires_in_ms * interval '1 millisecond';
  END IF;
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

  INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, key, data, deadline_at)
  VALUES (schedule.task_id, 1, task_scheduled, gen_random_uuid(), clock_timestamp(), my_kind_id, rank, jittered_at, schedule.key, schedule.payload,
    my_expires_at);
  INSERT INTO duetime.due (kind_id, priority, due_at, task_id, version, attempt, charged)
  VALUES (my_kind_id, rank, jittered_at, schedule.task_id, 1, 0, 0);
  IF my_expires_at IS NOT NULL THEN
    INSERT INTO duetime.expiring (task_id, expires_at, look_at) VALUES (schedule.task_id, my_expires_at, my_expires_at);
  END IF;

  -- Delivered at the commit, and only then. A whole second, so that the equal ones of one transaction are sent once:
  -- an engine that looks further back than it must loses nothing.
  IF jittered_at <= now_at + near THEN
    PERFORM pg_notify('duetime_due', format('sql/%s', floor(extract(epoch FROM jittered_at))::int8 * 1000));
  END IF;
END $$;

DO $$
DECLARE
  before CONSTANT regprocedure := 'duetime.schedule(text, jsonb, timestamptz, text, text, text, interval)';
  after CONSTANT regprocedure := 'duetime.schedule(text, jsonb, timestamptz, text, text, text, interval, interval, timestamptz)';
  their name;
  may record;
BEGIN
  SELECT pg_get_userbyid(p.proowner) INTO STRICT their FROM pg_proc p WHERE p.oid = before;
  EXECUTE format('ALTER FUNCTION %s OWNER TO %I', after, their);
  -- Whatever the database gives new functions by default.
  FOR may IN
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
    FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE p.oid = after
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', after, may.who);
  END LOOP;
  FOR may IN
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who, bool_or(a.is_grantable) AS is_grantable
    FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE p.oid = before
    GROUP BY a.grantee
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s%s', after, may.who, CASE WHEN may.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
  END LOOP;
END $$;

DROP FUNCTION duetime.schedule(text, jsonb, timestamptz, text, text, text, interval);
