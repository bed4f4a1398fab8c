import { deathsAfter, isQuarantined } from "../deaths.ts"
import { attemptsMaxLimit, isExhausted } from "../RetryPolicy.ts"
import { latestRetryMs } from "../retryDue.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import { instantPrecisionMs, type Finding, type Invariant, type Walk } from "./AuditedStream.ts"

/**
 * Attempts are numbered 1, 2, 3 ...; each has one start and at most one outcome, which comes after its start. Parking says
 * that the outcome is not known: of a parked attempt the outside may tell it, once.
 */
function* attemptsStartAndEndOnce({ stream }: Walk): Iterable<Finding> {
  const started = new Set<number>()
  const ended = new Set<number>()
  let parked: number | null = null
  let last = 0
  for (const event of stream.events) {
    const { version } = event
    if (event._tag === "AttemptStarted") {
      if (started.has(event.attempt)) yield { version, message: `attempt ${event.attempt} starts twice` }
      else if (event.attempt !== last + 1) yield { version, message: `attempt ${event.attempt} follows ${last}` }
      started.add(event.attempt)
      last = event.attempt
      continue
    }
    const attempt = endedAttemptOf(event)
    const isTold = attempt === parked && (event._tag === "TaskReconciled" || event._tag === "TaskDeadLettered")
    parked = event._tag === "TaskParked" ? event.attempt : null
    if (attempt === null || isTold) continue
    if (!started.has(attempt)) yield { version, message: `${event._tag} of attempt ${attempt}, which never started` }
    if (ended.has(attempt)) yield { version, message: `${event._tag} is a second outcome of attempt ${attempt}` }
    ended.add(attempt)
  }
}

/** Only one attempt holds a live lease: the one before has ended, and none is expired before its deadline. */
function* leasesNeverOverlap({ stream }: Walk): Iterable<Finding> {
  let live: Extract<TaskEvent, { _tag: "AttemptStarted" }> | null = null
  for (const event of stream.events) {
    const { atMs, version } = event
    if (event._tag === "AttemptStarted") {
      if (live !== null) {
        yield { version, message: `attempt ${event.attempt} starts while attempt ${live.attempt} holds its lease` }
      }
      if (event.deadlineAtMs < atMs - instantPrecisionMs) {
        yield { version, message: `the deadline ${event.deadlineAtMs} ms lies before the start ${atMs} ms` }
      }
      live = event
    } else if (endedAttemptOf(event) !== null || event._tag === "TaskCancelled" || event._tag === "TaskExpired") {
      const expired = event._tag === "AttemptExpired" || event._tag === "TaskParked"
      if (live !== null && expired && event.reason === "deadline" && atMs < live.deadlineAtMs - instantPrecisionMs) {
        yield { version, message: `expired at ${atMs} ms, before the deadline ${live.deadlineAtMs} ms` }
      }
      live = null
    }
  }
}

/**
 * Never more charged attempts than the policy allows, and one more for each time a person resumed a parked task; a task
 * is exhausted only at that limit, and not retried there. The same of deaths in a row: quarantined exactly at their limit. Where the
 * policy is not known, no more attempts than any policy allows.
 */
function* attemptsStayWithinPolicy(walk: Walk): Iterable<Finding> {
  const { steps } = walk
  let resumedCount = 0
  for (const { after, before, event } of steps) {
    if (event._tag === "TaskResumed" && event.reason === "run-now") resumedCount++
    if (event._tag === "TaskRedriven") resumedCount = 0
    const policy = policyOf(walk, after.kind)
    const retry = policy?.retry
    const { version } = event
    const charged = before?.charged ?? 0
    const limit = (retry?.attemptsMax ?? attemptsMaxLimit) + resumedCount
    if (event._tag === "AttemptStarted" && after.charged > limit) {
      yield { version, message: `attempt ${after.charged} is charged, the policy allows ${limit}` }
    }
    if (policy === undefined || retry === undefined) continue
    const deaths = deathsAfter(before?.deaths ?? 0)
    if (event._tag === "TaskDeadLettered" && event.reason === "quarantined" && deaths !== policy.deathsMax) {
      yield { version, message: `quarantined after ${deaths} of ${policy.deathsMax} deaths` }
    }
    if (event._tag === "AttemptExpired" && event.reason === "session-lost" && isQuarantined(policy.deathsMax, deaths)) {
      yield { version, message: `to be tried again after ${deaths} of ${policy.deathsMax} deaths` }
    }
    if (event._tag === "TaskDeadLettered" && event.reason === "exhausted" && !isExhausted(retry, charged)) {
      yield { version, message: `exhausted after ${charged} of ${retry.attemptsMax} attempts` }
    }
    if (isRetry(event) && isExhausted(retry, charged)) {
      yield { version, message: `to be tried again after ${charged} of ${retry.attemptsMax} attempts` }
    }
  }
}

/** A retry is due between the failure and the policy's ceiling after it; nothing becomes due in its own past. */
function* retriesStayWithinBounds(walk: Walk): Iterable<Finding> {
  for (const { before, event } of walk.steps) {
    if (!("dueAtMs" in event && ("attempt" in event || isRetry(event)))) continue
    const delayMs = event.dueAtMs - event.atMs
    if (delayMs < -instantPrecisionMs) {
      yield { version: event.version, message: `due ${-delayMs} ms before the attempt ended` }
    }
    // A handler may name a delay of its own when it fails, and nowhere else.
    const isBounded = isRetry(event) && (event._tag !== "AttemptFailed" || walk.options.ownDelays !== true)
    const retry = isBounded ? policyOf(walk, before?.kind ?? "")?.retry : undefined
    if (retry === undefined) continue
    const estimatedMs = retry.calendar === undefined ? 0 : estimateMs
    const latestAtMs = latestRetryMs(retry, event.atMs + estimatedMs, before?.charged ?? 1)
    if (event.dueAtMs > latestAtMs + roundingMs) {
      yield {
        version: event.version,
        message: `retried after ${delayMs} ms, the ceiling is ${latestAtMs - event.atMs} ms`
      }
    }
  }
}

/** No attempt starts before the task is due, nor once it has expired; and none expires before its time, but for a retry after it. */
function* nothingStartsOutOfTime({ steps }: Walk): Iterable<Finding> {
  for (const { before, event } of steps) {
    if (before === null) continue
    const { expiresAtMs, stage } = before
    const leftMs = (expiresAtMs ?? Number.POSITIVE_INFINITY) - event.atMs
    if (
      event._tag === "TaskExpired" &&
      (expiresAtMs === null || ((stage === "pending" || stage === "claimed") && leftMs > instantPrecisionMs))
    ) {
      yield { version: event.version, message: `expires ${leftMs} ms before it is too late` }
    }
    if (event._tag !== "AttemptStarted") continue
    if (leftMs < -instantPrecisionMs) {
      yield {
        version: event.version,
        message: `attempt ${event.attempt} starts ${-leftMs} ms after the task has expired`
      }
    }
    const earlyMs = before.dueAtMs - event.atMs
    if (earlyMs > instantPrecisionMs) {
      yield { version: event.version, message: `attempt ${event.attempt} starts ${earlyMs} ms before it is due` }
    }
  }
}

export const attemptInvariants: ReadonlyArray<Invariant> = [
  { id: "S4", sentence: "An attempt has one start and at most one outcome.", check: attemptsStartAndEndOnce },
  { id: "S5", sentence: "At most one attempt of a task holds a live lease.", check: leasesNeverOverlap },
  {
    id: "S11",
    sentence: "Charged attempts and deaths stay within the policy's limits.",
    check: attemptsStayWithinPolicy
  },
  { id: "S12", sentence: "A retry's delay lies between 0 and its ceiling.", check: retriesStayWithinBounds },
  {
    id: "S13",
    sentence: "No attempt starts before the task is due, nor once it has expired.",
    check: nothingStartsOutOfTime
  }
]

/** By the policy: because the attempt failed, ran out, or is known to have done nothing. */
const isRetry = (event: TaskEvent): boolean =>
  event._tag === "AttemptFailed" ||
  event._tag === "AttemptExpired" ||
  (event._tag === "TaskResumed" && event.reason === "not-done")

const policyOf = ({ options, stream }: Walk, kind: string) =>
  options.policyOf?.(kind, stream.events[0]?.atMs ?? Number.NEGATIVE_INFINITY)

/** Where a calendar has a say, the due time is computed by an estimate of the database's clock. */
const estimateMs = 1_000

/** A delay is rounded to a whole ms and its instant up to the next one. */
const roundingMs = 2

/** The attempt an event is the outcome of. A cancel carries no number: it ends whatever runs. */
const endedAttemptOf = (event: TaskEvent): number | null =>
  "attempt" in event && event._tag !== "AttemptStarted" ? event.attempt : null
