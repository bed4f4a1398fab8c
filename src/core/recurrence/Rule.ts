import { Result } from "effect"
import type { Calendar } from "../calendar/Calendar.ts"
import { openedMs } from "../calendar/Due.ts"
import { openTimesOf } from "../calendar/openTimesOf.ts"
import { dayMs, maxMs, minMs, secondMs } from "./bounds.ts"
import { type FoldPolicy, firstFire, type GapPolicy } from "./cron.ts"
import { type Fields, fieldsOf, firstMatch } from "./fields.ts"
import { type Closed, closedPolicies, openInstants } from "./openInstants.ts"
import { rejected, type RuleRejected } from "./RuleRejected.ts"
import { isOffset, type Zone, zoneOf } from "./Zone.ts"

/** When a recurrence fires. Plain JSON, because it is stored and read by engines, clients and people. */
export type Rule = CronRule | IntervalRule

export type CronRule = {
  /** Absent: a rule that knows no calendar. */
  readonly open?: Open
  readonly _tag: "Cron"
  /** Five fields, six with the second first, or a macro such as `@daily`. */
  readonly expression: string
  /** A name of the IANA time zone database, as `Europe/Berlin`. */
  readonly zone: string
  /** Times of day that a change of the clocks leaves out: none, later by the length of the gap, or at its end. */
  readonly gap: GapPolicy
  /** Times of day that come twice. */
  readonly fold: FoldPolicy
}

export type IntervalRule = {
  readonly open?: Open
  readonly _tag: "Interval"
  /** 1 second to 3,660 days. */
  readonly everyMs: number
  /** One instant of the grid, which goes on before and after it. */
  readonly anchorMs: number
}

/** When the rule's zone of interest is open, and what becomes of instants when it is not. */
export type Open = { readonly calendar: Calendar; readonly closed: Closed }

/** A rule that has been checked. */
export type Compiled = {
  readonly rule: Rule
  /** The first nominal instant strictly after `afterMs`; null from the year 3000 on. */
  readonly next: (afterMs: number) => number | null
  /** When something of this rule that comes late may run: where its calendar is open. */
  readonly openedMs?: (atMs: number) => number
}

export const everyMsMin = secondMs
/** Ten years: within the horizon of what can be scheduled. */
export const everyMsMax = 3_660 * dayMs

export const compile = (rule: Rule): Result.Result<Compiled, RuleRejected> => {
  const { open } = rule
  const plain = compilePlain(rule)
  return open === undefined ? plain : Result.flatMap(plain, ({ next }) => compileOpen(rule, open, next))
}

const compileOpen = (
  rule: Rule,
  { calendar, closed }: Open,
  plainNext: Compiled["next"]
): Result.Result<Compiled, RuleRejected> =>
  Result.gen(function* () {
    const open = yield* openTimesOf(calendar)
    yield* oneOf("closed", closed, closedPolicies)
    const next = openInstants(plainNext, open, closed)
    if (next(afterHolidaysMs(calendar)) === null)
      return yield* Result.fail(
        rejected(
          "calendar",
          JSON.stringify(calendar),
          "it is closed at every instant of the rule, so that it would never fire",
          'Open it at times that the rule names, or move the instants: closed: "next"'
        )
      )
    return { rule, next, openedMs: (atMs) => openedMs(calendar, atMs) }
  })

/** From here on only weekdays and hours count, for ever. */
const afterHolidaysMs = ({ holidays = [] }: Calendar): number =>
  Math.max(Date.UTC(2000, 0), ...holidays.map((date) => Date.parse(`${date}T00:00:00Z`) + dayMs))

const compilePlain = (rule: Rule): Result.Result<Compiled, RuleRejected> => {
  switch (rule._tag) {
    case "Cron":
      return compileCron(rule)
    case "Interval":
      return compileInterval(rule)
    default:
      return Result.fail(unknownRule(rule))
  }
}

/** Of data that came from outside the type system. */
const unknownRule = (rule: never): RuleRejected =>
  rejected("rule", JSON.stringify(rule), "there is no such rule", "Give a Cron or an Interval")

const compileCron = (rule: CronRule): Result.Result<Compiled, RuleRejected> =>
  Result.gen(function* () {
    const fields = yield* fieldsOf(rule.expression)
    if (!firesAtAll(fields))
      return yield* Result.fail(
        rejected(
          "expression.day",
          rule.expression,
          "no month that it names has such a day, so it would never fire",
          "Give a day that one of the months has"
        )
      )
    if (isOffset(rule.zone))
      return yield* Result.fail(
        rejected(
          "zone",
          rule.zone,
          "it is an offset, which some systems count west of Greenwich and others east",
          "Give a name of the IANA database, as Europe/Berlin, UTC, or Etc/GMT-5 for five hours ahead of UTC"
        )
      )
    if (typeof rule.zone !== "string" || zoneOf(rule.zone) === null)
      return yield* Result.fail(
        rejected("zone", rule.zone, "it is not known here", "Give a name of the IANA database, as Europe/Berlin or UTC")
      )
    yield* oneOf("gap", rule.gap, ["skip", "shift", "end"])
    yield* oneOf("fold", rule.fold, ["first", "second", "both"])
    return { rule, next: (afterMs) => nextOf(rule, fields, afterMs) }
  })

const nextOf = ({ fold, gap, zone }: CronRule, fields: Fields, afterMs: number): number | null => {
  // Looked up each time: a hundred thousand rules must not hold what the bounded cache of zones has let go.
  const found: Zone | null = zoneOf(zone)
  return found === null || !Number.isFinite(afterMs)
    ? null
    : firstFire(fields, found, gap, fold, Math.floor(afterMs) + 1)
}

/** The Gregorian calendar repeats after 400 years, weekdays included: a date that is not in them never comes. */
const firesAtAll = (fields: Fields): boolean => firstMatch(fields, Date.UTC(2000, 0), Date.UTC(2400, 0)) !== null

const oneOf = (field: string, value: string, values: ReadonlyArray<string>): Result.Result<void, RuleRejected> =>
  values.includes(value)
    ? Result.void
    : Result.fail(rejected(field, value, "there is no such policy", `Give ${values.join(", ")}`))

const compileInterval = (rule: IntervalRule): Result.Result<Compiled, RuleRejected> => {
  const { anchorMs, everyMs } = rule
  if (!Number.isInteger(everyMs) || everyMs < everyMsMin || everyMs > everyMsMax)
    return Result.fail(
      rejected(
        "everyMs",
        everyMs,
        "it is no interval that can be kept",
        `Give whole milliseconds from ${everyMsMin} (1 second) to ${everyMsMax} (3,660 days)`
      )
    )
  if (!Number.isInteger(anchorMs) || anchorMs < minMs || anchorMs >= maxMs)
    return Result.fail(
      rejected("anchorMs", anchorMs, "it is no instant of the years 1900 to 2999", "Give whole milliseconds since 1970")
    )
  return Result.succeed({
    rule,
    next: (afterMs) => {
      if (!Number.isFinite(afterMs)) return null
      const fromMs = Math.max(minMs - 1, afterMs)
      const nextMs = anchorMs + (Math.floor((fromMs - anchorMs) / everyMs) + 1) * everyMs
      return nextMs < maxMs ? nextMs : null
    }
  })
}

/** Instants of one preview. */
export const previewCountMax = 1_000

/** The next nominal instants strictly after `afterMs`: `count` of them, 1,000 at most, fewer only where the rule ends. */
export const preview = (compiled: Compiled, afterMs: number, count: number): ReadonlyArray<number> => {
  const instants: Array<number> = []
  let lastMs: number | null = afterMs
  while (instants.length < Math.min(count, previewCountMax)) {
    lastMs = compiled.next(lastMs)
    if (lastMs === null) break
    instants.push(lastMs)
  }
  return instants
}
