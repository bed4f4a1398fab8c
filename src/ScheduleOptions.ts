import { type Duration, Predicate, Result } from "effect"
import type { Calendar } from "./core/calendar/Calendar.ts"
import { dueAtMsOf, latestJitteredDueAtMs } from "./core/calendar/Due.ts"
import type { KindPolicy } from "./core/KindPolicy.ts"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import { timestampMsMax } from "./core/TaskId.ts"
import { spanContextOf } from "./core/traceparent.ts"
import { namesOf } from "./core/unknownName.ts"
import { type BusinessDays, dueByCalendar, isBusinessDays } from "./CalendarOptions.ts"
import type { OptionsRejected } from "./DuetimeError.ts"
import type { Following } from "./FollowUp.ts"
import { durationMsOf, type InstantInput, instantMsOf, isoOf, keyOf, rejected, unknownOption } from "./optionValues.ts"

/** When: `in` a span from now or `at` an instant; neither is now. What is past is due now. */
export type When = {
  /** A span, or `{ businessDays: 1, at: "10:00" }`: on the next open day of the calendar after today. */
  readonly in?: Duration.Input | BusinessDays | undefined
  /** A Date, a DateTime, milliseconds since 1970, or ISO text with its offset ("2027-01-31T09:00:00+01:00"). */
  readonly at?: InstantInput | undefined
  /** Where it is closed at the due time, the task is due at the next instant when it is open. */
  readonly calendar?: Calendar | undefined
}

/** A key that is free again some time after the end of its task. */
export type ExpiringKey = {
  /** 1 to 512 characters. */
  readonly key: string
  /**
   * Counted from the end of the task, 0 to 30 days: 0 keeps a second task away only while the first one lives. It is never free
   * while its task lives, and a dead letter does. Retention ends every key together with its task's history.
   */
  readonly expiresIn: Duration.Input
}

/** Until when it may start: for tasks that are worthless when late. Give one of the two, or neither: never too late. */
export type Expiry = {
  /** So long after the due time, 1 ms to 366 days. */
  readonly expiresIn?: Duration.Input | undefined
  /** At this instant, after the due time and at most 366 days after it. As `at`. */
  readonly expiresAt?: InstantInput | undefined
}

/**
 * A task with an expiry that has not started by then, by the database's clock, ends as `expired` and never starts. What has
 * started goes on; a retry, snooze or anything else that would come later ends it as `expired`, too.
 */
export type ScheduleOptions = When &
  Expiry &
  Following & {
    /**
     * Idempotency key, whose scope is the kind: put what narrows it into it ("tenant-7/order-3"). Wider than a kind it cannot be the same
     * task: other kinds have other payloads and handlers. Scheduling again with the same key and payload answers with the first task, with
     * another payload it fails with `KeyConflict`. 1 to 512 characters. It is held as long as the task's history, or as
     * long as an `ExpiringKey` says.
     */
    readonly key?: string | ExpiringKey | undefined
    /** Default: the kind's. */
    readonly priority?: Priority | undefined
    /** Tasks with the same one share a slot of the id space, for ownership and sharding. 1 to 512 characters. */
    readonly orderingKey?: string | undefined
    /**
     * The span that its attempts are children of, as W3C's trace context: for callers that trace with something else than Effect.
     * Default: with a tracer of Effect, a span `schedule` in the caller's; otherwise none.
     */
    readonly traceparent?: string | undefined
  }

const whenNames = namesOf<When>({ in: true, at: true, calendar: true })
const expiringKeyNames = namesOf<ExpiringKey>({ key: true, expiresIn: true })
const optionNames = namesOf<ScheduleOptions>({
  in: true,
  at: true,
  calendar: true,
  expiresIn: true,
  expiresAt: true,
  onSuccess: true,
  onDead: true,
  key: true,
  priority: true,
  orderingKey: true,
  traceparent: true
})

/** Of the options of `schedule`, and of what stands beside them in an entry of `scheduleMany` or `scheduleUntyped`. */
export const namesBeside = (...names: ReadonlyArray<string>): ReadonlySet<string> => new Set([...names, ...optionNames])

/** Options that were read and found in order. */
export type Plan = {
  readonly dueAtMs: (nowMs: number) => number
  readonly key: string | null
  readonly keyKeptMs: number | null
  readonly priority: Priority | null
  readonly orderingKey: string | null
  /** Of the due time, jitter included; null: never. */
  readonly expiresAtMs: ((dueAtMs: number) => number) | null
  readonly calendar: Calendar | null
  readonly traceparent: string | null
}

// Early returns, and not Result.gen: read for each of a million tasks, its generators were a fifth of scheduling's own time.
export const planOf = (options: ScheduleOptions): Result.Result<Plan, OptionsRejected> => {
  const priority = options.priority ?? null
  if (priority !== null && !isPriority(priority)) {
    return Result.fail(rejected("priority", priority, `Give one of ${priorities.join(", ")}`))
  }
  const dueAtMs = dueOf(options)
  if (Result.isFailure(dueAtMs)) return Result.fail(dueAtMs.failure)
  const expiring = Predicate.isObject(options.key) ? options.key : null
  const key = Predicate.isObject(options.key) ? keyOf("key.key", options.key.key) : optionalKeyOf("key", options.key)
  if (Result.isFailure(key)) return Result.fail(key.failure)
  const unknownOfKey = expiring === null ? null : unknownOption(expiring, expiringKeyNames, "key")
  if (unknownOfKey !== null) return Result.fail(unknownOfKey)
  const kept = expiring === null ? notExpiring : durationMsOf("key.expiresIn", expiring.expiresIn, keyKeptLimits)
  if (Result.isFailure(kept)) return Result.fail(kept.failure)
  const expiresAtMs = expiryOf(options)
  if (Result.isFailure(expiresAtMs)) return Result.fail(expiresAtMs.failure)
  const orderingKey = optionalKeyOf("orderingKey", options.orderingKey)
  if (Result.isFailure(orderingKey)) return Result.fail(orderingKey.failure)
  const traceparent = options.traceparent ?? null
  if (traceparent !== null && spanContextOf(traceparent) === null) {
    return Result.fail(rejected("traceparent", traceparent, traceparentWayOut))
  }
  return Result.succeed({
    dueAtMs: dueAtMs.success,
    key: key.success,
    keyKeptMs: kept.success,
    priority,
    orderingKey: orderingKey.success,
    expiresAtMs: expiresAtMs.success,
    calendar: options.calendar ?? null,
    traceparent
  })
}

const traceparentWayOut =
  'Give one of version 00, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", or nothing'

/** A year: what may start later than that is not urgent. */
export const expiresInMsMax = 366 * 86_400_000

const neverExpires: Result.Result<Plan["expiresAtMs"], OptionsRejected> = Result.succeed(null)

const expiryOf = ({ expiresAt, expiresIn }: Expiry): Result.Result<Plan["expiresAtMs"], OptionsRejected> => {
  if (expiresAt === undefined) {
    if (expiresIn === undefined) return neverExpires
    const read = durationMsOf("expiresIn", expiresIn, { minMs: 1, maxMs: expiresInMsMax })
    return Result.map(read, (inMs) => (dueAtMs: number) => dueAtMs + inMs)
  }
  if (expiresIn !== undefined) {
    return Result.fail(rejected("expiresAt", expiresAt, "Give either `expiresIn` or `expiresAt`, not both"))
  }
  return Result.map(instantMsOf("expiresAt", expiresAt), (atMs) => () => Math.floor(atMs))
}

/** An expiry that leaves no time to start in, whatever the jitter, or too much of it. */
export const expiryFaultOf = (
  { dueJitter }: Pick<KindPolicy, "dueJitter">,
  plan: Plan,
  { expiresAt }: Expiry,
  nowMs: number
): OptionsRejected | null => {
  if (plan.expiresAtMs === null || expiresAt === undefined) return null
  const latestDueAtMs = latestJitteredDueAtMs(plan.dueAtMs(nowMs), dueJitter, plan.calendar)
  const leftMs = plan.expiresAtMs(latestDueAtMs) - latestDueAtMs
  if (leftMs > 0 && leftMs <= expiresInMsMax) return null
  const wayOut = `Give an instant after the latest due time ${isoOf(latestDueAtMs)} and at most 366 days after it`
  return rejected("expiresAt", expiresAt, wayOut)
}

/**
 * Seconds since 1970 where milliseconds are asked for: an instant of January 1970, long past, so that the task would start at once and not
 * next year. Only where the clock is no test's, which begins in 1970.
 */
export const secondsFaultOf = ({ at }: When, nowMs: number): OptionsRejected | null => {
  if (!Predicate.isNumber(at) || nowMs < year2001Ms) return null
  const likeness = (at * 1_000) / nowMs
  if (likeness < 1 / secondsLikenessMax || likeness > secondsLikenessMax) return null
  return rejected("at", at, `That is ${isoOf(at)}. If these are seconds since 1970, give ${at * 1_000}, or a Date`)
}

const year2001Ms = 1_000_000_000_000
/** How far from now, as a factor of the time since 1970, seconds may be: from 1975 to 2500. */
const secondsLikenessMax = 10

/** As long as history is ever kept after the end of a task. */
export const keyKeptMsMax = 30 * 86_400_000
const keyKeptLimits = { minMs: 0, maxMs: keyKeptMsMax }
const notExpiring: Result.Result<number | null, OptionsRejected> = Result.succeed(null)

const noKey: Result.Result<string | null, OptionsRejected> = Result.succeed(null)

const optionalKeyOf = (field: string, input: string | undefined): Result.Result<string | null, OptionsRejected> =>
  input === undefined ? noKey : keyOf(field, input)

/** Of a `When` alone. */
export const whenOf = (when: When): Result.Result<Plan["dueAtMs"], OptionsRejected> => {
  const unknown = unknownOption(when, whenNames)
  return unknown === null ? dueOf(when) : Result.fail(unknown)
}

/** The due time as a function of now, in whole milliseconds: now rounds down, so that it is due at once, the rest up. */
const dueOf = (when: When): Result.Result<Plan["dueAtMs"], OptionsRejected> => {
  if (when.in !== undefined && when.at !== undefined) {
    return Result.fail(rejected("at", when.at, "Give either `in` or `at`, not both"))
  }
  if (when.calendar !== undefined || isBusinessDays(when.in)) {
    return Result.map(
      dueByCalendar(when, inLimits),
      (due) => (nowMs: number) => Math.min(dueAtMsOf(due, nowMs), timestampMsMax)
    )
  }
  if (when.at !== undefined) {
    const read = instantMsOf("at", when.at)
    if (Result.isFailure(read)) return Result.fail(read.failure)
    const atMs = Math.ceil(read.success)
    return Result.succeed((nowMs: number) => Math.max(atMs, Math.floor(nowMs)))
  }
  if (when.in === undefined) return dueNow
  const read = durationMsOf("in", when.in, inLimits)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const inMs = read.success
  return Result.succeed((nowMs: number) =>
    Math.min(inMs === 0 ? Math.floor(nowMs) : Math.ceil(nowMs + inMs), timestampMsMax)
  )
}

const inLimits = { minMs: 0, maxMs: timestampMsMax }
const dueNow: Result.Result<Plan["dueAtMs"], OptionsRejected> = Result.succeed(Math.floor)
