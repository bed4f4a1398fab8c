import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { eventCodes } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { type KeyFault, keyFaultsMax } from "../Projections.ts"
import type { Kinds } from "./Kinds.ts"
import { int4 } from "./parameters.ts"

type FaultRow = {
  readonly task_id: TaskId
  readonly kind_id: number
  readonly key: string
  readonly holder_id: TaskId | null
}

const { AttemptSucceeded, TaskCancelled, TaskDeadLettered, TaskExpired, TaskReconciled } = eventCodes

/** A key lives as long as its task's history; how long it outlives the task's end is nobody's promise, so only the living count. */
const unheld = `duetime.event e LEFT JOIN duetime.key k ON k.kind_id = e.kind_id AND k.key = e.key
  WHERE e.version = 1 AND e.key IS NOT NULL AND k.task_id IS DISTINCT FROM e.task_id AND NOT EXISTS (
    SELECT 1 FROM duetime.event l WHERE l.task_id = e.task_id AND l.type IN (${AttemptSucceeded}, ${TaskReconciled}, ${TaskDeadLettered}, ${TaskCancelled}, ${TaskExpired}))`

/** Whose days retention has dropped are forgotten by maintenance, some time later. */
const orphaned = `duetime.key k WHERE NOT EXISTS (SELECT 1 FROM duetime.event e WHERE e.task_id = k.task_id)
  AND k.task_id >= coalesce((
    SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)') FROM pg_class c WHERE c.oid = to_regclass('duetime.event_kept')
  ), '00000000-0000-0000-0000-000000000000')::uuid`

/** Without a key row a second task could be scheduled under the key; with one of a task that is not there, none at all. */
export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  const keyFaults = Effect.gen(function* () {
    const faults: Array<KeyFault> = []
    for (const statement of faultStatements) {
      const rows = yield* sql.unsafe<FaultRow>(statement, [int4(keyFaultsMax)])
      yield* kinds.ensureNames(rows.map((row) => row.kind_id))
      for (const row of rows) {
        faults.push({ taskId: row.task_id, kind: kinds.nameOf(row.kind_id), key: row.key, holderId: row.holder_id })
      }
    }
    return faults
  })

  /** Needs no lock: a key and its task's first event are committed together, so what is looked at here is no longer moving. */
  const replaceKeys = Effect.gen(function* () {
    let replacedCount = 0
    for (const statement of replaceStatements) {
      replacedCount += (yield* sql.unsafe(statement, [int4(keyFaultsMax)])).length
    }
    return replacedCount
  })

  return { keyFaults, replaceKeys }
}

const faultStatements = [
  `SELECT e.task_id, e.kind_id, e.key, k.task_id AS holder_id FROM ${unheld} LIMIT $1::int4`,
  `SELECT k.task_id, k.kind_id, k.key, k.task_id AS holder_id FROM ${orphaned} LIMIT $1::int4`
]

const replaceStatements = [
  `DELETE FROM duetime.key WHERE (kind_id, key) IN (SELECT k.kind_id, k.key FROM ${orphaned} LIMIT $1::int4) RETURNING task_id`,
  `INSERT INTO duetime.key (task_id, kind_id, key, digest)
   SELECT e.task_id, e.kind_id, e.key, sha256(convert_to(e.data::text, 'UTF8')) FROM ${unheld} LIMIT $1::int4
   ON CONFLICT (kind_id, key) DO NOTHING RETURNING task_id`
]
