import { eventCodes } from "../../core/TaskEvent.ts"

/** Reserving, taking over and looking up idempotency keys. */

const { AttemptSucceeded, TaskCancelled, TaskExpired, TaskReconciled } = eventCodes

/**
 * Reserves keys: the first with a key wins, whoever comes second learns the winner. The digest is taken of the jsonb
 * form, so the order of fields and the white space of the payload do not matter.
 * $1 kind ids, $2 keys, $3 task ids, $4 payloads, $5 ms that the keys are kept after the end, or null.
 */
export const reserveKeysSql = `WITH arrived AS (
    SELECT kind_id, key, task_id, sha256(convert_to(data::jsonb::text, 'UTF8')) AS digest, kept_ms
    FROM unnest($1::int4[], $2::text[], $3::uuid[], $4::text[], $5::float8[]) AS a (kind_id, key, task_id, data, kept_ms)
    ORDER BY kind_id, key
  ), reserved AS (
    INSERT INTO duetime.key (kind_id, key, task_id, digest, kept_ms)
    SELECT kind_id, key, task_id, digest, kept_ms FROM arrived
    ON CONFLICT (kind_id, key) DO NOTHING
    RETURNING task_id
  )
  SELECT task_id FROM reserved`

/**
 * Takes keys over from holders that have ended so long ago as their keys were to be kept. An end (but for a dead letter, which
 * may be redriven and counts as alive) is final, so whoever sees it is right; of several that do, the first finds the holder
 * that it names. The rows are locked in the order of the reservation. Same parameters, and $6 the holders.
 */
export const takeKeysOverSql = `WITH arrived AS (
    SELECT DISTINCT ON (kind_id, key) a.*
    FROM unnest($1::int4[], $2::text[], $3::uuid[], $4::text[], $5::float8[], $6::uuid[]) WITH ORDINALITY
      AS a (kind_id, key, task_id, data, kept_ms, holder_id, place)
    ORDER BY kind_id, key, place
  ), free AS MATERIALIZED (
    SELECT k.kind_id, k.key, a.task_id, a.data, a.kept_ms
    FROM duetime.key k JOIN arrived a ON k.kind_id = a.kind_id AND k.key = a.key AND k.task_id = a.holder_id
    WHERE EXISTS (
      SELECT FROM duetime.event e
      WHERE e.task_id = k.task_id AND e.type IN (${AttemptSucceeded}, ${TaskCancelled}, ${TaskReconciled}, ${TaskExpired})
        AND e.at + k.kept_ms * interval '1 millisecond' <= clock_timestamp()
    )
    ORDER BY k.kind_id, k.key
    FOR UPDATE OF k
  )
  UPDATE duetime.key k
  SET task_id = f.task_id, digest = sha256(convert_to(f.data::jsonb::text, 'UTF8')), kept_ms = f.kept_ms, made_at = clock_timestamp()
  FROM free f
  WHERE k.kind_id = f.kind_id AND k.key = f.key
  RETURNING f.task_id`

/** Who holds the keys: read after the reservation, when the holders are committed. Same first four parameters. */
export const keyHoldersSql = `SELECT a.task_id, k.task_id AS holder_id, k.kept_ms IS NOT NULL AS is_expiring,
    k.digest = sha256(convert_to(a.data::jsonb::text, 'UTF8')) AS same_payload
  FROM unnest($1::int4[], $2::text[], $3::uuid[], $4::text[]) AS a (kind_id, key, task_id, data)
  JOIN duetime.key k USING (kind_id, key)`
