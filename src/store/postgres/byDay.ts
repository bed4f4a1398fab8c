import { lowerBoundAt, nominalDueAtMsOf, type TaskId } from "../../core/TaskId.ts"

export const dayMs = 86_400_000

export const dayOf = (atMs: number): number => Math.floor(atMs / dayMs) * dayMs

/**
 * Splits a batch by the day its ids were born in, each part sorted by id and with the bounds that prune the event
 * partitions: unbounded, every statement plans and locks all of them (12 ms at 366 partitions, docs/adr/0001).
 */
export const byDay = <A extends { readonly taskId: TaskId }>(
  batch: ReadonlyArray<A>
): ReadonlyArray<{ readonly rows: ReadonlyArray<A>; readonly from: TaskId; readonly to: TaskId }> => {
  const days = new Map<number, Array<A>>()
  for (const row of batch) {
    const day = dayOf(nominalDueAtMsOf(row.taskId))
    const rows = days.get(day)
    if (rows === undefined) days.set(day, [row])
    else rows.push(row)
  }
  return [...days].map(([day, rows]) => ({
    rows: sortedById(rows),
    from: lowerBoundAt(day),
    to: lowerBoundAt(day + dayMs)
  }))
}

/** Two batches that lock their rows in the same order cannot deadlock. */
export const sortedById = <A extends { readonly taskId: TaskId }>(batch: ReadonlyArray<A>): ReadonlyArray<A> =>
  batch.toSorted((left, right) => (left.taskId < right.taskId ? -1 : left.taskId > right.taskId ? 1 : 0))
