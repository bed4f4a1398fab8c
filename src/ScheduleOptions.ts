import { type Duration, Predicate, Result } from "effect"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import { timestampMsMax } from "./core/TaskId.ts"
import type { OptionsRejected } from "./DuetimeError.ts"
import { durationMsOf, type InstantInput, instantMsOf, keyOf, rejected } from "./optionValues.ts"

/** When: `in` a span from now or `at` an instant; neither is now. What is past is due now. */
export type When = {
  readonly in?: Duration.Input | undefined
  /** A Date, a DateTime, milliseconds since 1970, or ISO text with its offset ("2027-01-31T09:00:00+01:00"). */
  readonly at?: InstantInput | undefined
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

export type ScheduleOptions = When & {
  /**
   * Idempotency key within the kind: scheduling again with the same key and payload answers with the first task, with
   * another payload it fails with `KeyConflict`. 1 to 512 characters. It is held as long as the task's history, or as
   * long as an `ExpiringKey` says.
   */
  readonly key?: string | ExpiringKey | undefined
  /** Default: the kind's. */
  readonly priority?: Priority | undefined
  /** Tasks with the same one share a slot of the id space, for ownership and sharding. 1 to 512 characters. */
  readonly orderingKey?: string | undefined
}

/** Options that were read and found in order. */
export type Plan = {
  readonly dueAtMs: (nowMs: number) => number
  readonly key: string | null
  readonly keyKeptMs: number | null
  readonly priority: Priority | null
  readonly orderingKey: string | null
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
  const kept = expiring === null ? notExpiring : durationMsOf("key.expiresIn", expiring.expiresIn, keyKeptLimits)
  if (Result.isFailure(kept)) return Result.fail(kept.failure)
  const orderingKey = optionalKeyOf("orderingKey", options.orderingKey)
  if (Result.isFailure(orderingKey)) return Result.fail(orderingKey.failure)
  return Result.succeed({
    dueAtMs: dueAtMs.success,
    key: key.success,
    keyKeptMs: kept.success,
    priority,
    orderingKey: orderingKey.success
  })
}

/** As long as history is ever kept after the end of a task. */
export const keyKeptMsMax = 30 * 86_400_000
const keyKeptLimits = { minMs: 0, maxMs: keyKeptMsMax }
const notExpiring: Result.Result<number | null, OptionsRejected> = Result.succeed(null)

const noKey: Result.Result<string | null, OptionsRejected> = Result.succeed(null)

const optionalKeyOf = (field: string, input: string | undefined): Result.Result<string | null, OptionsRejected> =>
  input === undefined ? noKey : keyOf(field, input)

/** The due time as a function of now, in whole milliseconds: now rounds down, so that it is due at once, the rest up. */
export const dueOf = (when: When): Result.Result<Plan["dueAtMs"], OptionsRejected> => {
  if (when.in !== undefined && when.at !== undefined) {
    return Result.fail(rejected("at", when.at, "Give either `in` or `at`, not both"))
  }
  if (when.at !== undefined) {
    const read = instantMsOf("at", when.at)
    if (Result.isFailure(read)) return Result.fail(read.failure)
    const atMs = Math.ceil(read.success)
    return Result.succeed((nowMs: number) => Math.max(atMs, Math.floor(nowMs)))
  }
  if (when.in === undefined) return dueNow
  const read = durationMsOf("in", when.in, { minMs: 0, maxMs: timestampMsMax })
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const inMs = read.success
  return Result.succeed((nowMs: number) =>
    Math.min(inMs === 0 ? Math.floor(nowMs) : Math.ceil(nowMs + inMs), timestampMsMax)
  )
}

const dueNow: Result.Result<Plan["dueAtMs"], OptionsRejected> = Result.succeed(Math.floor)
