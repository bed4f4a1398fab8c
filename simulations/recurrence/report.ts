import { type Check, check, checkLines } from "../Check.ts"
import { type ZoneReport } from "./compareZone.ts"

export type RecurrenceReport = {
  readonly ok: boolean
  readonly icuData: string
  readonly zones: number
  readonly changes: number
  readonly compared: number
  readonly missing: number
  readonly extra: number
  /** Zones for which PostgreSQL's files say something else than the process's ICU, with the instant from which they do. */
  readonly otherData: ReadonlyArray<{ readonly zone: string; readonly from: string }>
  readonly checks: ReadonlyArray<Check>
}

export const reportOf = (zones: ReadonlyArray<ZoneReport>): RecurrenceReport => {
  const sum = (of: (zone: ZoneReport) => number) => zones.reduce((total, zone) => total + of(zone), 0)
  const [compared, missing, extra] = [
    sum((zone) => zone.compared),
    sum((zone) => zone.missing),
    sum((zone) => zone.extra)
  ]
  const problems = zones.flatMap((zone) => zone.problems)
  const checks = [
    check("any-fires", "something was compared", compared > 0, `${compared} fires`),
    check("none-missing", "no fire is missing", missing === 0, `${missing} missing`, problems),
    check("none-extra", "no fire is extra", extra === 0, `${extra} extra`, problems)
  ]
  return {
    ok: checks.every(({ ok }) => ok),
    icuData: process.versions["tz"] ?? "unknown",
    zones: zones.length,
    changes: sum((zone) => zone.changes),
    compared,
    missing,
    extra,
    otherData: zones.flatMap(({ differsFrom, zone }) => (differsFrom === null ? [] : [{ zone, from: differsFrom }])),
    checks
  }
}

export const textOf = (report: RecurrenceReport): string =>
  [
    `${report.zones} zones (ICU ${report.icuData}), ${report.changes} changes of the clocks, ${report.compared} fires compared`,
    ...report.otherData.map(({ from, zone }) => `other data in PostgreSQL's file: ${zone}, from ${from}`),
    "",
    ...checkLines(report.checks)
  ].join("\n")
