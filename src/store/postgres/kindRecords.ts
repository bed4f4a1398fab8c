import type { KindRecord } from "../TaskStore.ts"
import { type KindRow, policyOf } from "./Kinds.ts"
import { pausedKinds } from "./pause.ts"

export type KindRecordRow = KindRow & { readonly live: number; readonly paused: boolean }

/**
 * One statement: a kind that is announced between two would be known and have no queue yet. Sessions are counted once for all
 * kinds: compared with each kind it took 9 ms with 100 of both, and every engine asks each second (bench/wide).
 */
export const kindRecordsSql = `WITH served AS (
    SELECT served.kind_id, count(*)::int4 AS live
    FROM duetime.session s CROSS JOIN LATERAL unnest(s.kind_ids) AS served (kind_id)
    WHERE s.ended_at IS NULL AND s.lease_until > clock_timestamp()
    GROUP BY served.kind_id
  )
  SELECT k.kind_id, k.name, k.policy, coalesce(served.live, 0) AS live, k.kind_id = ANY (${pausedKinds}) AS paused
  FROM duetime.kind k LEFT JOIN served USING (kind_id)
  ORDER BY k.name`

export const kindRecordsOf = (rows: ReadonlyArray<KindRecordRow>): ReadonlyArray<KindRecord> =>
  rows.map((row) => ({
    policy: policyOf(row),
    known: row.policy !== null,
    liveSessions: row.live,
    isPaused: row.paused
  }))
