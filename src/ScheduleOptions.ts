import { type Duration, Result } from "effect"
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

export type ScheduleOptions = When & {
  /**
   * Idempotency key within the kind: scheduling again with the same key and payload answers with the first task, with
   * another payload it fails with `KeyConflict`. 1 to 512 characters.
   */
  readonly key?: string | undefined
  /** Default: the kind's. */
  readonly priority?: Priority | undefined
  /** Tasks with the same one share a slot of the id space, for ownership and sharding. 1 to 512 characters. */
  readonly orderingKey?: string | undefined
}

/** Options that were read and found in order. */
export type Plan = {
  readonly dueAtMs: (nowMs: number) => number
  readonly key: string | null
  readonly priority: Priority | null
  readonly orderingKey: string | null
}

export const planOf = (options: ScheduleOptions): Result.Result<Plan, OptionsRejected> =>
  Result.gen(function* () {
    const priority = options.priority ?? null
    if (priority !== null && !isPriority(priority)) {
      return yield* Result.fail(rejected("priority", priority, `Give one of ${priorities.join(", ")}`))
    }
    return {
      dueAtMs: yield* dueOf(options),
      key: options.key === undefined ? null : yield* keyOf("key", options.key),
      priority,
      orderingKey: options.orderingKey === undefined ? null : yield* keyOf("orderingKey", options.orderingKey)
    }
  })

/** The due time as a function of now, in whole milliseconds: now rounds down, so that it is due at once, the rest up. */
export const dueOf = (when: When): Result.Result<Plan["dueAtMs"], OptionsRejected> =>
  Result.gen(function* () {
    if (when.in !== undefined && when.at !== undefined) {
      return yield* Result.fail(rejected("at", when.at, "Give either `in` or `at`, not both"))
    }
    if (when.at !== undefined) {
      const atMs = Math.ceil(yield* instantMsOf("at", when.at))
      return (nowMs: number) => Math.max(atMs, Math.floor(nowMs))
    }
    if (when.in === undefined) return Math.floor
    const inMs = yield* durationMsOf("in", when.in, { minMs: 0, maxMs: timestampMsMax })
    return (nowMs: number) => Math.min(inMs === 0 ? Math.floor(nowMs) : Math.ceil(nowMs + inMs), timestampMsMax)
  })
