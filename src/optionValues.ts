import { DateTime, type Duration, Option, Predicate, Result } from "effect"
import { inspect } from "node:util"
import type { RuleRejected } from "./core/recurrence/RuleRejected.ts"
import { spanMsOf } from "./core/span.ts"
import { isStorableText, toStorableText } from "./core/storable.ts"
import { timestampMsMax } from "./core/TaskId.ts"
import { unknownNameOf } from "./core/unknownName.ts"
import { OptionsRejected } from "./DuetimeError.ts"

/** Reads the values callers give: typed ones are checked too, because JavaScript, task files and the terminal give others. */

/** Characters of a caller's value that an error message repeats. */
export const shownLengthMax = 80
/** Characters of a key: four bytes each still fit an index entry. */
export const keyLengthMax = 512

type Checked<A> = Result.Result<A, OptionsRejected>

export const rejected = (field: string, value: unknown, wayOut: string): OptionsRejected =>
  new OptionsRejected({ field, value: shown(value), wayOut })

/** A field of the caller's object that is no option, as an error; null: there is none. `path` as of `unknownNameOf`. */
export const unknownOption = (options: object, known: ReadonlySet<string>, path?: string): OptionsRejected | null => {
  const unknown = unknownNameOf(options, known, path)
  return unknown === null ? null : rejected(unknown.name, unknown.value, unknown.wayOut)
}

/** The same for what throws when the program starts. */
export const throwUnknownOption = (options: object, known: ReadonlySet<string>, path?: string): void => {
  const unknown = unknownOption(options, known, path)
  if (unknown !== null) throw unknown
}

/** What the core says of a rule or calendar, as a caller's error. */
export const asOption = ({ field, problem, value, wayOut }: RuleRejected): OptionsRejected =>
  new OptionsRejected({ field, value: `${JSON.stringify(value)}: ${problem}`, wayOut })

export const shown = (value: unknown): string => {
  const text = inspect(value, {
    depth: 1,
    maxStringLength: shownLengthMax,
    breakLength: Infinity,
    customInspect: false
  })
  return toStorableText(Predicate.isDate(value) ? String(value) : text, shownLengthMax)
}

/** A span as whole milliseconds, rounded up: what is waited for is never shorter than asked for. */
export const durationMsOf = (
  field: string,
  input: Duration.Input,
  limits: { readonly minMs: number; readonly maxMs: number }
): Checked<number> => {
  const durationMs = Math.ceil(spanMsOf(input))
  if (durationMs >= limits.minMs && durationMs <= limits.maxMs) return Result.succeed(durationMs)
  const range = `from ${spanWords(limits.minMs)} to ${spanWords(limits.maxMs)}`
  // Within every limit there is.
  return Result.fail(rejected(field, input, `Give a duration such as "2 seconds", or 2000 for milliseconds; ${range}`))
}

/** A limit in its largest whole unit, as a duration is written; what is far beyond a life, in whole years. */
const spanWords = (ms: number): string => {
  if (ms > yearsShownMs) return `${Math.floor(ms / yearMs)} years`
  const [unit, unitMs] = units.find(([, eachMs]) => ms >= eachMs && ms % eachMs === 0) ?? ["ms", 1]
  const count = ms / unitMs
  return `${count} ${unit}${unitMs > 1 && count > 1 ? "s" : ""}`
}

const yearMs = 365.2425 * 86_400_000
const yearsShownMs = 100 * yearMs
const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000]
] as const

export type InstantInput = Date | DateTime.DateTime | number | string

/** An instant as milliseconds since 1970. Text must name its offset: "09:00" is another instant in each zone. */
export const instantMsOf = (field: string, input: InstantInput): Checked<number> => {
  const atMs = readInstant(input)
  if (atMs >= -timestampMsMax && atMs <= timestampMsMax) return Result.succeed(atMs)
  const wayOut =
    'Give a Date, a DateTime, milliseconds since 1970, or text such as "2027-01-31T09:00:00Z" or "...+01:00"'
  return Result.fail(rejected(field, input, wayOut))
}

const isoWithOffset = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/

const readInstant = (input: unknown): number => {
  if (Predicate.isNumber(input)) return input
  if (Predicate.isDate(input)) return input.getTime()
  if (DateTime.isDateTime(input)) return DateTime.toEpochMillis(input)
  if (!Predicate.isString(input) || !isoWithOffset.test(input) || !hasDay(input.slice(0, 10))) return Number.NaN
  return Option.match(DateTime.make(input), { onNone: () => Number.NaN, onSome: DateTime.toEpochMillis })
}

/** An instant in the words of an error message; years that no date has, as milliseconds. */
export const isoOf = (atMs: number): string =>
  Option.match(DateTime.make(atMs), { onNone: () => `${atMs} ms`, onSome: DateTime.formatIso })

/** JavaScript reads 31 February as 3 March. */
const hasDay = (date: string): boolean =>
  Option.exists(DateTime.make(`${date}T00:00:00Z`), (day) => DateTime.formatIsoDateUtc(day) === date)

/** A key of a task: any text that can be stored, bounded. */
export const keyOf = (field: string, input: string): Checked<string> =>
  Predicate.isString(input) && input.length > 0 && input.length <= keyLengthMax && isStorableText(input)
    ? Result.succeed(input)
    : Result.fail(rejected(field, input, `Give 1 to ${keyLengthMax} characters without U+0000 and lone surrogates`))

/** Names of kinds and queues: they become topics, metric labels and file names. */
const namePattern = /^[a-z][a-z0-9._-]{0,99}$/

export const nameOf = (field: string, input: string): Checked<string> =>
  Predicate.isString(input) && namePattern.test(input)
    ? Result.succeed(input)
    : Result.fail(
        rejected(
          field,
          input,
          'Give 1 to 100 characters of a-z, 0-9 and "._-", a letter first, such as "send-reminder"'
        )
      )
