-- Five accounts that own nothing they need not own. "duetime roles" runs this file, and so may psql:
--   psql -v ON_ERROR_STOP=1 -1 -f schema/roles.sql        with the prefix: PGOPTIONS="-c duetime.role_prefix=mail"
-- Whoever runs it may make roles and is the owner of the schema, or a superuser. It may be run again, and is to be after a migration
-- (duetime migrate does so by itself): what a role may do afterwards is what stands here, and nothing that it was given before.
-- They cannot log in. Accounts of programs are members of them: CREATE ROLE mailer LOGIN PASSWORD '...' IN ROLE duetime_worker.
-- Locks: none that a task waits for. Size: five roles of the server, which all of its databases share.

DO $$
DECLARE
  prefix text := coalesce(nullif(current_setting('duetime.role_prefix', true), ''), 'duetime');
  role text;
  owner text := prefix || '_owner';
  found record;
BEGIN
  IF prefix !~ '^[a-z][a-z0-9_]{0,39}$' THEN
    RAISE EXCEPTION 'duetime: % cannot begin the names of roles', quote_literal(prefix)
      USING HINT = 'Give 1 to 40 characters of a-z, 0-9 and _, a letter first.';
  END IF;
  FOREACH role IN ARRAY ARRAY[owner, prefix || '_engine', prefix || '_worker', prefix || '_producer', prefix || '_reader'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role);
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- Another database of the server has made it just now.
    END;
  END LOOP;
  -- Who is no superuser can only give things to a role that it is a member of.
  IF NOT pg_has_role(current_user, owner, 'MEMBER') THEN
    EXECUTE format('GRANT %I TO CURRENT_USER', owner);
  END IF;

  FOR found IN
    SELECT format('SCHEMA %I', nspname) AS thing FROM pg_namespace WHERE nspname = 'duetime' AND nspowner <> owner::regrole
    UNION ALL
    SELECT format('%s duetime.%I', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname) FROM pg_class
    WHERE relnamespace = 'duetime'::regnamespace AND relkind IN ('r', 'p', 'v') AND relowner <> owner::regrole
    UNION ALL
    SELECT format('FUNCTION %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'duetime'::regnamespace AND proowner <> owner::regrole
  LOOP
    EXECUTE format('ALTER %s OWNER TO %I', found.thing, owner);
  END LOOP;
END $$;

DO $$
DECLARE
  prefix text := coalesce(nullif(current_setting('duetime.role_prefix', true), ''), 'duetime');
  others text := format('%I, %I, %I, %I', prefix || '_engine', prefix || '_worker', prefix || '_producer', prefix || '_reader');
  found record;
BEGIN
  EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA duetime FROM %s', others);
  EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA duetime FROM %s', others);
  EXECUTE format('GRANT USAGE ON SCHEMA duetime TO %s', others);
  EXECUTE format('GRANT EXECUTE ON FUNCTION duetime.schedule TO %I, %I, %I', prefix || '_engine', prefix || '_worker', prefix || '_producer');

  -- What is appended is never changed: nobody but the owner could, and a trigger keeps even the owner from it.
  -- r SELECT, a INSERT, w UPDATE, d DELETE, as psql's \dp shows them. A lock of a row counts as an update of it.
  FOR found IN
    WITH allowed (base, engine, worker, producer, reader) AS (VALUES
      ('event',               'ra',   'ra',   'ra',  'r'),
      ('due',                 'rawd', 'rad',  'ra',  'r'),
      ('in_progress',         'rawd', 'rwd',  'r',   'r'),
      ('parked',              'rawd', 'rawd', 'r',   'r'),
      ('dead_letter',         'rawd', 'rawd', 'r',   'r'),
      ('expiring',            'rawd', 'ra',   'ra',  'r'),
      ('key',                 'rawd', 'raw',  'raw', 'r'),
      ('edited',              'rawd', 'raw',  'r',   'r'),
      ('kind',                'raw',  'raw',  'ra',  'r'),
      ('session',             'rawd', 'raw',  'r',   'r'),
      ('pace',                'raw',  'r',    '',    'r'),
      ('paused_queue',        'rad',  'r',    'r',   'r'),
      ('recurrence',          'rawd', 'rawd', 'r',   'r'),
      ('recurrence_revision', 'rad',  'rad',  'r',   'r'),
      ('occurrence',          'raw',  'raw',  'r',   'r'),
      ('migration',           'r',    'r',    'r',   'r'),
      ('task',                'r',    'r',    'r',   'r')
    ), privilege (letter, name) AS (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE'))
    SELECT c.relname, prefix || '_' || who.role AS role, string_agg(p.name, ', ') AS privileges
    FROM pg_class c
    -- Statements name partitions by themselves, so each has what its table has.
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    JOIN allowed ON allowed.base = coalesce((SELECT parent.relname FROM pg_class parent WHERE parent.oid = i.inhparent), c.relname)
    CROSS JOIN LATERAL (VALUES ('engine', engine), ('worker', worker), ('producer', producer), ('reader', reader)) AS who (role, letters)
    JOIN privilege p ON strpos(who.letters, p.letter) > 0
    WHERE c.relnamespace = 'duetime'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    GROUP BY c.relname, who.role
  LOOP
    EXECUTE format('GRANT %s ON duetime.%I TO %I', found.privileges, found.relname, found.role);
  END LOOP;
END $$;
