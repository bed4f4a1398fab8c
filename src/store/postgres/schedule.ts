import { Effect, Option, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { rankOf } from "../../core/Priority.ts"
import { DueBeyondHorizon } from "../StoreError.ts"
import type { NewTask, Scheduled } from "../TaskStore.ts"
import { sortedById } from "./byDay.ts"
import { confirm } from "./confirm.ts"
import { make as makeGather, type Schedule } from "./gather.ts"
import type { Kinds } from "./Kinds.ts"
import { instants, int2s, int4s, texts, uuids } from "./parameters.ts"
import { isSqlError, orUnavailable, textOf } from "./sqlErrors.ts"
import { keyHoldersSql, reserveKeysSql, scheduleNewSql, scheduleSql } from "./statements.ts"

/** A larger request is a statement of its own. */
const gatheredTasksMax = 100

/** Appends `TaskScheduled`. Tasks without a key are one statement; keys are reserved first, in the same transaction. */
export const make = Effect.fnUntraced(function* (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly horizonMs: () => number
  /** Told after the commit, with the earliest due time, and with the kind if there is only one. */
  readonly scheduled: (earliestDueAtMs: number, kind?: string | undefined) => void
}): Effect.fn.Return<Schedule, never, Scope.Scope> {
  const { kinds, sql } = options

  const isInTransaction = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)

  /** Ids that had a stream before. */
  const insert = Effect.fnUntraced(function* (batch: ReadonlyArray<NewTask>, ids: ReadonlyMap<string, number>) {
    const tasks = sortedById(batch)
    const parameters = [
      uuids(tasks.map((task) => task.taskId)),
      uuids(tasks.map((task) => task.eventId)),
      int4s(tasks.map((task) => ids.get(task.kind))),
      int2s(tasks.map((task) => rankOf(task.priority))),
      instants(tasks.map((task) => task.dueAtMs)),
      texts(tasks.map((task) => task.key)),
      texts(tasks.map((task) => JSON.stringify(task.payload)))
    ]
    const tolerant = sql.unsafe<Appended>(scheduleSql, parameters)
    // A statement that fails takes the transaction it is in with it.
    const [row] = (yield* isInTransaction)
      ? yield* tolerant
      : yield* Effect.catchIf(sql.unsafe<Appended>(scheduleNewSql, parameters), isTaken, () => tolerant)
    if (row?.appended_count === tasks.length) return []
    // Some id has a stream already: by an earlier try of this request, or by somebody who named the same occurrence.
    const mine = yield* confirm(sql, tasks)
    return tasks.filter((task) => !mine.has(task.eventId)).map((task) => task.taskId)
  })

  const insertKeyed = Effect.fnUntraced(function* (batch: ReadonlyArray<NewTask>, ids: ReadonlyMap<string, number>) {
    const keyed = batch.filter((task) => task.key !== null)
    const parameters = (tasks: ReadonlyArray<NewTask>) => [
      int4s(tasks.map((task) => ids.get(task.kind))),
      texts(tasks.map((task) => task.key)),
      uuids(tasks.map((task) => task.taskId)),
      texts(tasks.map((task) => JSON.stringify(task.payload)))
    ]
    const reserved = new Set(
      (yield* sql.unsafe<{ readonly task_id: string }>(reserveKeysSql, parameters(keyed))).map((row) => row.task_id)
    )
    const taken = keyed.filter((task) => !reserved.has(task.taskId))
    const answers = new Map<string, Scheduled>()
    if (taken.length > 0) {
      const holders = yield* sql.unsafe<{
        readonly task_id: string
        readonly holder_id: string
        readonly same_payload: boolean
      }>(keyHoldersSql, parameters(taken))
      for (const { holder_id, same_payload, task_id } of holders) {
        // The holder is the task itself when a request is repeated: it goes on and is found to exist.
        if (holder_id === task_id) continue
        answers.set(task_id, { _tag: same_payload ? "Existing" : "KeyConflict", taskId: holder_id })
      }
    }
    const rest = batch.filter((task) => !answers.has(task.taskId))
    if (rest.length > 0)
      for (const taskId of yield* insert(rest, ids)) answers.set(taskId, { _tag: "Existing", taskId })
    return answers
  })

  const run = Effect.fnUntraced(function* (batch: ReadonlyArray<NewTask>) {
    const ids = yield* kinds.idsOf(batch.map((task) => task.kind))
    const answers: ReadonlyMap<string, Scheduled> = batch.some((task) => task.key !== null)
      ? yield* sql.withTransaction(insertKeyed(batch, ids))
      : new Map((yield* insert(batch, ids)).map((taskId) => [taskId, { _tag: "Existing", taskId }]))
    const earliestDueAtMs = batch.reduce((earliest, task) => Math.min(earliest, task.dueAtMs), Infinity)
    const [kind, ...otherKinds] = ids.keys()
    const onlyKind = otherKinds.length === 0 ? kind : undefined
    yield* sql.afterCommit(Effect.sync(() => options.scheduled(earliestDueAtMs, onlyKind)))
    return batch.map((task): Scheduled => answers.get(task.taskId) ?? { _tag: "Created", taskId: task.taskId })
  })

  const scheduleBatch: Schedule = (batch) =>
    run(batch).pipe(
      Effect.catchIf(
        (error) => isSqlError(error) && textOf(error).includes("no partition of relation"),
        () => Effect.fail(beyondHorizon(latestOf(batch), options.horizonMs()))
      ),
      orUnavailable("schedule")
    )
  const together = yield* makeGather(scheduleBatch)

  const schedule: Schedule = (batch) => {
    if (batch.length === 0) return Effect.succeed([])
    const horizonMs = options.horizonMs()
    const beyond = batch.find((task) => task.dueAtMs >= horizonMs)
    if (beyond !== undefined) return Effect.fail(beyondHorizon(beyond, horizonMs))
    if (batch.length > gatheredTasksMax || batch.some((task) => task.key !== null)) return scheduleBatch(batch)
    return Effect.flatMap(isInTransaction, (isInside) => (isInside ? scheduleBatch(batch) : together(batch)))
  }
  return schedule
})

type Appended = { readonly appended_count: number }

const isTaken = (error: unknown): boolean => isSqlError(error) && error.reason._tag === "UniqueViolation"

const latestOf = (batch: ReadonlyArray<NewTask>): NewTask | undefined =>
  batch.reduce<NewTask | undefined>(
    (latest, task) => (latest === undefined || task.dueAtMs > latest.dueAtMs ? task : latest),
    undefined
  )

const beyondHorizon = (task: NewTask | undefined, horizonMs: number) =>
  new DueBeyondHorizon({ field: "dueAt", value: isoOf(task?.dueAtMs ?? 0), horizon: isoOf(horizonMs) })

/** Years above 275760 have no ISO form. */
const isoOf = (atMs: number): string => (Math.abs(atMs) <= 8.64e15 ? new Date(atMs).toISOString() : `${atMs} ms`)
