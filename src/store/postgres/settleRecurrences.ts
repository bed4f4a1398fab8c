import { Effect, Result } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { fold } from "../../core/evolve.ts"
import { defaultKindPolicy } from "../../core/KindPolicy.ts"
import { compiledOf } from "../../core/recurrence/compiled.ts"
import { type Decision, decideFates } from "../../core/recurrence/fates.ts"
import { leadMsMax } from "../../core/recurrence/occurrence.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import { isEnded } from "../../core/TaskState.ts"
import { Ids } from "../Ids.ts"
import { occurrenceTask } from "../occurrenceTask.ts"
import { type Recurrence, type Settled, settleLockedPauseMs, settleTasksMax } from "../RecurrenceStore.ts"
import type { NewTask } from "../TaskStore.ts"
import type { make as makeAct } from "./act.ts"
import type { Kinds } from "./Kinds.ts"
import { instants, int4, int4s, msOf, uuids } from "./parameters.ts"
import type { Reads } from "./read.ts"
import {
  decideAtMs,
  type DecidedLine,
  recurrenceOf,
  type RecurrenceRow,
  selectRecurrences,
  writeLines
} from "./recurrenceRows.ts"
import { writeTasks } from "./schedule.ts"
import { orUnavailable } from "./sqlErrors.ts"

/** A rule that this process cannot read (an older time zone database) is left to others for so long, and told of. */
const unreadablePauseMs = 60_000

const peekSql = `SELECT ${msOf("min(decide_at)")} AS next_ms, ${msOf("clock_timestamp()")} AS now_ms FROM duetime.recurrence WHERE decide_at IS NOT NULL`

/** $1 limit. Who is at a row already has it; its change is found by the next look. */
const takeSql = `${selectRecurrences}
  WHERE decide_at <= (SELECT clock_timestamp()) ORDER BY decide_at LIMIT $1::int4 FOR UPDATE SKIP LOCKED`

/** The lock keeps everybody else out; revision and watermark say so once more. */
const advanceSql = `UPDATE duetime.recurrence r
  SET settled_until = u.settled_until, next_at = u.next_at, decide_at = u.decide_at, last_task_id = coalesce(u.last_task_id, r.last_task_id)
  FROM unnest($1::int4[], $2::int4[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::uuid[])
    AS u (recurrence_id, revision, was_settled, settled_until, next_at, decide_at, last_task_id)
  WHERE r.recurrence_id = u.recurrence_id AND r.revision = u.revision AND r.settled_until = u.was_settled
  RETURNING r.recurrence_id`

/** $1 recurrences, $2 ms. */
const postponeSql = `UPDATE duetime.recurrence SET decide_at = clock_timestamp() + $2::int4 * interval '1 ms' WHERE recurrence_id = ANY($1::int4[])`

export const make = Effect.fnUntraced(function* (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly reads: Reads
  readonly act: ReturnType<typeof makeAct>["act"]
  readonly scheduled: (earliestDueAtMs: number) => void
}) {
  const { act, kinds, reads, scheduled, sql } = options
  const { eventId } = yield* Ids

  /** Of those whose overlap policy asks: the recurrences whose last task has not ended. */
  const busyOf = Effect.fnUntraced(function* (recurrences: ReadonlyArray<Recurrence>) {
    const asked = recurrences.flatMap(({ lastTaskId, policies }) =>
      policies.overlap === "allow" || lastTaskId === null ? [] : [lastTaskId]
    )
    return asked.length === 0 ? new Set<TaskId>() : yield* unendedOf(reads, asked)
  })

  const settleTaken = Effect.fnUntraced(function* (limit: number) {
    const rows = yield* sql.unsafe<RecurrenceRow>(takeSql, [int4(limit)])
    if (rows.length === 0) return { recurrencesCount: 0, tasksCount: 0 }
    const [clock] = yield* sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`)
    const nowMs = Math.floor(clock?.now_ms ?? 0)
    yield* kinds.ensureNames(rows.map(({ kind_id }) => kind_id))
    const recurrences = rows.map((row) => recurrenceOf(row, kinds.nameOf))
    const busy = yield* busyOf(recurrences)
    const policies = yield* kinds.policies
    const policyByName = new Map([...policies.values()].map((policy) => [policy.kind, policy]))

    const tasks: Array<NewTask> = []
    const lines: Array<DecidedLine> = []
    const decisions: Array<{
      readonly recurrence: Recurrence
      readonly decision: Decision
      readonly lastTaskId: TaskId | null
    }> = []
    const unreadable: Array<number> = []
    for (const recurrence of recurrences) {
      if (tasks.length >= settleTasksMax) break
      const { lastTaskId, recurrenceId, revision } = recurrence
      const compiled = compiledOf(recurrence.rule)
      if (Result.isFailure(compiled)) {
        unreadable.push(recurrenceId)
        yield* Effect.logWarning(
          `The recurrence "${recurrence.name}" cannot be decided here.`,
          compiled.failure.message
        )
        continue
      }
      const decision = decideFates({
        next: compiled.success.next,
        openedMs: compiled.success.openedMs,
        policies: recurrence.policies,
        settledUntilMs: recurrence.settledUntilMs,
        nowMs,
        untilMs: recurrence.policies.overlap === "allow" ? nowMs + leadMsMax : nowMs,
        isBusy: lastTaskId !== null && busy.has(lastTaskId)
      })
      const kindPolicy = policyByName.get(recurrence.kind) ?? defaultKindPolicy(recurrence.kind)
      let lastFired: TaskId | null = null
      for (const decided of decision.decided) {
        const made = occurrenceTask(recurrence, revision, decided, kindPolicy, eventId)
        tasks.push(...made)
        const taskId = made[0]?.taskId ?? null
        lastFired = taskId ?? lastFired
        lines.push({ ...decided, recurrenceId, revision, taskId })
      }
      decisions.push({ recurrence, decision, lastTaskId: lastFired })
    }

    yield* writeLines(sql, lines)
    yield* writeTasks(sql, kinds, tasks)
    for (const { decision, recurrence } of decisions)
      if (decision.cancelsPrevious && recurrence.lastTaskId !== null)
        yield* cancelPrevious(act, recurrence.lastTaskId, eventId())
    const advanced = yield* sql.unsafe(advanceSql, [
      int4s(decisions.map(({ recurrence }) => recurrence.recurrenceId)),
      int4s(decisions.map(({ recurrence }) => recurrence.revision)),
      instants(decisions.map(({ recurrence }) => recurrence.settledUntilMs)),
      instants(decisions.map(({ decision }) => decision.settledUntilMs)),
      instants(decisions.map(({ decision }) => decision.nextAtMs)),
      instants(
        decisions.map(({ decision, recurrence }) =>
          decideAtMs(recurrence.recurrenceId, recurrence.policies, decision.nextAtMs)
        )
      ),
      uuids(decisions.map(({ lastTaskId }) => lastTaskId))
    ])
    if (advanced.length !== decisions.length)
      return yield* Effect.die(new Error("a recurrence was moved while its row was locked"))
    if (unreadable.length > 0) yield* sql.unsafe(postponeSql, [int4s(unreadable), int4(unreadablePauseMs)])
    if (tasks.length > 0) {
      const earliestMs = tasks.reduce((earliest, { dueAtMs }) => Math.min(earliest, dueAtMs), Infinity)
      yield* sql.afterCommit(Effect.sync(() => scheduled(earliestMs)))
    }
    return { recurrencesCount: rows.length, tasksCount: tasks.length }
  })

  const settle = Effect.fnUntraced(function* (limit: number) {
    const [peek] = yield* sql.unsafe<{ readonly next_ms: number | null; readonly now_ms: number }>(peekSql)
    if (peek === undefined || peek.next_ms === null) return { ...nothing, nextInMs: null }
    if (peek.next_ms > peek.now_ms) return { ...nothing, nextInMs: peek.next_ms - peek.now_ms }
    const settled = yield* sql.withTransaction(settleTaken(limit))
    return { ...settled, nextInMs: settled.recurrencesCount === 0 ? settleLockedPauseMs : 0 }
  })
  return (limit: number) =>
    settle(limit).pipe(
      Effect.map((settled): Settled => settled),
      orUnavailable("settle")
    )
})

const nothing = { recurrencesCount: 0, tasksCount: 0 }

/** Those of the tasks that have not ended. One whose history is gone has. */
export const unendedOf = (reads: Reads, taskIds: ReadonlyArray<TaskId>) =>
  Effect.map(reads.eventsOf(taskIds), (streams) => {
    const unended = new Set<TaskId>()
    for (const [taskId, events] of streams) {
      const state = fold(events)
      if (state !== null && !isEnded(state.stage)) unended.add(taskId)
    }
    return unended
  })

/** Asks the task of an earlier instant to end. Whether it has ended meanwhile does not matter. */
export const cancelPrevious = (act: ReturnType<typeof makeAct>["act"], taskId: TaskId, eventId: EventId) =>
  act(taskId, eventId, { _tag: "Cancel", reason: "the next occurrence of its recurrence has come" }).pipe(
    Effect.catchTag("TaskNotFound", () => Effect.void),
    Effect.asVoid
  )
