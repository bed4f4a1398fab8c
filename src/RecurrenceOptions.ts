import { type Duration, Predicate, Result } from "effect"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import type { Calendar } from "./core/calendar/Calendar.ts"
import { compiledOf } from "./core/recurrence/compiled.ts"
import type { Closed } from "./core/recurrence/openInstants.ts"
import {
  checkPolicies,
  defaultPolicies,
  maxLatenessMsMax,
  misfireGraceMsMax,
  misfirePaceMsMax,
  type Policies
} from "./core/recurrence/Policies.ts"
import { type CronRule, everyMsMax, everyMsMin, type Rule } from "./core/recurrence/Rule.ts"
import { namesOf } from "./core/unknownName.ts"
import { calendarOf } from "./CalendarOptions.ts"
import type { OptionsRejected } from "./DuetimeError.ts"
import type { Following } from "./FollowUp.ts"
import { asOption, durationMsOf, type InstantInput, instantMsOf, rejected, unknownOption } from "./optionValues.ts"

/** When it fires: a cron expression in a zone, or an interval; and only where its calendar is open. */
export type Recurs = Openings &
  (
    | {
        /** Five fields, six with the second first, or a macro such as `@daily`. */
        readonly cron: string
        /** A name of the IANA database, as `Europe/Berlin`. Default UTC. */
        readonly zone?: string
        /** Times of day that a change of the clocks leaves out: none (`skip`), later by the gap (`shift`, default), at its `end`. */
        readonly gap?: CronRule["gap"]
        /** Times of day that come twice: the `first` (default), the `second`, or `both`. */
        readonly fold?: CronRule["fold"]
        readonly every?: undefined
      }
    | {
        /** 1 second to 3,660 days. */
        readonly every: Duration.Input
        /** One instant of the grid; default 1970-01-01T00:00:00Z. */
        readonly anchor?: InstantInput
        readonly cron?: undefined
      }
  )

export type Openings = {
  readonly calendar?: Calendar
  /**
   * Instants on closed time: left out (`skip`, default), or moved to the `next` or `previous` open day, at their time of day; what is
   * still outside the open hours there moves to their next beginning, or the last second before their end. Two that
   * are moved onto one are one.
   */
  readonly closed?: Closed
}

export type Misfire = {
  /** Of the instants that were missed: none, the last one (default), or all of them. */
  readonly run: Policies["misfire"]
  /** Under `all`: the latest so many, 1 to 1,000; default 100. */
  readonly cap?: number
  /** Under `all`: between two of them, up to an hour; default 1 s. */
  readonly pace?: Duration.Input
  /** An instant is missed when it could not be decided for so long, up to an hour; default 10 s. Until then it is late. */
  readonly grace?: Duration.Input
}

export type RecurrencePolicies = {
  readonly misfire?: Policies["misfire"] | Misfire
  /** What could only run later than this is skipped; default: it is never too late. */
  readonly maxLateness?: Duration.Input
  /**
   * While the task of an earlier instant has not ended: run beside it (`allow`, default), `skip`, or `cancel` it and run. A
   * running one is asked to end, as by `Duetime.cancel`.
   */
  readonly overlap?: Policies["overlap"]
}

/** What follows, follows each of its tasks. */
export type RecurrenceOptions<Payload> = Recurs &
  RecurrencePolicies &
  Following & {
    readonly payload: Payload
    /** Default: the kind's. */
    readonly priority?: Priority
    /** Changes nothing but that the definition is another one: a declaration with it replaces those that came before. */
    readonly edition?: number
  }

const misfireNames = namesOf<Misfire>({ run: true, cap: true, pace: true, grace: true })
const names = namesOf<RecurrenceOptions<unknown>>({
  cron: true,
  zone: true,
  gap: true,
  fold: true,
  every: true,
  anchor: true,
  calendar: true,
  closed: true,
  payload: true,
  misfire: true,
  maxLateness: true,
  overlap: true,
  priority: true,
  edition: true,
  onSuccess: true,
  onDead: true
})

/** Options that were read and found in order. */
export type RecurrencePlan = {
  readonly rule: Rule
  readonly policies: Policies
  readonly priority: Priority | null
  readonly edition: number | null
}

type Checked<A> = Result.Result<A, OptionsRejected>

export const recurrencePlanOf = (options: RecurrenceOptions<unknown>): Checked<RecurrencePlan> =>
  Result.gen(function* () {
    const rule = yield* ruleOf(options)
    const policies = yield* policiesOf(options)
    const { edition = null, priority = null } = options
    if (priority !== null && !isPriority(priority))
      return yield* Result.fail(rejected("priority", priority, `Give one of ${priorities.join(", ")}`))
    if (edition !== null && !Number.isSafeInteger(edition))
      return yield* Result.fail(rejected("edition", edition, "Give a whole number"))
    return { rule, policies, priority, edition }
  })

/**
 * The rule, compiled once: what makes no sense is told here and never by an engine. Also of the whole options of a recurrence, so that
 * what is to be made can be previewed as it is.
 */
export const ruleOf = (recurs: Recurs): Checked<Rule> =>
  Result.gen(function* () {
    const unknown = unknownOption(recurs, names)
    if (unknown !== null) return yield* Result.fail(unknown)
    if ((recurs.cron === undefined) === (recurs.every === undefined))
      return yield* Result.fail(rejected("cron", recurs.cron, "Give either `cron` or `every`"))
    if (recurs.closed !== undefined && recurs.calendar === undefined)
      return yield* Result.fail(
        rejected("closed", recurs.closed, "Give the `calendar` that it is about, or leave it out")
      )
    const open =
      recurs.calendar === undefined
        ? {}
        : { open: { calendar: yield* calendarOf(recurs.calendar), closed: recurs.closed ?? "skip" } }
    const rule: Rule =
      recurs.cron === undefined
        ? {
            ...open,
            _tag: "Interval",
            everyMs: yield* durationMsOf("every", recurs.every, { minMs: everyMsMin, maxMs: everyMsMax }),
            anchorMs: recurs.anchor === undefined ? 0 : yield* instantMsOf("anchor", recurs.anchor)
          }
        : {
            ...open,
            _tag: "Cron",
            expression: recurs.cron,
            zone: recurs.zone ?? "UTC",
            gap: recurs.gap ?? "shift",
            fold: recurs.fold ?? "first"
          }
    yield* Result.mapError(compiledOf(rule), asOption)
    return rule
  })

const policiesOf = ({ maxLateness, misfire, overlap }: RecurrencePolicies): Checked<Policies> =>
  Result.gen(function* () {
    const unknown = Predicate.isObject(misfire) ? unknownOption(misfire, misfireNames, "misfire") : null
    if (unknown !== null) return yield* Result.fail(unknown)
    const { cap, grace, pace, run }: Misfire = Predicate.isObject(misfire)
      ? misfire
      : { run: misfire ?? defaultPolicies.misfire }
    const within = (maxMs: number) => ({ minMs: 0, maxMs })
    const policies: Policies = {
      misfire: run,
      misfireCap: cap ?? defaultPolicies.misfireCap,
      misfireGraceMs: yield* durationMsOf(
        "misfire.grace",
        grace ?? defaultPolicies.misfireGraceMs,
        within(misfireGraceMsMax)
      ),
      misfirePaceMs: yield* durationMsOf(
        "misfire.pace",
        pace ?? defaultPolicies.misfirePaceMs,
        within(misfirePaceMsMax)
      ),
      maxLatenessMs:
        maxLateness === undefined ? null : yield* durationMsOf("maxLateness", maxLateness, within(maxLatenessMsMax)),
      overlap: overlap ?? defaultPolicies.overlap
    }
    return yield* Result.mapError(checkPolicies(policies), asOption)
  })
