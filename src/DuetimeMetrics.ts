import { Metric } from "effect"

/** Handles only: engine and worker update them. Attributes: `kind` and `priority` where a sentence says so. */

const spanMsBoundaries = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000, 600_000, 3_600_000]

/** Unit: ms. Start of an attempt minus its due time, both by the database's clock; by kind and priority. From `AttemptStarted`. */
export const driftMs = Metric.histogram("duetime_drift_ms", {
  description: "Start of an attempt minus its due time, in milliseconds",
  boundaries: spanMsBoundaries
})

/** Unit: attempts. Starts won by this worker; by kind and priority. From `AttemptStarted`. */
export const attemptsTotal = Metric.counter("duetime_attempts_total", {
  description: "Attempts started by this worker",
  incremental: true
})

/** Unit: attempts. Attempts whose task will be tried again: failed, snoozed or given back; by kind and priority. */
export const retriesTotal = Metric.counter("duetime_retries_total", {
  description: "Attempts after which the task waits for another one",
  incremental: true
})

/** Unit: tasks. Tasks that became dead letters by an outcome of this worker; by kind and priority. From `TaskDeadLettered`. */
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
