import { deathsMaxDefault } from "./deaths.ts"
import type { Priority } from "./Priority.ts"
import { defaultRetryPolicy, type RetryPolicy } from "./RetryPolicy.ts"
import { fractionOf, type TaskId } from "./TaskId.ts"

/** Spread of the due time, opt-in per kind, so that a million tasks of 09:00:00.000 do not start in one millisecond. */
export type DueJitter = { readonly fromMs: number; readonly toMs: number }

/** Limits of a kind over the whole fleet, held where tasks are claimed: what is over them waits, visible. */
export type KindCaps = {
  /** Tasks claimed and running at once. */
  readonly concurrencyMax: number | null
  /** Claims per second, averaged; bursts are a tenth of a second's worth, at least one. */
  readonly startsPerSecondMax: number | null
}

/** What engines and workers must agree on about a kind; upserted by workers into the `kind` table. */
export type KindPolicy = {
  readonly kind: string
  /** The domain service that serves the kind. */
  readonly queue: string
  readonly priority: Priority
  readonly retry: RetryPolicy
  /** Limit of one attempt; afterwards the handler is interrupted and the attempt has failed. */
  readonly timeoutMs: number
  readonly dueJitter: DueJitter | null
  /** What happens to an attempt whose worker died or ran past its deadline: try again, or wait for a reconciler or a person. */
  readonly onInterrupted: "retry" | "park"
  /**
   * Deaths in a row after which a task is a dead letter, whatever attempts are left; without meaning where interrupted attempts
   * are parked. 1 to 1,000.
   */
  readonly deathsMax: number
  readonly caps: KindCaps | null
}

export const defaultQueue = "default"
/** What caps may be: above, nothing is limited by a claim any more; below, a person had better pause the kind. */
export const concurrencyCapMax = 100_000
export const startsPerSecondCapMin = 0.01
export const startsPerSecondCapMax = 100_000
export const timeoutMsDefault = 60_000
/** A day. A longer task is better split; a drain or crash would repeat too much of it. */
export const timeoutMsMax = 86_400_000

export const defaultKindPolicy = (kind: string): KindPolicy => ({
  kind,
  queue: defaultQueue,
  priority: "normal",
  retry: defaultRetryPolicy,
  timeoutMs: timeoutMsDefault,
  dueJitter: null,
  onInterrupted: "retry",
  deathsMax: deathsMaxDefault,
  caps: null
})

/**
 * The due time with the kind's jitter: nominal + from + (to - from) × fraction of the id. It follows from the id
 * alone, so asking twice, on any node, gives the same instant. Drift is measured against this one.
 */
export const jitteredDueAtMs = (nominalDueAtMs: number, id: TaskId, jitter: DueJitter | null): number =>
  jitter === null
    ? nominalDueAtMs
    : nominalDueAtMs + Math.floor(jitter.fromMs + (jitter.toMs - jitter.fromMs) * fractionOf(id))
