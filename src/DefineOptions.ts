import { type Duration, Predicate, Result } from "effect"
import { deathsMaxDefault, deathsMaxLimit } from "./core/deaths.ts"
import {
  concurrencyCapMax,
  defaultQueue,
  type DueJitter,
  type KindCaps,
  type KindPolicy,
  startsPerSecondCapMax,
  startsPerSecondCapMin,
  timeoutMsDefault,
  timeoutMsMax
} from "./core/KindPolicy.ts"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import { defaultRetryPolicy, type RetryPolicy } from "./core/RetryPolicy.ts"
import { namesOf } from "./core/unknownName.ts"
import { durationMsOf, nameOf, rejected, throwUnknownOption } from "./optionValues.ts"

export type DefineOptions<Payload, Output> = {
  /** Fields, or any schema. Stored as JSON by `Schema.toCodecJson`. */
  readonly payload: Payload
  /** What a handler returns, if somebody reads it. Without, any JSON is kept. */
  readonly result?: Output
  /** The service that serves the kind; default "default". Each queue has its own topics and workers. */
  readonly queue?: string
  /** Default: 8 attempts, 1 s doubling up to 10 min, full jitter. */
  readonly retry?: RetryPolicy
  /** Limit of one attempt, 1 ms to 1 day; default 1 minute. */
  readonly timeout?: Duration.Input
  /** Default "normal". */
  readonly priority?: Priority
  /** Spreads due times by `from` to `to` after the time asked for, up to 1 day; default none. */
  readonly dueJitter?: { readonly from?: Duration.Input; readonly to: Duration.Input }
  /**
   * After an attempt whose worker died or that ran too long: try again, or wait until the handler's `reconcile` knows what it
   * has done, or a person. Default "retry".
   */
  readonly onInterrupted?: "retry" | "park"
  /**
   * Attempts in a row whose worker's process died, after which the task is a dead letter with the reason `quarantined`, whatever
   * attempts are left. 1 to 1,000; default 3. With less, tasks that merely ran beside the one that kills are taken for it. Nothing
   * is quarantined with `onInterrupted: "park"`.
   */
  readonly deathsMax?: number
  /**
   * Limits of the kind over the whole fleet; default none. `concurrency`: tasks claimed or running at once, 1 to 100,000.
   * `perSecond`: starts per second, 0.01 to 100,000. What is over them waits in the database, by priority and due time.
   */
  readonly caps?: Caps
}

export type Caps = { readonly concurrency?: number; readonly perSecond?: number }

const names = namesOf<DefineOptions<unknown, unknown>>({
  payload: true,
  result: true,
  queue: true,
  retry: true,
  timeout: true,
  priority: true,
  dueJitter: true,
  onInterrupted: true,
  deathsMax: true,
  caps: true
})
const dueJitterNames = namesOf<NonNullable<DefineOptions<unknown, unknown>["dueJitter"]>>({ from: true, to: true })
const capsNames = namesOf<Caps>({ concurrency: true, perSecond: true })

/** Longest spread of due times. */
export const dueJitterMsMax = 86_400_000

/** The policy of a kind, in plain data. Throws `OptionsRejected`. */
export const policyOf = (kind: string, options: DefineOptions<unknown, unknown>): KindPolicy => {
  throwUnknownOption(options, names)
  const {
    deathsMax = deathsMaxDefault,
    onInterrupted = "retry",
    priority = "normal",
    retry = defaultRetryPolicy
  } = options
  if (!isPriority(priority)) throw rejected("priority", priority, `Give one of ${priorities.join(", ")}`)
  if (onInterrupted !== "retry" && onInterrupted !== "park") {
    throw rejected("onInterrupted", onInterrupted, 'Give "retry" or "park"')
  }
  if (!(Number.isInteger(deathsMax) && isWithin(deathsMax, 1, deathsMaxLimit))) {
    throw rejected("deathsMax", deathsMax, `Give a whole number from 1 to ${deathsMaxLimit}, or leave it out`)
  }
  checkRetry(retry)
  return {
    kind: Result.getOrThrow(nameOf("kind", kind)),
    queue: Result.getOrThrow(nameOf("queue", options.queue ?? defaultQueue)),
    priority,
    retry,
    timeoutMs: Result.getOrThrow(
      durationMsOf("timeout", options.timeout ?? timeoutMsDefault, { minMs: 1, maxMs: timeoutMsMax })
    ),
    dueJitter: options.dueJitter === undefined ? null : jitterOf(options.dueJitter),
    onInterrupted,
    deathsMax,
    caps: options.caps === undefined ? null : capsOf(options.caps)
  }
}

/** One that was written by hand would be stored as it is, and fail where an attempt does. */
const checkRetry = (retry: RetryPolicy): void => {
  if (Predicate.hasProperty(retry, "delay") && Predicate.hasProperty(retry.delay, "_tag")) return
  const wayOut = 'Give a policy, such as RetryPolicy.exponential({ base: "1 second", cap: "1 minute", attemptsMax: 3 })'
  throw rejected("retry", retry, wayOut)
}

const jitterOf = (jitter: { readonly from?: Duration.Input; readonly to: Duration.Input }): DueJitter => {
  throwUnknownOption(jitter, dueJitterNames, "dueJitter")
  const limits = { minMs: 0, maxMs: dueJitterMsMax }
  const fromMs = Result.getOrThrow(durationMsOf("dueJitter.from", jitter.from ?? 0, limits))
  const toMs = Result.getOrThrow(durationMsOf("dueJitter.to", jitter.to, limits))
  if (toMs < fromMs) throw rejected("dueJitter.to", jitter.to, `Give at least dueJitter.from, ${fromMs} ms`)
  return { fromMs, toMs }
}

const capsOf = (caps: Caps): KindCaps => {
  throwUnknownOption(caps, capsNames, "caps")
  const { concurrency, perSecond } = caps
  if (concurrency === undefined && perSecond === undefined) {
    throw rejected("caps", caps, "Give concurrency, perSecond or both, or leave caps out")
  }
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && isWithin(concurrency, 1, concurrencyCapMax))) {
    throw rejected(
      "caps.concurrency",
      concurrency,
      `Give a whole number from 1 to ${concurrencyCapMax}, or leave it out`
    )
  }
  if (perSecond !== undefined && !isWithin(perSecond, startsPerSecondCapMin, startsPerSecondCapMax)) {
    const wayOut = `Give a number from ${startsPerSecondCapMin} to ${startsPerSecondCapMax}, or pause the kind to stop it`
    throw rejected("caps.perSecond", perSecond, wayOut)
  }
  return { concurrencyMax: concurrency ?? null, startsPerSecondMax: perSecond ?? null }
}

/** Also false of what is no number at all: callers in JavaScript give anything. */
const isWithin = (value: unknown, least: number, most: number): boolean =>
  typeof value === "number" && value >= least && value <= most
