import type { Calendar } from "./calendar/Calendar.ts"
import { fractionOf, type EventId } from "./TaskId.ts"

/**
 * When a failed attempt is tried again. A policy is plain data, because engines and the SQL side must be able
 * to apply it to a task whose worker has died: it travels in the `kind` table, and what was decided is kept in
 * the event (`dueAtMs`), so that a changed policy never rewrites history. A handler replaces the policy's delay
 * for one failure by failing with its own delay.
 */
export type RetryPolicy = {
  /** Attempts that count, the first included. After the last one fails the task is a dead letter. 1 to 1,000. */
  readonly attemptsMax: number
  readonly delay:
    | { readonly _tag: "Exponential"; readonly baseMs: number; readonly factor: number; readonly capMs: number }
    | { readonly _tag: "Fixed"; readonly delayMs: number }
    /** One delay per retry; the last one repeats. */
    | { readonly _tag: "Listed"; readonly delaysMs: ReadonlyArray<number> }
  /** `full`: uniform in [0, delay], which spreads a retry storm best (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
  readonly jitter: "full" | "none"
  /** What would come on closed time comes when it is open again. Absent: any time will do. */
  readonly calendar?: Calendar
}

export const attemptsMaxLimit = 1_000

/** 8 attempts, 1 s doubling up to 10 min, full jitter: a task is given about five minutes on average before it is dead. */
export const defaultRetryPolicy: RetryPolicy = {
  attemptsMax: 8,
  delay: { _tag: "Exponential", baseMs: 1_000, factor: 2, capMs: 600_000 },
  jitter: "full"
}

/**
 * Delay before the next attempt.
 *
 * @param attemptsCharged attempts counted so far, the failed one included; 1 after the first failure
 * @param eventId id of the failure's event: its random bits are the jitter, so the decision is reproducible
 * @returns whole milliseconds in `[0, cap]`
 */
export const delayMsAfter = (policy: RetryPolicy, attemptsCharged: number, eventId: EventId): number => {
  const ceilingMs = delayCeilingMs(policy, attemptsCharged)
  return Math.round(policy.jitter === "full" ? ceilingMs * fractionOf(eventId) : ceilingMs)
}

/** The delay before jitter: the upper bound that invariant S12 checks a recorded retry against. */
export const delayCeilingMs = (policy: RetryPolicy, attemptsCharged: number): number => {
  const retry = Math.max(1, attemptsCharged)
  switch (policy.delay._tag) {
    case "Exponential":
      // factor ** 1000 may be Infinity, which times a base of 0 is no number; a finite power keeps it one.
      return Math.min(
        policy.delay.capMs,
        policy.delay.baseMs * Math.min(policy.delay.factor ** (retry - 1), Number.MAX_VALUE)
      )
    case "Fixed":
      return policy.delay.delayMs
    case "Listed":
      return policy.delay.delaysMs[Math.min(retry, policy.delay.delaysMs.length) - 1] ?? 0
  }
}

export const isExhausted = (policy: RetryPolicy, attemptsCharged: number): boolean =>
  attemptsCharged >= policy.attemptsMax
