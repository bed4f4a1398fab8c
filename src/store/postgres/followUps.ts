import { Effect, Option } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { type End, type FollowingTask, followUpOf } from "../../core/followUps.ts"
import type { FollowUps, Json } from "../../core/TaskEvent.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { byDay } from "./byDay.ts"
import type { Kinds } from "./Kinds.ts"
import { linksFrom } from "./links.ts"
import { uuid, uuids } from "./parameters.ts"
import { writeTasks } from "./schedule.ts"

/** $1 task ids; $2, $3 bounds of the ids. */
export const followUpsSql = `SELECT e.task_id, e.follow_ups FROM duetime.event e
  WHERE e.task_id = ANY($1::uuid[]) AND e.version = 1 AND e.task_id >= $2::uuid AND e.task_id < $3::uuid`

/**
 * Schedules what follows ends, in the transaction that appends them. Only tasks whose row says that something follows come here: all
 * others are settled in one statement that knows nothing of it.
 */
export const make = ({ kinds, sql }: { readonly sql: SqlClient; readonly kinds: Kinds }) => {
  /** As they were given when the tasks were scheduled; nothing changes them, so they are read before any lock is taken. */
  const read = Effect.fnUntraced(function* (tasks: ReadonlyArray<{ readonly taskId: TaskId }>) {
    const found = new Map<TaskId, FollowUps>()
    for (const day of byDay(tasks)) {
      const rows = yield* sql.unsafe<{ readonly task_id: TaskId; readonly follow_ups: Json }>(followUpsSql, [
        uuids(day.rows.map((row) => row.taskId)),
        uuid(day.from),
        uuid(day.to)
      ])
      for (const { follow_ups, task_id } of rows) found.set(task_id, linksFrom(follow_ups))
    }
    return found
  })

  /** Answers what it has written, for the wake-ups. */
  const write = Effect.fnUntraced(function* (ends: ReadonlyArray<End>, followUps: ReadonlyMap<TaskId, FollowUps>) {
    const tasks = ends.flatMap((end): ReadonlyArray<FollowingTask> => {
      const task = followUpOf(followUps.get(end.taskId) ?? {}, end)
      return task === null ? [] : [task]
    })
    yield* writeTasks(sql, kinds, tasks)
    return tasks
  })

  /** In the transaction that is open, or in one of its own. */
  const together = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(Effect.serviceOption(sql.transactionService), (open) =>
      Option.isSome(open) ? effect : sql.withTransaction(effect)
    )

  return { read, write, together }
}
