import { Effect, Option, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { rankOf } from "../../core/Priority.ts"
import { DueBeyondHorizon } from "../StoreError.ts"
import { batchSizeMax, type NewTask, type Scheduled } from "../TaskStore.ts"
import { sortedById } from "./byDay.ts"
import { confirm } from "./confirm.ts"
import { make as makeGather, type Schedule } from "./gather.ts"
import type { Kinds } from "./Kinds.ts"
import { float8s, instants, int2s, int4s, texts, uuids } from "./parameters.ts"
import { isSqlError, orUnavailable, textOf } from "./sqlErrors.ts"
import { keyHoldersSql, reserveKeysSql, takeKeysOverSql } from "./keyStatements.ts"
import { isLinked, linksText } from "./links.ts"
import { type Extras, scheduleNewSql, scheduleSql } from "./statements.ts"
import type { Told, WakeUps } from "./WakeUps.ts"

/** A larger request is a statement of its own. */
const gatheredTasksMax = 100

/** Appends `TaskScheduled`. Tasks without a key are one statement; keys are reserved first, in the same transaction. */
export const make = Effect.fnUntraced(function* (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly horizonMs: () => number
  readonly wakeUps: Pick<WakeUps, "told" | "scheduled">
}): Effect.fn.Return<Schedule, never, Scope.Scope> {
  const { kinds, sql, wakeUps } = options

  const isInTransaction = Effect.map(Effect.serviceOption(sql.transactionService), Option.isSome)

  /** Ids that had a stream before. */
  const insert = Effect.fnUntraced(function* (
    batch: ReadonlyArray<NewTask>,
    ids: ReadonlyMap<string, number>,
    told: Told | null = null
  ) {
    const tasks = sortedById(batch)
    const extras = extrasOf(tasks)
    const parameters = scheduleParameters(tasks, ids, extras)
    const tolerant = sql.unsafe<Appended>(scheduleSql(extras), parameters)
    // A statement that fails takes the transaction it is in with it.
    const [row] = (yield* isInTransaction)
      ? yield* tolerant
      : yield* Effect.catchIf(
          sql.unsafe<Appended>(scheduleNewSql(extras), [...parameters, told]),
          isTaken,
          () => tolerant
        )
    if (row?.appended_count === tasks.length) return []
    // Some id has a stream already: by an earlier try of this request, or by somebody who named the same occurrence.
    const mine = yield* confirm(sql, tasks)
    return tasks.filter((task) => !mine.has(task.eventId)).map((task) => task.taskId)
  })

  const insertKeyed = Effect.fnUntraced(function* (batch: ReadonlyArray<NewTask>, ids: ReadonlyMap<string, number>) {
    const keyed = batch.filter((task) => task.key !== null)
    const namesOf = (tasks: ReadonlyArray<NewTask>) => [
      int4s(tasks.map((task) => ids.get(task.kind))),
      texts(tasks.map((task) => task.key)),
      uuids(tasks.map((task) => task.taskId)),
      texts(tasks.map((task) => JSON.stringify(task.payload)))
    ]
    const keptOf = (tasks: ReadonlyArray<NewTask>) => float8s(tasks.map((task) => task.keyKeptMs ?? null))
    const reserved = new Set<string>()
    const reserve = (statement: string, parameters: ReadonlyArray<unknown>) =>
      Effect.map(sql.unsafe<{ readonly task_id: string }>(statement, parameters), (rows) => {
        for (const row of rows) reserved.add(row.task_id)
      })
    /** Of the tasks that did not get their keys. */
    const holdersOf = Effect.suspend(() => {
      const taken = keyed.filter((task) => !reserved.has(task.taskId))
      return taken.length === 0 ? Effect.succeed([]) : sql.unsafe<HolderRow>(keyHoldersSql, namesOf(taken))
    })

    yield* reserve(reserveKeysSql, [...namesOf(keyed), keptOf(keyed)])
    let holders = yield* holdersOf
    // Made by an earlier try of this request, and the key has gone to another one since: to say so now would deny what was made.
    const made = yield* confirm(
      sql,
      keyed.filter((task) => task.keyKeptMs !== undefined && task.keyKeptMs !== null && !reserved.has(task.taskId))
    )
    const isMade = new Set(keyed.flatMap((task) => (made.has(task.eventId) ? [task.taskId] : [])))
    const isAnothers = (row: HolderRow) => isOther(row) && !isMade.has(row.task_id)
    const expiring = new Map(holders.flatMap((row) => (isAnothers(row) && row.is_expiring ? [[row.task_id, row]] : [])))
    if (expiring.size > 0) {
      const tasks = keyed.filter((task) => expiring.has(task.taskId))
      const holderIds = uuids(tasks.map((task) => expiring.get(task.taskId)?.holder_id))
      yield* reserve(takeKeysOverSql, [...namesOf(tasks), keptOf(tasks), holderIds])
      holders = yield* holdersOf
    }
    const answers = new Map<string, Scheduled>()
    for (const row of holders.filter(isAnothers)) {
      answers.set(row.task_id, { _tag: row.same_payload ? "Existing" : "KeyConflict", taskId: row.holder_id })
    }
    const rest = batch.filter((task) => !answers.has(task.taskId))
    if (rest.length > 0)
      for (const taskId of yield* insert(rest, ids)) answers.set(taskId, { _tag: "Existing", taskId })
    return answers
  })

  const run = Effect.fnUntraced(function* (batch: ReadonlyArray<NewTask>) {
    const ids = yield* kinds.idsOf(batch.map((task) => task.kind))
    const earliestDueAtMs = batch.reduce((earliest, task) => Math.min(earliest, task.dueAtMs), Infinity)
    const [kind, ...otherKinds] = ids.keys()
    const onlyKind = otherKinds.length === 0 ? kind : undefined
    const isKeyed = batch.some((task) => task.key !== null)
    const told = isKeyed || (yield* isInTransaction) ? null : wakeUps.told(earliestDueAtMs, onlyKind)
    const answers: ReadonlyMap<string, Scheduled> = isKeyed
      ? yield* sql.withTransaction(insertKeyed(batch, ids))
      : new Map((yield* insert(batch, ids, told)).map((taskId) => [taskId, { _tag: "Existing", taskId }]))
    // A repeat that found its ids taken has told nobody, and need not: the first try did, or the next poll will.
    yield* sql.afterCommit(Effect.sync(() => wakeUps.scheduled(earliestDueAtMs, onlyKind, told)))
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

/**
 * In the transaction of whoever has decided them: occurrences of a recurrence, and what follows an end. Their ids follow from what
 * they are of, so one that has a stream already keeps it: it is the same task.
 */
export const writeTasks = Effect.fnUntraced(function* (sql: SqlClient, kinds: Kinds, tasks: ReadonlyArray<NewTask>) {
  if (tasks.length === 0) return
  const ids = yield* kinds.idsOf(tasks.map(({ kind }) => kind))
  for (let from = 0; from < tasks.length; from += batchSizeMax) {
    const batch = sortedById(tasks.slice(from, from + batchSizeMax))
    const extras = extrasOf(batch)
    yield* sql.unsafe(scheduleSql(extras), scheduleParameters(batch, ids, extras))
  }
})

const extrasOf = (tasks: ReadonlyArray<NewTask>): Extras => ({
  isExpiring: tasks.some(({ expiresAtMs }) => expiresAtMs !== undefined && expiresAtMs !== null),
  isLinked: tasks.some((task) => isLinked(task))
})

/** Of `scheduleSql`, for a batch sorted by id. */
export const scheduleParameters = (
  tasks: ReadonlyArray<NewTask>,
  kindIds: ReadonlyMap<string, number>,
  { isExpiring, isLinked }: Extras
) => [
  uuids(tasks.map((task) => task.taskId)),
  uuids(tasks.map((task) => task.eventId)),
  int4s(tasks.map((task) => kindIds.get(task.kind))),
  int2s(tasks.map((task) => rankOf(task.priority))),
  instants(tasks.map((task) => task.dueAtMs)),
  texts(tasks.map((task) => task.key)),
  texts(tasks.map((task) => JSON.stringify(task.payload))),
  ...(isExpiring ? [instants(tasks.map((task) => task.expiresAtMs ?? null))] : []),
  ...(isLinked ? [texts(tasks.map(linksText))] : [])
]

type HolderRow = {
  readonly task_id: string
  readonly holder_id: string
  readonly is_expiring: boolean
  readonly same_payload: boolean
}

/** The holder is the task itself when a request is repeated: it goes on and is found to exist. */
const isOther = (row: HolderRow): boolean => row.holder_id !== row.task_id

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
