import { Metric } from "effect"
import type { Priority } from "./core/Priority.ts"

/**
 * Handles only: engine and worker update them. "By lane" means with the attributes `kind`, `queue` and `priority`
 * (docs/reference/metrics.md is held equal to this file by a test).
 */

const spanMsBoundaries = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000, 600_000, 3_600_000]

/** Of a task that is claimed, dispatched, started. */
export type Lane = { readonly kind: string; readonly queue: string; readonly priority: Priority }

/**
 * Kinds that a process tells apart, in order of appearance; all others are one, named `otherKind`. A lane has some 80 time series,
 * and whoever makes up kinds as he goes along must not make them without end.
 */
export const kindsMax = 200
export const otherKind = "other"

/** Handles of each lane: made once, since an attempt has no time for it. */
export const byLane = <Handles>(handlesOf: (lane: Lane) => Handles): ((lane: Lane) => Handles) => {
  const handlesByLane = new Map<string, Handles>()
  const kinds = new Set<string>()
  return ({ kind, priority, queue }) => {
    const lane = `${priority} ${queue} ${kind}`
    const known = handlesByLane.get(lane)
    if (known !== undefined) return known
    if (kinds.size >= kindsMax && !kinds.has(kind)) {
      const others = `${priority} ${otherKind}`
      const found = handlesByLane.get(others) ?? handlesOf({ kind: otherKind, queue: otherKind, priority })
      handlesByLane.set(others, found)
      return found
    }
    kinds.add(kind)
    const made = handlesOf({ kind, queue, priority })
    handlesByLane.set(lane, made)
    return made
  }
}

/**
 * A handle for one set of attributes. `Metric.withAttributes` reads the same series, but all its handles share one metric, which works
 * out its key anew whenever the attributes are others than last time: 5 µs for each update as soon as two lanes take turns, where these
 * take half of one.
 */
export const counterOf = ({ description, id }: Metric.Counter<number>, attributes: Readonly<Record<string, string>>) =>
  Metric.counter(id, { ...(description === undefined ? {} : { description }), incremental: true, attributes })

export const histogramOf = (
  { description, id }: Metric.Histogram<number>,
  attributes: Readonly<Record<string, string>>
) =>
  Metric.histogram(id, {
    ...(description === undefined ? {} : { description }),
    boundaries: spanMsBoundaries,
    attributes
  })

/** Unit: ms. Start of an attempt minus its due time, both by the database's clock; by lane. From `AttemptStarted`. */
export const driftMs = Metric.histogram("duetime_drift_ms", {
  description: "Start of an attempt minus its due time, in milliseconds",
  boundaries: spanMsBoundaries
})

/**
 * Unit: ms. Claim minus due time, 0 if claimed before; by lane. The first part of the drift, of the engine that claims, or of the
 * worker that claims and starts at once (ADR 6).
 */
export const claimLagMs = Metric.histogram("duetime_claim_lag_ms", {
  description: "First part of the drift: claim minus due time, in milliseconds",
  boundaries: spanMsBoundaries
})

/** Unit: ms. Publish minus due time or claim, whichever came later; by lane. The second part, of the engine; repeats do not count. */
export const dispatchLagMs = Metric.histogram("duetime_dispatch_lag_ms", {
  description: "Second part of the drift: publish minus due time or claim, in milliseconds",
  boundaries: spanMsBoundaries
})

/** Unit: ms. Start minus publish; by lane. The third part, of the worker that a dispatch has reached. */
export const deliveryLagMs = Metric.histogram("duetime_delivery_lag_ms", {
  description: "Third part of the drift: start minus publish, in milliseconds",
  boundaries: spanMsBoundaries
})

/** Unit: attempts. Starts won by this worker; by lane. From `AttemptStarted`. */
export const attemptsTotal = Metric.counter("duetime_attempts_total", {
  description: "Attempts started by this worker",
  incremental: true
})

/**
 * Unit: attempts. What came of attempts, as their worker recorded it; by lane and `outcome`: `succeeded`, `failed`, `snoozed`,
 * `discarded`, `released` (given back uncharged) or `lost` (refused: the task had gone on without the attempt).
 */
export const outcomesTotal = Metric.counter("duetime_outcomes_total", {
  description: "Outcomes of attempts",
  incremental: true
})

/** Unit: attempts. Attempts whose task will be tried again: failed, snoozed or given back; by lane. */
export const retriesTotal = Metric.counter("duetime_retries_total", {
  description: "Attempts after which the task waits for another one",
  incremental: true
})

/** Unit: tasks. Tasks that became dead letters by an outcome of this worker; by lane. From `TaskDeadLettered`. */
export const deadLettersTotal = Metric.counter("duetime_dead_letters_total", {
  description: "Tasks that became dead letters",
  incremental: true
})

/** Unit: dispatches. Starts that somebody else had won, or whose task had been moved: harmless, but each cost a round trip. */
export const lostStartsTotal = Metric.counter("duetime_lost_starts_total", {
  description: "Dispatches whose start was lost to another worker or to a change of the task",
  incremental: true
})

/** Unit: claims. Claims pulled from the store because no dispatch brought them in time; many of them mean that the broker is ill. */
export const pulledStartsTotal = Metric.counter("duetime_pulled_starts_total", {
  description: "Claims pulled from the store because no dispatch brought them in time",
  incremental: true
})

/** Unit: attempts. Outcomes refused because the task had gone on without the attempt. */
export const lostOutcomesTotal = Metric.counter("duetime_lost_outcomes_total", {
  description: "Outcomes refused because the attempt had lost its lease",
  incremental: true
})

/** Unit: attempts. Slots of this worker in use: started, and not yet recorded. */
export const attemptsInFlight = Metric.gauge("duetime_attempts_in_flight", {
  description: "Attempts started and not yet recorded by this worker"
})

/** Unit: attempts. Handlers that were interrupted and have not stopped; the worker should be restarted when it grows. */
export const attemptsStuck = Metric.gauge("duetime_attempts_stuck", {
  description: "Handlers interrupted after their timeout that are still running"
})

/** Unit: leases. Claims and attempts that a supervisor has ended, because their process or their deadline was gone; by `stage`: `claimed` or `running`. */
export const expiredLeasesTotal = Metric.counter("duetime_expired_leases_total", {
  description: "Claims and attempts ended because their lease or deadline was over",
  incremental: true
})

/** Unit: tasks. Tasks that were too late to start, and that a supervisor has ended. From `TaskExpired`. */
export const expiredTasksTotal = Metric.counter("duetime_expired_tasks_total", {
  description: "Tasks ended because they had expired before they started",
  incremental: true
})

/** Unit: dispatches. Published once more, since nobody had started the task; many of them mean that the broker is ill. By lane. */
export const republishedTotal = Metric.counter("duetime_republished_total", {
  description: "Dispatches published once more",
  incremental: true
})

/** Unit: tasks. Claimed by this engine and not yet due. */
export const armedTasks = Metric.gauge("duetime_armed_tasks", {
  description: "Tasks claimed by this engine and not yet due"
})

/**
 * Unit: tasks. What the database holds, of the whole fleet, so take the maximum over processes and not the sum; by `kind` and
 * `state`: `due` (and not started; counted up to 10,000 in each priority), `in_progress`, `parked`, `dead`. Looked up when asked for, at most
 * every 15 seconds.
 */
export const backlogTasks = Metric.gauge("duetime_backlog_tasks", {
  description: "Tasks of the whole fleet that are due, in progress, parked or dead"
})

/** Unit: ms. Age of the oldest task that is due and not started, of the whole fleet; by `kind`. 0: none is. Looked up with the backlog. */
export const backlogAgeMs = Metric.gauge("duetime_backlog_age_ms", {
  description: "Age of the oldest task that is due and not started, in milliseconds"
})
