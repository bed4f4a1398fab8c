import { Duration, Option, Predicate } from "effect"
import { namesOf } from "./unknownName.ts"

/**
 * A span of time as a caller gives it, in milliseconds with fractions; NaN: it is none. Duration itself reads NaN, a Date, `{}` and
 * `{ hour: 2 }` as zero, so that what was to wait would not.
 */
export const spanMsOf = (input: Duration.Input): number => {
  const span = isSpan(input) ? Duration.fromInput(input) : Option.none()
  return Option.isSome(span) ? Duration.toMillis(span.value) : Number.NaN
}

const isSpan = (input: unknown): boolean => {
  if (!Predicate.isObject(input) || Duration.isDuration(input)) return !Number.isNaN(input)
  // Of an object of a class, such as Temporal's, the units are no fields of its own.
  const areUnits = Object.keys(input).every((name) => units.has(name))
  return areUnits && Array.from(units).some((unit) => Predicate.isNumber(Reflect.get(input, unit)))
}

const units = namesOf<Duration.DurationObject>({
  weeks: true,
  days: true,
  hours: true,
  minutes: true,
  seconds: true,
  milliseconds: true,
  microseconds: true,
  nanoseconds: true
})
