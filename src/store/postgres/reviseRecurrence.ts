import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { defaultKindPolicy } from "../../core/KindPolicy.ts"
import { rankOf } from "../../core/Priority.ts"
import type { Decided } from "../../core/recurrence/fates.ts"
import { revise as reviseCore } from "../../core/recurrence/revise.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { Ids } from "../Ids.ts"
import { occurrenceTask } from "../occurrenceTask.ts"
import { changed, standingOf, standsAs, type Stood, stoodAs } from "../recurrenceChange.ts"
import type { Recurrence, RecurrenceChange, RecurrenceDefinition, Revised, Seen } from "../RecurrenceStore.ts"
import { RecurrenceNotFound } from "../StoreError.ts"
import type { make as makeAct } from "./act.ts"
import type { Kinds } from "./Kinds.ts"
import { linksText } from "./links.ts"
import { instant, msOf } from "./parameters.ts"
import type { Reads } from "./read.ts"
import {
  decideAtMs,
  type DecidedLine,
  dropLines,
  lineOf,
  type LineRow,
  recurrenceOf,
  type RecurrenceRow,
  selectLines,
  selectRecurrences,
  writeLines
} from "./recurrenceRows.ts"
import { cancelPrevious, unendedOf } from "./settleRecurrences.ts"
import { writeTasks } from "./schedule.ts"
import { orUnavailable } from "./sqlErrors.ts"

const byNameSql = `${selectRecurrences} WHERE name = $1::text`

/** $1 name, $2 kind, $3 priority, $4 digest, $5 rule, $6 policies, $7 payload, $8 now, $9 follow-ups. */
const createSql = `INSERT INTO duetime.recurrence (name, kind_id, priority, digest, rule, policies, payload, revision, created_at, revised_at, settled_until, follow_ups)
  SELECT $1::text, $2::int4, $3::int2, $4::text, $5::jsonb, $6::jsonb, $7::jsonb, 1, $8::timestamptz, $8::timestamptz, $8::timestamptz, $9::jsonb
  ON CONFLICT (name) DO NOTHING
  RETURNING recurrence_id`

/** $1 recurrence, $2 revision, $3 from, $4 paused, $5 digest, $6 rule, $7 policies. */
const revisionSql = `INSERT INTO duetime.recurrence_revision (recurrence_id, revision, from_at, is_paused, digest, rule, policies)
  VALUES ($1::int4, $2::int4, $3::timestamptz, $4::bool, $5::text, $6::jsonb, $7::jsonb)`

/** $1 recurrence, $2 the first revision. */
const stoodSql = `SELECT digest, is_paused AS "isPaused" FROM duetime.recurrence_revision WHERE recurrence_id = $1::int4 AND revision >= $2::int4`

const supersededSql = `SELECT EXISTS (SELECT FROM duetime.recurrence_revision WHERE recurrence_id = $1::int4 AND digest = $2::text) AS is_superseded`

/** Lines that reach behind an instant: all that begin there, and perhaps the last one that begins before. $1 recurrence, $2 instant. */
const aheadSql = `${selectLines}
  WHERE recurrence_id = $1::int4 AND until_at > $2::timestamptz AND nominal_at >= coalesce(
    (SELECT max(o.nominal_at) FROM duetime.occurrence o WHERE o.recurrence_id = $1::int4 AND o.nominal_at <= $2::timestamptz),
    $2::timestamptz)
  ORDER BY nominal_at`

/** Makes and changes recurrences, on the application's own connection, so that it joins the application's transaction. */
export const make = Effect.fnUntraced(function* (options: {
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly reads: Reads
  readonly act: ReturnType<typeof makeAct>
  readonly scheduled: (earliestDueAtMs: number) => void
  /** Told after the commit when it is to be decided. */
  readonly decides: (decideAtMs: number) => void
}) {
  const { act, decides, kinds, reads, scheduled, sql } = options
  const { eventId } = yield* Ids

  const databaseNowMs = Effect.map(
    sql.unsafe<{ readonly now_ms: number }>(`SELECT ${msOf("clock_timestamp()")} AS now_ms`),
    ([row]) => Math.floor(row?.now_ms ?? 0)
  )

  const found = Effect.fnUntraced(function* (name: string, lock: "" | "FOR UPDATE" = "") {
    const [row] = yield* sql.unsafe<RecurrenceRow>(`${byNameSql} ${lock}`, [name])
    if (row === undefined) return yield* new RecurrenceNotFound({ name })
    yield* kinds.ensureNames([row.kind_id])
    return recurrenceOf(row, kinds.nameOf)
  })

  const kindIdOf = (kind: string) => Effect.map(kinds.idsOf([kind]), (ids) => ids.get(kind) ?? 0)

  const writeRevision = (recurrence: Recurrence) =>
    sql.unsafe(revisionSql, [
      recurrence.recurrenceId,
      recurrence.revision,
      instant(recurrence.revisedAtMs),
      recurrence.pausedAtMs !== null,
      recurrence.digest,
      JSON.stringify(recurrence.rule),
      JSON.stringify(recurrence.policies)
    ])

  const create = Effect.fnUntraced(function* (name: string, definition: RecurrenceDefinition) {
    const kindId = yield* kindIdOf(definition.kind)
    const nowMs = yield* databaseNowMs
    const [made] = yield* sql.unsafe<{ readonly recurrence_id: number }>(createSql, [
      name,
      kindId,
      definition.priority === null ? null : rankOf(definition.priority),
      definition.digest,
      JSON.stringify(definition.rule),
      JSON.stringify(definition.policies),
      JSON.stringify(definition.payload),
      instant(nowMs),
      linksText(definition.followUps ?? {})
    ])
    if (made !== undefined) {
      const recurrence = yield* found(name)
      const { next } = standingOf(recurrence)
      yield* advance(recurrence, recurrence.settledUntilMs, next(recurrence.settledUntilMs), null)
      yield* writeRevision(recurrence)
    }
    return { created: made !== undefined, recurrence: yield* found(name) }
  })

  const advance = Effect.fnUntraced(function* (
    { policies, recurrenceId }: Recurrence,
    settledUntilMs: number,
    nextAtMs: number | null,
    lastTaskId: TaskId | null
  ) {
    const decideMs = decideAtMs(recurrenceId, policies, nextAtMs)
    yield* sql.unsafe(
      `UPDATE duetime.recurrence SET settled_until = $2::timestamptz, next_at = $3::timestamptz, decide_at = $4::timestamptz,
         last_task_id = coalesce($5::uuid, last_task_id)
       WHERE recurrence_id = $1::int4`,
      [
        recurrenceId,
        instant(settledUntilMs),
        nextAtMs === null ? null : instant(nextAtMs),
        decideMs === null ? null : instant(decideMs),
        lastTaskId
      ]
    )
    if (decideMs !== null) yield* sql.afterCommit(Effect.sync(() => decides(decideMs)))
  })

  const revise = Effect.fnUntraced(function* (name: string, change: RecurrenceChange, repeatOf: Seen | undefined) {
    const before = yield* found(name, "FOR UPDATE")
    if (repeatOf !== undefined && repeatOf.recurrenceId !== before.recurrenceId)
      return yield* new RecurrenceNotFound({ name })
    const answer = yield* standsAlready(before, change, repeatOf)
    if (answer !== null) return { _tag: answer, recurrence: before } satisfies Revised
    const { lastTaskId, policies, recurrenceId } = before
    const atMs = Math.max(yield* databaseNowMs, before.revisedAtMs)
    const after = changed(before, change, atMs)

    const rows = yield* sql.unsafe<LineRow>(aheadSql, [recurrenceId, instant(atMs)])
    const ahead = yield* Effect.forEach(rows.map(lineOf), ({ fate, nominalAtMs, taskId, untilMs }) =>
      Effect.map(
        taskId === null || fate !== "fired"
          ? Effect.succeed(true)
          : act.cancelUnstarted(taskId, eventId(), `its recurrence was changed: ${change._tag.toLowerCase()}`),
        (isFree) => ({ fate, nominalAtMs, untilMs, isFree })
      )
    )
    const asks = policies.overlap !== "allow" && lastTaskId !== null
    const isBusy = asks && (yield* unendedOf(reads, [lastTaskId])).has(lastTaskId)
    const revised = reviseCore({
      before: standingOf(before),
      after: after === null ? null : standingOf(after),
      settledUntilMs: before.settledUntilMs,
      atMs,
      isBusy,
      ahead
    })

    const past = yield* linesOf(before, revised.past)
    if (revised.cancelsPrevious && lastTaskId !== null) yield* cancelPrevious(act.act, lastTaskId, eventId())
    yield* writeLines(sql, past.lines)
    yield* dropLines(sql, recurrenceId, revised.dropped)
    if (after === null) {
      yield* writeTasks(sql, kinds, past.tasks)
      yield* sql.unsafe(`DELETE FROM duetime.recurrence_revision WHERE recurrence_id = $1::int4`, [recurrenceId])
      yield* sql.unsafe(`DELETE FROM duetime.recurrence WHERE recurrence_id = $1::int4`, [recurrenceId])
      return { _tag: "Changed", recurrence: before } satisfies Revised
    }
    const taken = yield* linesOf(after, revised.taken)
    const tasks = [...past.tasks, ...taken.tasks]
    yield* writeLines(sql, taken.lines, "taken")
    yield* writeTasks(sql, kinds, tasks)
    yield* sql.unsafe(
      `UPDATE duetime.recurrence SET revision = $2::int4, revised_at = $3::timestamptz, paused_at = $4::timestamptz, kind_id = $5::int4,
         priority = $6::int2, digest = $7::text, rule = $8::jsonb, policies = $9::jsonb, payload = $10::jsonb, follow_ups = $11::jsonb
       WHERE recurrence_id = $1::int4`,
      [
        recurrenceId,
        after.revision,
        instant(after.revisedAtMs),
        after.pausedAtMs === null ? null : instant(after.pausedAtMs),
        yield* kindIdOf(after.kind),
        after.priority === null ? null : rankOf(after.priority),
        after.digest,
        JSON.stringify(after.rule),
        JSON.stringify(after.policies),
        JSON.stringify(after.payload),
        linksText(after.followUps ?? {})
      ]
    )
    yield* writeRevision(after)
    yield* advance(after, revised.settledUntilMs, revised.nextAtMs, tasks.at(-1)?.taskId ?? null)
    if (tasks.length > 0) {
      const earliestMs = tasks.reduce((earliest, { dueAtMs }) => Math.min(earliest, dueAtMs), Infinity)
      yield* sql.afterCommit(Effect.sync(() => scheduled(earliestMs)))
    }
    return { _tag: "Changed", recurrence: yield* found(name) } satisfies Revised
  })

  const standsAlready = Effect.fnUntraced(function* (
    before: Recurrence,
    change: RecurrenceChange,
    repeatOf: Seen | undefined
  ) {
    if (standsAs(before, change)) return "Unchanged" as const
    if (repeatOf !== undefined) {
      const revisions = yield* sql.unsafe<Stood>(stoodSql, [before.recurrenceId, repeatOf.revision])
      if (revisions.some((revision) => stoodAs(revision, change))) return "Unchanged" as const
    }
    if (change._tag !== "Edit" || !change.unlessSuperseded) return null
    const [row] = yield* sql.unsafe<{ readonly is_superseded: boolean }>(supersededSql, [
      before.recurrenceId,
      change.definition.digest
    ])
    return row?.is_superseded === true ? ("Superseded" as const) : null
  })

  const linesOf = Effect.fnUntraced(function* (recurrence: Recurrence, decided: ReadonlyArray<Decided>) {
    const { recurrenceId, revision } = recurrence
    if (decided.length === 0) return { lines: [], tasks: [] }
    const policies = yield* kinds.policies
    const policy = [...policies.values()].find(({ kind }) => kind === recurrence.kind)
    const pairs = decided.map((line) => ({
      line,
      tasks: occurrenceTask(recurrence, revision, line, policy ?? defaultKindPolicy(recurrence.kind), eventId)
    }))
    return {
      tasks: pairs.flatMap(({ tasks }) => tasks),
      lines: pairs.map(({ line, tasks }): DecidedLine => ({
        ...line,
        recurrenceId,
        revision,
        taskId: tasks[0]?.taskId ?? null
      }))
    }
  })

  return {
    create: (name: string, definition: RecurrenceDefinition) =>
      sql.withTransaction(create(name, definition)).pipe(
        // It was there, and is deleted by now: made anew by the next try.
        Effect.retry({ while: (error) => error._tag === "RecurrenceNotFound", times: createTriesMax }),
        Effect.catchTag("RecurrenceNotFound", Effect.die),
        orUnavailable("createRecurrence")
      ),
    revise: (name: string, change: RecurrenceChange, repeatOf?: Seen) =>
      sql.withTransaction(revise(name, change, repeatOf)).pipe(orUnavailable("reviseRecurrence")),
    find: (name: string) => found(name).pipe(orUnavailable("findRecurrence"))
  }
})

const createTriesMax = 10
