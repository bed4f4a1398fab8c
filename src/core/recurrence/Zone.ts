import { dayMs, maxMs, minMs, secondMs } from "./bounds.ts"

/**
 * The offsets of a time zone as a table of changes. `Intl` answers for one instant in 3 µs (Node 24), far too slow to
 * search with, so the changes of each year are found once, by bisection, and kept. The data is that of the process's
 * ICU: which version of the IANA database it is, `process.versions.tz` tells.
 */
export type Zone = {
  readonly name: string
  /** The stretch of unchanging offset around an instant in [minMs, maxMs). */
  readonly stretchAt: (instantMs: number) => Stretch
}

/** `[startMs, endMs)` with one offset (local time minus UTC). */
export type Stretch = {
  readonly startMs: number
  readonly endMs: number
  readonly offsetMs: number
  /** The offset before `startMs`; equal to `offsetMs` where nothing has changed for a year. */
  readonly offsetBeforeMs: number
  /** The offset from `endMs`; equal to `offsetMs` where nothing changes for a year. */
  readonly offsetAfterMs: number
}

type Change = { readonly atMs: number; readonly beforeMs: number; readonly afterMs: number }
type Near = { readonly changes: ReadonlyArray<Change>; readonly firstOffsetMs: number }

/** All 418 zones of ICU 78 and their aliases; the one known for longest goes when there are more. */
const zonesMax = 700
/** Years kept of one zone; all of them are dropped when there are more. */
const yearsMax = 512
/**
 * Changes nearer to each other than this would be missed if they cancel each other out. The nearest two that ICU knows
 * since 1970 should be weeks apart (Ramadan); `npm run simulate:recurrence` compares 2000 to 2050 with files of changes.
 */
const sampleMs = 4 * dayMs

const zones = new Map<string, Zone>()

const offsetShape = /^\s*[-+]?\d/

/** `Intl` takes `+05:30` for ahead of UTC, PostgreSQL and POSIX for behind it. */
export const isOffset = (name: string): boolean => offsetShape.test(name)

/** @returns null for a name that the process's ICU does not know */
export const zoneOf = (name: string): Zone | null => {
  const known = zones.get(name)
  if (known !== undefined) return known
  const offsetAt = offsetsOf(name)
  if (offsetAt === null) return null
  const zone = zoneWith(name, offsetAt)
  if (zones.size >= zonesMax) for (const oldest of [...zones.keys()].slice(0, 1)) zones.delete(oldest)
  zones.set(name, zone)
  return zone
}

const offsetsOf = (name: string): ((instantMs: number) => number) | null => {
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone: name,
      // As 2026-03-29, 03:00:00: fixed places.
      calendar: "iso8601",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit"
    })
    return (instantMs) => {
      const text = format.format(instantMs)
      const at = (from: number, to: number) => Number(text.slice(from, to))
      return Date.UTC(at(0, 4), at(5, 7) - 1, at(8, 10), at(12, 14), at(15, 17), at(18, 20)) - instantMs
    }
  } catch {
    return null
  }
}

const zoneWith = (name: string, offsetAt: (instantMs: number) => number): Zone => {
  const changesByYear = new Map<number, ReadonlyArray<Change>>()
  const nearByYear = new Map<number, Near>()

  const changesOf = (year: number): ReadonlyArray<Change> => {
    const known = changesByYear.get(year)
    if (known !== undefined) return known
    const changes: Array<Change> = []
    const lastMs = Date.UTC(year + 1, 0) - secondMs
    let [fromMs, fromOffsetMs] = [Date.UTC(year, 0) - secondMs, offsetAt(Date.UTC(year, 0) - secondMs)]
    while (fromMs < lastMs) {
      const toMs = Math.min(lastMs, fromMs + sampleMs)
      const toOffsetMs = offsetAt(toMs)
      if (toOffsetMs !== fromOffsetMs) {
        let [lowMs, highMs] = [fromMs, toMs]
        while (highMs - lowMs > secondMs) {
          const middleMs = lowMs + Math.floor((highMs - lowMs) / 2 / secondMs) * secondMs
          if (offsetAt(middleMs) === fromOffsetMs) lowMs = middleMs
          else highMs = middleMs
        }
        const afterMs = offsetAt(highMs)
        changes.push({ atMs: highMs, beforeMs: fromOffsetMs, afterMs })
        // From the change on, so that a second one in the same sample is found too.
        ;[fromMs, fromOffsetMs] = [highMs, afterMs]
      } else fromMs = toMs
    }
    changesByYear.set(year, changes)
    return changes
  }

  /** With a year on each side, so that what has no change in sight has none for a year. */
  const nearOf = (year: number): Near => {
    const known = nearByYear.get(year)
    if (known !== undefined) return known
    if (nearByYear.size >= yearsMax) {
      changesByYear.clear()
      nearByYear.clear()
    }
    const changes = [year - 1, year, year + 1].flatMap(changesOf)
    const near = { changes, firstOffsetMs: changes[0]?.beforeMs ?? offsetAt(Date.UTC(year, 0)) }
    nearByYear.set(year, near)
    return near
  }

  return {
    name,
    stretchAt: (instantMs) => {
      const year = new Date(instantMs).getUTCFullYear()
      const near = nearOf(year)
      let last: Change | undefined
      let next: Change | undefined
      for (const change of near.changes) {
        if (change.atMs <= instantMs) last = change
        else {
          next = change
          break
        }
      }
      const offsetMs = last?.afterMs ?? near.firstOffsetMs
      return {
        startMs: last?.atMs ?? minMs,
        endMs: next?.atMs ?? Math.min(maxMs, Date.UTC(year + 1, 0)),
        offsetMs,
        offsetBeforeMs: last?.beforeMs ?? offsetMs,
        offsetAfterMs: next?.afterMs ?? offsetMs
      }
    }
  }
}
