-- The schema as the migrations leave it, without partitions: what "duetime doctor" holds a database against.
-- Dumped from a migrated database by test/docs/snapshot.test.ts; run that with -u after a new migration.

-- table dead_letter
CREATE TABLE duetime.dead_letter (
  due_at timestamp with time zone NOT NULL,
  dead_at timestamp with time zone NOT NULL,
  task_id uuid NOT NULL,
  kind_id integer NOT NULL,
  version integer NOT NULL,
  attempt integer NOT NULL,
  charged integer NOT NULL,
  priority smallint NOT NULL,
  data jsonb,
  announced_at timestamp with time zone,
  fingerprint text
);

-- table due
CREATE TABLE duetime.due (
  due_at timestamp with time zone NOT NULL,
  task_id uuid NOT NULL,
  kind_id integer NOT NULL,
  version integer NOT NULL,
  attempt integer NOT NULL,
  charged integer NOT NULL,
  priority smallint NOT NULL,
  deaths smallint DEFAULT 0 NOT NULL,
  followed boolean DEFAULT false NOT NULL
) PARTITION BY RANGE (due_at);

-- table edited
CREATE TABLE duetime.edited (
  task_id uuid NOT NULL,
  version integer NOT NULL
);

-- table event
CREATE TABLE duetime.event (
  at timestamp with time zone NOT NULL,
  due_at timestamp with time zone,
  deadline_at timestamp with time zone,
  dispatched_at timestamp with time zone,
  task_id uuid NOT NULL,
  event_id uuid NOT NULL,
  version integer NOT NULL,
  kind_id integer,
  session_id integer,
  attempt integer,
  type smallint NOT NULL,
  priority smallint,
  key text,
  data jsonb,
  follow_ups jsonb
) PARTITION BY RANGE (task_id);

-- table expiring
CREATE TABLE duetime.expiring (
  expires_at timestamp with time zone NOT NULL,
  look_at timestamp with time zone NOT NULL,
  task_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0);

-- table in_progress
CREATE TABLE duetime.in_progress (
  due_at timestamp with time zone NOT NULL,
  deadline_at timestamp with time zone,
  task_id uuid NOT NULL,
  fence_id uuid NOT NULL,
  kind_id integer NOT NULL,
  session_id integer NOT NULL,
  version integer NOT NULL,
  fence_version integer NOT NULL,
  attempt integer NOT NULL,
  charged integer NOT NULL,
  priority smallint NOT NULL,
  status smallint NOT NULL,
  cancel_requested boolean DEFAULT false NOT NULL,
  deaths smallint DEFAULT 0 NOT NULL,
  followed boolean DEFAULT false NOT NULL
) WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0);

-- table key
CREATE TABLE duetime.key (
  task_id uuid NOT NULL,
  made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
  kind_id integer NOT NULL,
  key text NOT NULL,
  digest bytea NOT NULL,
  kept_ms double precision
);

-- table kind
CREATE TABLE duetime.kind (
  kind_id integer GENERATED ALWAYS AS IDENTITY NOT NULL,
  name text NOT NULL,
  policy jsonb,
  updated_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
  paused_at timestamp with time zone
);

-- table migration
CREATE TABLE duetime.migration (
  migration_id integer NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  name text NOT NULL
);

-- table occurrence
CREATE TABLE duetime.occurrence (
  nominal_at timestamp with time zone NOT NULL,
  until_at timestamp with time zone NOT NULL,
  decided_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
  task_id uuid,
  recurrence_id integer NOT NULL,
  revision integer NOT NULL,
  fate smallint NOT NULL
) PARTITION BY RANGE (nominal_at);

-- table pace
CREATE TABLE duetime.pace (
  refilled_at timestamp with time zone NOT NULL,
  tokens double precision NOT NULL,
  kind_id integer NOT NULL
) WITH (fillfactor=50);

-- table parked
CREATE TABLE duetime.parked (
  due_at timestamp with time zone NOT NULL,
  parked_at timestamp with time zone NOT NULL,
  task_id uuid NOT NULL,
  kind_id integer NOT NULL,
  version integer NOT NULL,
  attempt integer NOT NULL,
  charged integer NOT NULL,
  priority smallint NOT NULL,
  cancel_requested boolean NOT NULL,
  ask_at timestamp with time zone DEFAULT clock_timestamp(),
  asked integer DEFAULT 0 NOT NULL,
  deaths smallint DEFAULT 0 NOT NULL
);

-- table paused_queue
CREATE TABLE duetime.paused_queue (
  queue text NOT NULL,
  paused_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

-- table recurrence
CREATE TABLE duetime.recurrence (
  created_at timestamp with time zone NOT NULL,
  revised_at timestamp with time zone NOT NULL,
  settled_until timestamp with time zone NOT NULL,
  next_at timestamp with time zone,
  decide_at timestamp with time zone,
  paused_at timestamp with time zone,
  last_task_id uuid,
  recurrence_id integer GENERATED ALWAYS AS IDENTITY NOT NULL,
  kind_id integer NOT NULL,
  revision integer NOT NULL,
  priority smallint,
  name text NOT NULL,
  digest text NOT NULL,
  rule jsonb NOT NULL,
  policies jsonb NOT NULL,
  payload jsonb NOT NULL,
  follow_ups jsonb
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0);

-- table recurrence_revision
CREATE TABLE duetime.recurrence_revision (
  from_at timestamp with time zone NOT NULL,
  recurrence_id integer NOT NULL,
  revision integer NOT NULL,
  is_paused boolean NOT NULL,
  digest text NOT NULL,
  rule jsonb NOT NULL,
  policies jsonb NOT NULL
);

-- table session
CREATE TABLE duetime.session (
  session_id integer GENERATED ALWAYS AS IDENTITY NOT NULL,
  lease_until timestamp with time zone NOT NULL,
  opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
  ended_at timestamp with time zone,
  process text NOT NULL,
  kind_ids integer[] DEFAULT '{}'::integer[] NOT NULL
);

-- constraint dead_letter.dead_letter_pkey
ALTER TABLE duetime.dead_letter ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (task_id);

-- constraint due.due_pkey
ALTER TABLE duetime.due ADD CONSTRAINT due_pkey PRIMARY KEY (kind_id, priority, due_at, task_id);

-- constraint edited.edited_pkey
ALTER TABLE duetime.edited ADD CONSTRAINT edited_pkey PRIMARY KEY (task_id);

-- constraint event.event_version_is_appended_once
ALTER TABLE duetime.event ADD CONSTRAINT event_version_is_appended_once PRIMARY KEY (task_id, version);

-- constraint expiring.expiring_pkey
ALTER TABLE duetime.expiring ADD CONSTRAINT expiring_pkey PRIMARY KEY (task_id);

-- constraint in_progress.in_progress_pkey
ALTER TABLE duetime.in_progress ADD CONSTRAINT in_progress_pkey PRIMARY KEY (task_id);

-- constraint in_progress.in_progress_status_is_known
ALTER TABLE duetime.in_progress ADD CONSTRAINT in_progress_status_is_known CHECK ((status = ANY (ARRAY[1, 2])));

-- constraint key.key_pkey
ALTER TABLE duetime.key ADD CONSTRAINT key_pkey PRIMARY KEY (kind_id, key);

-- constraint kind.kind_name_is_short
ALTER TABLE duetime.kind ADD CONSTRAINT kind_name_is_short CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100)));

-- constraint kind.kind_name_is_unique
ALTER TABLE duetime.kind ADD CONSTRAINT kind_name_is_unique UNIQUE (name);

-- constraint kind.kind_pkey
ALTER TABLE duetime.kind ADD CONSTRAINT kind_pkey PRIMARY KEY (kind_id);

-- constraint migration.migration_pkey
ALTER TABLE duetime.migration ADD CONSTRAINT migration_pkey PRIMARY KEY (migration_id);

-- constraint occurrence.occurrence_pkey
ALTER TABLE duetime.occurrence ADD CONSTRAINT occurrence_pkey PRIMARY KEY (recurrence_id, nominal_at);

-- constraint pace.pace_pkey
ALTER TABLE duetime.pace ADD CONSTRAINT pace_pkey PRIMARY KEY (kind_id);

-- constraint parked.parked_pkey
ALTER TABLE duetime.parked ADD CONSTRAINT parked_pkey PRIMARY KEY (task_id);

-- constraint paused_queue.paused_queue_pkey
ALTER TABLE duetime.paused_queue ADD CONSTRAINT paused_queue_pkey PRIMARY KEY (queue);

-- constraint recurrence.recurrence_name_key
ALTER TABLE duetime.recurrence ADD CONSTRAINT recurrence_name_key UNIQUE (name);

-- constraint recurrence.recurrence_pkey
ALTER TABLE duetime.recurrence ADD CONSTRAINT recurrence_pkey PRIMARY KEY (recurrence_id);

-- constraint recurrence_revision.recurrence_revision_pkey
ALTER TABLE duetime.recurrence_revision ADD CONSTRAINT recurrence_revision_pkey PRIMARY KEY (recurrence_id, revision);

-- constraint session.session_pkey
ALTER TABLE duetime.session ADD CONSTRAINT session_pkey PRIMARY KEY (session_id);

-- index dead_letter_group
CREATE INDEX dead_letter_group ON duetime.dead_letter USING btree (fingerprint, task_id) INCLUDE (kind_id, dead_at) WHERE (fingerprint IS NOT NULL);

-- index dead_letter_unannounced
CREATE INDEX dead_letter_unannounced ON duetime.dead_letter USING btree (dead_at, task_id) WHERE (announced_at IS NULL);

-- index dead_letter_ungrouped
CREATE INDEX dead_letter_ungrouped ON duetime.dead_letter USING btree (task_id) WHERE (fingerprint IS NULL);

-- index expiring_look
CREATE INDEX expiring_look ON duetime.expiring USING btree (look_at);

-- index kind_paused
CREATE INDEX kind_paused ON duetime.kind USING btree (kind_id) WHERE (paused_at IS NOT NULL);

-- index kind_queue
CREATE INDEX kind_queue ON duetime.kind USING btree (COALESCE((policy ->> 'queue'::text), 'default'::text));

-- index parked_asked
CREATE INDEX parked_asked ON duetime.parked USING btree (kind_id, ask_at, task_id) WHERE (ask_at IS NOT NULL);

-- index recurrence_decide
CREATE INDEX recurrence_decide ON duetime.recurrence USING btree (decide_at) WHERE (decide_at IS NOT NULL);

-- index session_live
CREATE INDEX session_live ON duetime.session USING btree (lease_until) WHERE (ended_at IS NULL);

-- function refuse_birth()
CREATE OR REPLACE FUNCTION duetime.refuse_birth()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog'
AS $function$
BEGIN
  RAISE EXCEPTION 'duetime: the day of task % is being retired, and no task is born in it any more', NEW.task_id
    USING HINT = 'Schedule it again: a new id is of today.';
END $function$
;

-- function refuse_change()
CREATE OR REPLACE FUNCTION duetime.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog'
AS $function$
BEGIN
  RAISE EXCEPTION 'duetime.event is append-only: % refused', TG_OP;
END $function$
;

-- function refuse_option(field text, value text, way_out text, code text)
CREATE OR REPLACE FUNCTION duetime.refuse_option(field text, value text, way_out text, code text DEFAULT '22023'::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  RAISE EXCEPTION USING
    MESSAGE = format('duetime.schedule: %s is %s', field, coalesce(left(quote_literal(value), 80), 'null')),
    ERRCODE = code, DETAIL = 'Nothing was scheduled.', HINT = way_out, COLUMN = field;
END $function$
;

-- function schedule(kind text, payload jsonb, due_at timestamp with time zone, key text, priority text, ordering_key text, key_expires_in interval, expires_in interval, expires_at timestamp with time zone, OUT task_id uuid, OUT created boolean)
CREATE OR REPLACE FUNCTION duetime.schedule(kind text, payload jsonb, due_at timestamp with time zone DEFAULT now(), key text DEFAULT NULL::text, priority text DEFAULT NULL::text, ordering_key text DEFAULT NULL::text, key_expires_in interval DEFAULT NULL::interval, expires_in interval DEFAULT NULL::interval, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, OUT task_id uuid, OUT created boolean)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
END $function$
;

-- function slot_of_key(ordering_key text)
CREATE OR REPLACE FUNCTION duetime.slot_of_key(ordering_key text)
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
END $function$
;

-- trigger event.event_is_append_only
CREATE TRIGGER event_is_append_only BEFORE DELETE OR UPDATE ON duetime.event FOR EACH ROW EXECUTE FUNCTION duetime.refuse_change();

-- view task
CREATE OR REPLACE VIEW duetime.task AS SELECT 'PENDING'::text AS status,
    due_at AS scheduled_time,
    version,
    task_id,
    kind_id,
    priority,
    attempt
   FROM duetime.due
UNION ALL
 SELECT 'IN_PROGRESS'::text AS status,
    due_at AS scheduled_time,
    version,
    task_id,
    kind_id,
    priority,
    attempt
   FROM duetime.in_progress
UNION ALL
 SELECT 'PARKED'::text AS status,
    due_at AS scheduled_time,
    version,
    task_id,
    kind_id,
    priority,
    attempt
   FROM duetime.parked
UNION ALL
 SELECT 'DEAD'::text AS status,
    due_at AS scheduled_time,
    version,
    task_id,
    kind_id,
    priority,
    attempt
   FROM duetime.dead_letter;
