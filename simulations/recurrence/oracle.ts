/**
 * The fires of a cron rule, worked out from the other side than src/core/recurrence does it: every wall clock time that
 * the expression names is written down, and for each one the instants that show it are looked for. No instant: the gap
 * policy. Two: the fold policy. It shares no code and no library with the product, its parser included.
 */
import { type Offsets, type Stretch } from "./Offsets.ts"

export const gaps = ["skip", "shift", "end"] as const
export const folds = ["first", "second", "both"] as const
export type Gap = (typeof gaps)[number]
export type Fold = (typeof folds)[number]

type Range = readonly [from: number, to: number]
const dayMs = 86_400_000
/** No offset and no change of one is larger (Apia left out a whole day). */
const reachMs = 2 * dayMs

export type Asked = {
  readonly timesMs: ReadonlyArray<number>
  readonly isDay: (date: Date) => boolean
  readonly isInterval: boolean
}

/** Understands numbers, lists, ranges, steps and `*`, which is all that the compared expressions use. */
export const ask = (expression: string): Asked => {
  const words = expression.split(" ")
  const [seconds = "", minutes = "", hours = "", days = "", months = "", weekdays = ""] =
    words.length === 5 ? ["0", ...words] : words
  const inTimes = (word: string, range: Range) => [...valuesOf(word, range)].toSorted((a, b) => a - b)
  const timesMs: Array<number> = []
  for (const hour of inTimes(hours, [0, 23]))
    for (const minute of inTimes(minutes, [0, 59]))
      for (const second of inTimes(seconds, [0, 59])) timesMs.push(((hour * 60 + minute) * 60 + second) * 1_000)
  const [daySet, monthSet, weekdaySet] = [
    valuesOf(days, [1, 31]),
    valuesOf(months, [1, 12]),
    valuesOf(weekdays, [0, 7])
  ]
  const either = !days.startsWith("*") && !weekdays.startsWith("*")
  return {
    timesMs,
    isDay: (date) => {
      const day = daySet.has(date.getUTCDate())
      const weekday = weekdaySet.has(date.getUTCDay()) || (date.getUTCDay() === 0 && weekdaySet.has(7))
      return monthSet.has(date.getUTCMonth() + 1) && (either ? day || weekday : day && weekday)
    },
    isInterval: [seconds, minutes, hours].some((word) => word.startsWith("*") || /^\d+\//.test(word))
  }
}

const valuesOf = (word: string, [lowest, highest]: Range): ReadonlySet<number> => {
  const values = new Set<number>()
  for (const part of word.split(",")) {
    const [span = "", step] = part.split("/")
    const [first = "", last] = span.split("-")
    const from = span === "*" ? lowest : Number(first)
    const to = span === "*" ? highest : last !== undefined ? Number(last) : step === undefined ? from : highest
    for (let value = from; value <= to; value += Number(step ?? 1)) values.add(value)
  }
  return values
}

/** Every fire in `[fromMs, beforeMs)`, ascending. */
export const expectedFires = (
  asked: Asked,
  offsets: Offsets,
  gap: Gap,
  fold: Fold,
  fromMs: number,
  beforeMs: number
): ReadonlyArray<number> => {
  const fires = new Set<number>()
  let low = 0
  for (let day = Math.floor((fromMs - reachMs) / dayMs) * dayMs; day < beforeMs + reachMs; day += dayMs) {
    if (!asked.isDay(new Date(day))) continue
    while ((offsets[low]?.beforeMs ?? Number.POSITIVE_INFINITY) < day - reachMs) low += 1
    for (const timeMs of asked.timesMs) {
      for (const fire of firesOfWall(day + timeMs, offsets, low, asked.isInterval, gap, fold))
        if (fire >= fromMs && fire < beforeMs) fires.add(fire)
    }
  }
  return [...fires].toSorted((a, b) => a - b)
}

const firesOfWall = (
  wallMs: number,
  offsets: Offsets,
  low: number,
  isInterval: boolean,
  gap: Gap,
  fold: Fold
): ReadonlyArray<number> => {
  const shown: Array<number> = []
  for (let index = low; index < offsets.length; index += 1) {
    const { beforeMs, fromMs, offsetMs } = offsets[index] as Stretch
    if (fromMs > wallMs + reachMs) break
    const atMs = wallMs - offsetMs
    if (atMs >= fromMs && atMs < beforeMs) shown.push(atMs)
  }
  if (isInterval) return shown
  if (shown.length > 0) return fold === "both" ? shown : [fold === "first" ? Math.min(...shown) : Math.max(...shown)]
  if (gap === "skip") return []
  for (let index = low; index + 1 < offsets.length; index += 1) {
    const [old, changed] = [offsets[index] as Stretch, offsets[index + 1] as Stretch]
    if (wallMs >= old.beforeMs + old.offsetMs && wallMs < changed.fromMs + changed.offsetMs)
      return [gap === "end" ? changed.fromMs : wallMs - old.offsetMs]
  }
  throw new Error(`No instant shows ${new Date(wallMs).toISOString()}, and no change leaves it out.`)
}
