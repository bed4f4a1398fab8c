/** What the client of a simulation schedules, and when. */
import { type Duration, Effect, Result, Schedule } from "effect"
import { Duetime } from "../../Duetime.ts"
import { type PayloadKind } from "../../Scheduling.ts"
import { durationMsOf, throwUnknownOption } from "../../optionValues.ts"
import { namesBeside, type ScheduleOptions } from "../../ScheduleOptions.ts"

export type PlanOptions = ScheduleOptions & {
  /** When the client schedules it, from the beginning of the history; default 0, at most a day. */
  readonly after?: Duration.Input
}

/** A task that a history schedules, made by `plan`. */
export type Planned = {
  readonly kind: string
  readonly afterMs: number
  readonly schedule: (key: string) => Effect.Effect<{ readonly id: string }, unknown, Duetime>
}

/**
 * One task of a workload: as `kind.schedule(payload, options)`, by a client that asks again until it is told, as callers must. It gives
 * each task a key, unless the options have one. The clock of a simulation begins on 15 January 2027 at 08:00 UTC.
 *
 * Throws `OptionsRejected` for an `after` that makes no sense, and for an option that there is not.
 */
export const plan = <Payload>(kind: PayloadKind<Payload>, payload: Payload, planOptions: PlanOptions = {}): Planned => {
  throwUnknownOption(planOptions, names)
  const { after = 0, ...options } = planOptions
  return {
    kind: kind.policy.kind,
    afterMs: Result.getOrThrow(durationMsOf("after", after, { minMs: 0, maxMs: afterMsMax })),
    schedule: (key) =>
      Duetime.use((duetime) => duetime.schedule(kind, payload, { key, ...options })).pipe(
        Effect.retry({
          schedule: Schedule.spaced(againMs),
          while: (error) => error._tag === "StoreUnavailable"
        })
      )
  }
}

const names = namesBeside("after")
const afterMsMax = 86_400_000
const againMs = 300
