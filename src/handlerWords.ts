import { type Duration, Result } from "effect"
import { type BusinessDays, dueByCalendar, isBusinessDays } from "./CalendarOptions.ts"
import type { Calendar } from "./core/calendar/Calendar.ts"
import { namesOf } from "./core/unknownName.ts"
import { durationMsOf, type InstantInput, throwUnknownOption } from "./optionValues.ts"
import { retryDelayMsMax } from "./RetryPolicy.ts"
import { type Answer, Discard, Fatal, RetryIn, Snooze } from "./worker/Handlers.ts"

/** For handlers: `return yield* Task.snooze("10 minutes")`, or `throw` it. Tries again later; the attempt is not charged. */
export const snooze = (duration: Duration.Input): Snooze => new Snooze({ inMs: delayMs("snooze", duration) })

/** For handlers: the task is not worth another attempt. It becomes a dead letter with the reason `discarded`. */
export const discard = (reason: string): Discard => new Discard({ reason })

/** For handlers: failed, and trying again would not help. A dead letter at once, with this error. */
export const fatal = (error: unknown): Fatal => new Fatal({ error })

export type RetryTime = {
  /** Where it is closed then, the next attempt comes when it is open again. */
  readonly calendar?: Calendar
}

const timeNames = namesOf<RetryTime>({ calendar: true })

/**
 * For handlers: failed with this error; the next attempt comes after this delay instead of the policy's, or on a business day:
 * `Task.retryIn({ businessDays: 1, at: "10:00" }, error, { calendar })`. The policy's own calendar has no say in it.
 */
export const retryIn = (delay: Duration.Input | BusinessDays, error: unknown, time: RetryTime = {}): RetryIn => {
  throwUnknownOption(time, timeNames)
  const { calendar } = time
  return new RetryIn({
    retry:
      calendar === undefined && !isBusinessDays(delay)
        ? delayMs("retryIn", delay)
        : Result.getOrThrow(dueByCalendar({ in: delay, calendar }, delayLimits, "retryIn")),
    error
  })
}

/** For handlers: failed with this error; the next attempt comes at this instant, or at once if it has passed. */
export const retryAt = (at: InstantInput, error: unknown, time: RetryTime = {}): RetryIn => {
  throwUnknownOption(time, timeNames)
  return new RetryIn({ retry: Result.getOrThrow(dueByCalendar({ at, calendar: time.calendar }, delayLimits)), error })
}

/** For reconcilers: the interrupted attempt has done its work. The task has succeeded, with this result. */
export function done(): Answer<undefined>
export function done<Output>(result: Output): Answer<Output>
export function done(result?: unknown): Answer {
  return { _tag: "Done", result }
}

/** For reconcilers: the interrupted attempt has done nothing. It is tried again by the kind's policy. */
export const notDone: Answer<never> = { _tag: "NotDone" }

/** For reconcilers: nobody can tell yet. The task stays parked and is asked about again later. */
export const unknown: Answer<never> = { _tag: "Unknown" }

const delayMs = (field: string, duration: Duration.Input): number =>
  Result.getOrThrow(durationMsOf(field, duration, delayLimits))

const delayLimits = { minMs: 0, maxMs: retryDelayMsMax }
