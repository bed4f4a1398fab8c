/**
 * Offsets of the process's own ICU, hour by hour, for the zones in which PostgreSQL's files are of another release: the
 * same data as the product's, read another way (the words `GMT+05:30`, no bisection).
 */
import { type Change, comparedBeforeMs, comparedFromMs, type Offsets, offsetsOf } from "./Offsets.ts"

const hourMs = 3_600_000
const secondMs = 1_000
const marginMs = 72 * hourMs

export const sampledOffsets = (zone: string): Offsets => {
  const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset", year: "numeric" })
  const offsetAtMs = (atMs: number): number => {
    const found = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(format.format(atMs))
    if (found === null) throw new Error(`The offset of ${zone} is not understood: ${format.format(atMs)}`)
    const [hours, minutes, seconds] = found.slice(2).map((text) => Number(text ?? 0))
    return (found[1] === "-" ? -1 : 1) * (((hours ?? 0) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * secondMs
  }
  const changes: Array<Change> = []
  const fromMs = comparedFromMs - marginMs
  const firstMs = offsetAtMs(fromMs)
  let lastMs = firstMs
  for (let atMs = fromMs; atMs < comparedBeforeMs + marginMs; atMs += hourMs) {
    if (offsetAtMs(atMs + hourMs) === lastMs) continue
    for (let second = atMs + secondMs; second <= atMs + hourMs; second += secondMs) {
      const offsetMs = offsetAtMs(second)
      if (offsetMs !== lastMs) changes.push({ atMs: second, offsetMs })
      lastMs = offsetMs
    }
  }
  return offsetsOf(firstMs, changes)
}
