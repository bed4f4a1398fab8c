import { dayMs, dayOf } from "./byDay.ts"

/**
 * Which partitions should be there. Near days one by one, the rest of next year by months, and one partition for
 * everything later, up to the horizon: at most 100 attached tables whatever the horizon is, since every statement that
 * cannot be pruned plans and locks all of them. A coarse partition is split when its time comes near, while it is small.
 *
 * ```
 * kept | day day ... day | month ... month | later
 *      ^ retention edge    ^ end of a month  ^ end of next year   ^ horizon
 * ```
 */
export type Partition = { readonly name: string; readonly fromMs: number; readonly toMs: number }

export const daysAhead = 14
export const horizonYears = 11
export const retentionDaysDefault = 14
/** 45 days ahead + 30 kept + 23 months + later + kept = 100. */
export const retentionDaysMax = 30

/** Wanted partitions from the retention edge to the horizon, in order and without a gap. */
export const plan = (nowMs: number, retentionDays: number): ReadonlyArray<Partition> => {
  const today = dayOf(nowMs)
  const monthsFrom = startOfMonth(today + daysAhead * dayMs, 1)
  const laterFrom = startOfYear(today, 2)
  const partitions: Array<Partition> = []
  partitions.push(...daysBetween(today - retentionDays * dayMs, monthsFrom))
  for (let month = monthsFrom; month < laterFrom; month = startOfMonth(month, 1)) {
    partitions.push({ name: `m${digits(month, 7)}`, fromMs: month, toMs: startOfMonth(month, 1) })
  }
  const laterFromMs = Math.max(laterFrom, monthsFrom)
  partitions.push({
    name: `later_${digits(laterFromMs, 4)}`,
    fromMs: laterFromMs,
    toMs: startOfYear(today, 2 + horizonYears)
  })
  return partitions
}

/** For what is never known long ahead: days only. Whoever maintains nothing for two weeks has nothing to write. */
export const planDays = (nowMs: number, retentionDays: number): ReadonlyArray<Partition> => {
  const today = dayOf(nowMs)
  return daysBetween(today - retentionDays * dayMs, today + (daysAhead + 1) * dayMs)
}

export const daysBetween = (fromMs: number, toMs: number): ReadonlyArray<Partition> => {
  const days: Array<Partition> = []
  for (let day = fromMs; day < toMs; day += dayMs) {
    days.push({ name: `d${digits(day, 10)}`, fromMs: day, toMs: day + dayMs })
  }
  return days
}

/** The range that a partition's name says; null for a name that is not ours, or the kept one. */
export const rangeOf = (name: string): Partition | null => {
  const [, day] = /^d(\d{8})$/.exec(name) ?? []
  if (day !== undefined) {
    const fromMs = Date.parse(`${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}T00:00:00Z`)
    return { name, fromMs, toMs: fromMs + dayMs }
  }
  const [, month] = /^m(\d{6})$/.exec(name) ?? []
  if (month !== undefined) {
    const fromMs = Date.parse(`${month.slice(0, 4)}-${month.slice(4)}-01T00:00:00Z`)
    return { name, fromMs, toMs: startOfMonth(fromMs, 1) }
  }
  const [, year] = /^later_(\d{4})$/.exec(name) ?? []
  if (year === undefined) return null
  const fromMs = Date.parse(`${year}-01-01T00:00:00Z`)
  return { name, fromMs, toMs: startOfYear(fromMs, horizonYears) }
}

export const startOfMonth = (atMs: number, monthsLater: number): number => {
  const date = new Date(atMs)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + monthsLater, 1)
}

const startOfYear = (atMs: number, yearsLater: number): number =>
  Date.UTC(new Date(atMs).getUTCFullYear() + yearsLater, 0, 1)

const digits = (atMs: number, length: number): string =>
  new Date(atMs).toISOString().slice(0, length).replaceAll("-", "")
