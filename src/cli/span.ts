import * as Option from "effect/Option"

/** Milliseconds of `500ms`, `90s`, `1h30m`, `2 days`, `250 millis`; none for anything else, also for a bare number. */
export const millisecondsOf = (text: string): Option.Option<number> => {
  if (!/^\s*(\d+(\.\d+)?\s*[a-z]+\s*)+$/i.test(text)) return Option.none()
  let sumMs = 0
  for (const [, count, unit = ""] of text.toLowerCase().matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const unitMs = units.get(unit)
    if (unitMs === undefined) return Option.none()
    sumMs += Number(count) * unitMs
  }
  return Number.isFinite(sumMs) ? Option.some(sumMs) : Option.none()
}

const units = new Map(
  [
    [1, "ms milli millis millisecond milliseconds"],
    [1_000, "s sec secs second seconds"],
    [60_000, "m min mins minute minutes"],
    [3_600_000, "h hour hours"],
    [86_400_000, "d day days"],
    [604_800_000, "w week weeks"]
  ].flatMap(([ms, names]) =>
    String(names)
      .split(" ")
      .map((name): [string, number] => [name, Number(ms)])
  )
)
