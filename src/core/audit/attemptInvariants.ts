import { deathsAfter, isQuarantined } from "../deaths.ts"
import { attemptsMaxLimit, isExhausted } from "../RetryPolicy.ts"
import { latestRetryMs } from "../retryDue.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import { type Finding, instantPrecisionMs, type Invariant, type Judge, type Judged, nothing } from "./AuditedStream.ts"

/**
 * Attempts are numbered 1, 2, 3 ...; each has one start and at most one outcome, which comes after its start. Parking says
 * that the outcome is not known: of a parked attempt the outside may tell it, once.
 */
const attemptsStartAndEndOnce = (): Judge => {
  const started = new Set<number>()
  const ended = new Set<number>()
  let parked: number | null = null
  let last = 0
  const starts = (version: number, attempt: number): ReadonlyArray<Finding> => {
    const wrong = started.has(attempt)
      ? `attempt ${attempt} starts twice`
      : attempt === last + 1
        ? null
        : `attempt ${attempt} follows ${last}`
    started.add(attempt)
    last = attempt
    return wrong === null ? nothing : [{ version, message: wrong }]
  }
  return ({ event }) => {
    const { version } = event
    if (event._tag === "AttemptStarted") return starts(version, event.attempt)
    const attempt = endedAttemptOf(event)
    const isTold = attempt === parked && (event._tag === "TaskReconciled" || event._tag === "TaskDeadLettered")
    parked = event._tag === "TaskParked" ? event.attempt : null
    if (attempt === null || isTold) return nothing
    const isRepeated = ended.has(attempt)
    ended.add(attempt)
    if (started.has(attempt) && !isRepeated) return nothing
    return [
      ...(started.has(attempt)
        ? []
        : [{ version, message: `${event._tag} of attempt ${attempt}, which never started` }]),
      ...(isRepeated ? [{ version, message: `${event._tag} is a second outcome of attempt ${attempt}` }] : [])
    ]
  }
}

/** Only one attempt holds a live lease: the one before has ended, and none is expired before its deadline. */
const leasesNeverOverlap = (): Judge => {
  let live: Extract<TaskEvent, { _tag: "AttemptStarted" }> | null = null
  return ({ event }) => {
    const { atMs, version } = event
    const before = live
    if (event._tag === "AttemptStarted") {
      live = event
      const isInPast = event.deadlineAtMs < atMs - instantPrecisionMs
      if (before === null && !isInPast) return nothing
      return [
        ...(before === null
          ? []
          : [{ version, message: `attempt ${event.attempt} starts while attempt ${before.attempt} holds its lease` }]),
        ...(isInPast
          ? [{ version, message: `the deadline ${event.deadlineAtMs} ms lies before the start ${atMs} ms` }]
          : [])
      ]
    }
    if (endedAttemptOf(event) === null && event._tag !== "TaskCancelled" && event._tag !== "TaskExpired") return nothing
    live = null
    const expired = event._tag === "AttemptExpired" || event._tag === "TaskParked"
    if (before === null || !expired || event.reason !== "deadline") return nothing
    if (atMs >= before.deadlineAtMs - instantPrecisionMs) return nothing
    return [{ version, message: `expired at ${atMs} ms, before the deadline ${before.deadlineAtMs} ms` }]
  }
}

/**
 * Never more charged attempts than the policy allows, and one more for each time a person resumed a parked task; a task
 * is exhausted only at that limit, and not retried there. The same of deaths in a row: quarantined exactly at their limit. Where the
 * policy is not known, no more attempts than any policy allows.
 */
const attemptsStayWithinPolicy = (judged: Judged): Judge => {
  let resumedCount = 0
  return ({ after, before, event }) => {
    if (event._tag === "TaskResumed" && event.reason === "run-now") resumedCount++
    if (event._tag === "TaskRedriven") resumedCount = 0
    const policy = policyOf(judged, after.kind)
    const retry = policy?.retry
    const { version } = event
    const charged = before?.charged ?? 0
    const limit = (retry?.attemptsMax ?? attemptsMaxLimit) + resumedCount
    const findings: Array<Finding> = []
    if (event._tag === "AttemptStarted" && after.charged > limit) {
      findings.push({ version, message: `attempt ${after.charged} is charged, the policy allows ${limit}` })
    }
    if (policy === undefined || retry === undefined) return findings
    const deaths = deathsAfter(before?.deaths ?? 0)
    if (event._tag === "TaskDeadLettered" && event.reason === "quarantined" && deaths !== policy.deathsMax) {
      findings.push({ version, message: `quarantined after ${deaths} of ${policy.deathsMax} deaths` })
    }
    if (event._tag === "AttemptExpired" && event.reason === "session-lost" && isQuarantined(policy.deathsMax, deaths)) {
      findings.push({ version, message: `to be tried again after ${deaths} of ${policy.deathsMax} deaths` })
    }
    if (event._tag === "TaskDeadLettered" && event.reason === "exhausted" && !isExhausted(retry, charged)) {
      findings.push({ version, message: `exhausted after ${charged} of ${retry.attemptsMax} attempts` })
    }
    if (isRetry(event) && isExhausted(retry, charged)) {
      findings.push({ version, message: `to be tried again after ${charged} of ${retry.attemptsMax} attempts` })
    }
    return findings
  }
}

/** A retry is due between the failure and the policy's ceiling after it; nothing becomes due in its own past. */
const retriesStayWithinBounds = (judged: Judged): Judge => {
  return ({ before, event }) => {
    if (!("dueAtMs" in event && ("attempt" in event || isRetry(event)))) return nothing
    const { version } = event
    const delayMs = event.dueAtMs - event.atMs
    const findings: Array<Finding> = []
    if (delayMs < -instantPrecisionMs) {
      findings.push({ version, message: `due ${-delayMs} ms before the attempt ended` })
    }
    // A handler may name a delay of its own when it fails, and nowhere else.
    const isBounded = isRetry(event) && (event._tag !== "AttemptFailed" || judged.options.ownDelays !== true)
    const retry = isBounded ? policyOf(judged, before?.kind ?? "")?.retry : undefined
    if (retry === undefined) return findings
    const estimatedMs = retry.calendar === undefined ? 0 : estimateMs
    const latestAtMs = latestRetryMs(retry, event.atMs + estimatedMs, before?.charged ?? 1)
    if (event.dueAtMs > latestAtMs + roundingMs) {
      findings.push({ version, message: `retried after ${delayMs} ms, the ceiling is ${latestAtMs - event.atMs} ms` })
    }
    return findings
  }
}

/** No attempt starts before the task is due, nor once it has expired; and none expires before its time, but for a retry after it. */
const nothingStartsOutOfTime = (): Judge => {
  return ({ before, event }) => {
    if (before === null || (event._tag !== "TaskExpired" && event._tag !== "AttemptStarted")) return nothing
    const { expiresAtMs, stage } = before
    const { version } = event
    const leftMs = (expiresAtMs ?? Number.POSITIVE_INFINITY) - event.atMs
    if (event._tag === "TaskExpired") {
      const isWaiting = stage === "pending" || stage === "claimed"
      if (expiresAtMs !== null && !(isWaiting && leftMs > instantPrecisionMs)) return nothing
      return [{ version, message: `expires ${leftMs} ms before it is too late` }]
    }
    const findings: Array<Finding> = []
    if (leftMs < -instantPrecisionMs) {
      const message = `attempt ${event.attempt} starts ${-leftMs} ms after the task has expired`
      findings.push({ version, message })
    }
    const earlyMs = before.dueAtMs - event.atMs
    if (earlyMs > instantPrecisionMs) {
      findings.push({ version, message: `attempt ${event.attempt} starts ${earlyMs} ms before it is due` })
    }
    return findings
  }
}

export const attemptInvariants: ReadonlyArray<Invariant> = [
  { id: "S4", sentence: "An attempt has one start and at most one outcome.", begin: attemptsStartAndEndOnce },
  { id: "S5", sentence: "At most one attempt of a task holds a live lease.", begin: leasesNeverOverlap },
  {
    id: "S11",
    sentence: "Charged attempts and deaths stay within the policy's limits.",
    begin: attemptsStayWithinPolicy
  },
  { id: "S12", sentence: "A retry's delay lies between 0 and its ceiling.", begin: retriesStayWithinBounds },
  {
    id: "S13",
    sentence: "No attempt starts before the task is due, nor once it has expired.",
    begin: nothingStartsOutOfTime
  }
]

/** By the policy: because the attempt failed, ran out, or is known to have done nothing. */
const isRetry = (event: TaskEvent): boolean =>
  event._tag === "AttemptFailed" ||
  event._tag === "AttemptExpired" ||
  (event._tag === "TaskResumed" && event.reason === "not-done")

const policyOf = ({ bornAtMs, options }: Judged, kind: string) => options.policyOf?.(kind, bornAtMs)

/** Where a calendar has a say, the due time is computed by an estimate of the database's clock. */
const estimateMs = 1_000

/** A delay is rounded to a whole ms and its instant up to the next one. */
const roundingMs = 2

/** The attempt an event is the outcome of. A cancel carries no number: it ends whatever runs. */
const endedAttemptOf = (event: TaskEvent): number | null =>
  "attempt" in event && event._tag !== "AttemptStarted" ? event.attempt : null
