import { type Duration, Result } from "effect"
import { namesOf } from "./core/unknownName.ts"
import { calendarOf } from "./CalendarOptions.ts"
import type { Calendar } from "./core/calendar/Calendar.ts"
import { attemptsMaxLimit, defaultRetryPolicy, type RetryPolicy as Policy } from "./core/RetryPolicy.ts"
import { durationMsOf, rejected, throwUnknownOption } from "./optionValues.ts"

export type RetryPolicy = Policy

/** Longest delay between two attempts. */
export const retryDelayMsMax = 366 * 86_400_000

export type RetryOptions = {
  /** Attempts that count, the first included; afterwards the task is a dead letter. 1 to 1,000; default 8. */
  readonly attemptsMax?: number
  /** `full` draws each delay between nothing and all of it, so that tasks that failed together do not come back together. */
  readonly jitter?: "full" | "none"
  /** A retry that would come on closed time comes when it is open again. */
  readonly calendar?: Calendar
}

/** base, base × factor, base × factor² ... up to the cap; full jitter. Default factor 2. Throws `OptionsRejected`. */
export const exponential = (
  options: RetryOptions & {
    readonly base: Duration.Input
    readonly cap: Duration.Input
    readonly factor?: number
  }
): RetryPolicy => {
  throwUnknownOption(options, exponentialNames, "retry")
  const factor = options.factor ?? 2
  if (!(factor >= 1 && factor <= 100)) throw rejected("retry.factor", factor, "Give a number from 1 to 100")
  const baseMs = delayMs("retry.base", options.base)
  const capMs = delayMs("retry.cap", options.cap)
  if (capMs < baseMs) throw rejected("retry.cap", options.cap, `Give at least the base, ${baseMs} ms`)
  return policy(options, "full", defaultRetryPolicy.attemptsMax, { _tag: "Exponential", baseMs, factor, capMs })
}

/** The same delay each time; no jitter unless asked for. Throws `OptionsRejected`. */
export const fixed = (options: RetryOptions & { readonly delay: Duration.Input }): RetryPolicy => {
  throwUnknownOption(options, fixedNames, "retry")
  return policy(options, "none", defaultRetryPolicy.attemptsMax, {
    _tag: "Fixed",
    delayMs: delayMs("retry.delay", options.delay)
  })
}

/** These delays, one per retry; the last one repeats if `attemptsMax` asks for more. No jitter unless asked for. Throws `OptionsRejected`. */
export const listed = (options: RetryOptions & { readonly delays: ReadonlyArray<Duration.Input> }): RetryPolicy => {
  throwUnknownOption(options, listedNames, "retry")
  if (!Array.isArray(options.delays)) throw rejected("retry.delays", options.delays, "Give an array of durations")
  const delaysMs = options.delays.map((delay, index) => delayMs(`retry.delays[${index}]`, delay))
  if (delaysMs.length === 0 || delaysMs.length >= attemptsMaxLimit) {
    throw rejected("retry.delays", options.delays, `Give 1 to ${attemptsMaxLimit - 1} delays`)
  }
  return policy(options, "none", delaysMs.length + 1, { _tag: "Listed", delaysMs })
}

/** One attempt; a failure makes a dead letter at once. */
export const never: RetryPolicy = {
  attemptsMax: 1,
  delay: { _tag: "Fixed", delayMs: 0 },
  jitter: "none"
}

const names = namesOf<RetryOptions>({ attemptsMax: true, jitter: true, calendar: true })
const exponentialNames = new Set(["base", "cap", "factor", ...names])
const fixedNames = new Set(["delay", ...names])
const listedNames = new Set(["delays", ...names])

const delayMs = (field: string, input: Duration.Input): number =>
  Result.getOrThrow(durationMsOf(field, input, { minMs: 0, maxMs: retryDelayMsMax }))

const policy = (
  options: RetryOptions,
  jitterDefault: RetryPolicy["jitter"],
  attemptsMaxDefault: number,
  delay: RetryPolicy["delay"]
): RetryPolicy => {
  const attemptsMax = options.attemptsMax ?? attemptsMaxDefault
  if (!Number.isInteger(attemptsMax) || attemptsMax < 1 || attemptsMax > attemptsMaxLimit) {
    throw rejected("retry.attemptsMax", attemptsMax, `Give a whole number from 1 to ${attemptsMaxLimit}`)
  }
  const plain = { attemptsMax, delay, jitter: options.jitter ?? jitterDefault }
  return options.calendar === undefined
    ? plain
    : { ...plain, calendar: Result.getOrThrow(calendarOf(options.calendar)) }
}
