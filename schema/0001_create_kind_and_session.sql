-- Kinds with the policy their workers announced, and the lease of each process.
-- Locks: none on existing tables. Size: up to thousands of rows each.
-- breaking: no

CREATE SCHEMA IF NOT EXISTS duetime;

CREATE TABLE duetime.kind (
  kind_id    int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL,
  -- null until a worker has announced the kind: its tasks wait, visible.
  policy     jsonb,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT kind_name_is_unique UNIQUE (name),
  CONSTRAINT kind_name_is_short CHECK (char_length(name) BETWEEN 1 AND 100)
);

-- A process that lost its lease never gets it back: renewing needs a lease that still lasts. It opens a new session.
CREATE TABLE duetime.session (
  session_id  int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lease_until timestamptz NOT NULL,
  opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at    timestamptz,
  process     text NOT NULL,
  kind_ids    int4[] NOT NULL DEFAULT '{}'
);

CREATE INDEX session_live ON duetime.session (lease_until) WHERE ended_at IS NULL;
