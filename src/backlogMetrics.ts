import { Clock, Effect, Metric } from "effect"
import { backlogAgeMs, backlogTasks, kindsMax, otherKind } from "./DuetimeMetrics.ts"
import type { StoreUnavailable } from "./store/StoreError.ts"
import { type BacklogRow, TaskStore } from "./store/TaskStore.ts"

/**
 * Looks up what the whole fleet holds and sets the gauges `duetime_backlog_tasks` and `duetime_backlog_age_ms`: one statement, which
 * counts at most 10,000 due tasks of a kind and priority. The roles of the command line do it when `/metrics` is asked for.
 *
 *     observeBacklog.pipe(Effect.repeat(Schedule.spaced("15 seconds")))
 */
export const observeBacklog: Effect.Effect<void, StoreUnavailable, TaskStore> = Effect.gen(function* () {
  const store = yield* TaskStore
  const rows = yield* store.backlog
  const nowMs = (yield* Clock.currentTimeMillis) + store.clockOffsetMs()
  const told = rows.slice(0, kindsMax)
  const others = rows.slice(kindsMax)
  for (const row of others.length === 0 ? told : [...told, others.reduce(together)]) {
    for (const [state, count] of statesOf(row)) {
      yield* Metric.update(Metric.withAttributes(backlogTasks, { kind: row.kind, state }), count)
    }
    const ageMs = row.oldestDueAtMs === null ? 0 : Math.max(0, nowMs - row.oldestDueAtMs)
    yield* Metric.update(Metric.withAttributes(backlogAgeMs, { kind: row.kind }), ageMs)
  }
})

const statesOf = ({ deadCount, dueCount, inProgressCount, parkedCount }: BacklogRow) =>
  [
    ["due", dueCount],
    ["in_progress", inProgressCount],
    ["parked", parkedCount],
    ["dead", deadCount]
  ] as const

const together = (a: BacklogRow, b: BacklogRow): BacklogRow => ({
  kind: otherKind,
  dueCount: a.dueCount + b.dueCount,
  oldestDueAtMs:
    a.oldestDueAtMs === null || b.oldestDueAtMs === null
      ? (a.oldestDueAtMs ?? b.oldestDueAtMs)
      : Math.min(a.oldestDueAtMs, b.oldestDueAtMs),
  inProgressCount: a.inProgressCount + b.inProgressCount,
  parkedCount: a.parkedCount + b.parkedCount,
  deadCount: a.deadCount + b.deadCount
})
