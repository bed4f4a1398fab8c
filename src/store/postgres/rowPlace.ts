import { lowerBoundAt } from "../../core/TaskId.ts"
import { type ProjectionRow, type ProjectionTable, projectionTables } from "./auditedRows.ts"

/** Where a projection row is, as text: its table and its key there. It names a row, and is the cursor of the page behind it. */
export const cursorOf = (table: ProjectionTable, row: ProjectionRow): string =>
  (table === "due" ? [table, row.task_id, row.kind_id, row.priority, row.due_at_ms] : [table, row.task_id]).join("/")

/** Null and a table by itself are the place before its first row. */
export const placeOf = (cursor: string | null) => {
  const [name, taskId = lowerBoundAt(0), kindId = "-1", rank = "-1", dueAtMs = "-Infinity"] = (cursor ?? "due").split(
    "/"
  )
  const table = projectionTables.find((known) => known === name) ?? "due"
  return { table, taskId, kindId: Number(kindId), rank: Number(rank), dueAtMs: Number(dueAtMs) }
}
