import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"

/** Typed array parameters for `unnest`: one statement text and one plan for a batch of any size. */
const arrayOf =
  (oid: number) =>
  (values: ReadonlyArray<unknown>): PgTypes.Parameter =>
    Result.getOrThrow(PgTypes.array(values, oid))

export const uuids = arrayOf(PgTypes.OID.uuid)
export const int2s = arrayOf(PgTypes.OID.int2)
export const int4s = arrayOf(PgTypes.OID.int4)
export const float8s = arrayOf(PgTypes.OID.float8)
export const texts = arrayOf(PgTypes.OID.text)
/** From milliseconds since 1970; whole ones, since the wire form of a fraction is not exact. */
export const instants = arrayOf(PgTypes.OID.timestamptz)

export const int2 = PgTypes.int2
export const int4 = PgTypes.int4
export const float8 = PgTypes.float8
export const uuid = PgTypes.uuid
export const text = PgTypes.text
export const instant = PgTypes.timestamptz

/** SQL for an instant column as ms since 1970 with its microseconds; the driver's own `Date` would cut them off. */
export const msOf = (column: string): string => `date_part('epoch', ${column}) * 1000`

/**
 * SQL for "ms after the statement's instant, rounded up to a whole millisecond": due times are whole, so that they page
 * and compare exactly. The statement has the instant as `at` in the CTE `now`.
 */
export const msFromNow = (ms: string): string =>
  `to_timestamp(ceil(date_part('epoch', (SELECT at FROM now)) * 1000 + ${ms}) / 1000.0)`
