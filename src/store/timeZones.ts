import { DateTime, Effect } from "effect"
import { TimeZonesOutdated } from "./StoreError.ts"

/** The release of the IANA time zone database that carries the youngest of the rules below. */
export const timeZonesReleaseMin = "2025a"

/**
 * Facts that old or cut-down data get wrong, on 1 July 2026: a zone with summer time, one with half an hour of it, and three whose
 * governments changed their minds (releases 2022f, 2024a, 2025a of the IANA time zone database).
 */
const facts: ReadonlyArray<readonly [zone: string, offsetMinutes: number]> = [
  ["Europe/Berlin", 120],
  ["Australia/Lord_Howe", 630],
  ["America/Mexico_City", -360],
  ["Asia/Almaty", 300],
  ["America/Asuncion", -180]
]

const atMs = Date.UTC(2026, 6, 1, 12)

/** @returns undefined for a zone that this runtime does not know */
type OffsetMinutesOf = (zone: string, atMs: number) => number | undefined

/** Minutes east of Greenwich by the runtime's data, which Node carries with it (`process.versions.tz`). */
const offsetMinutesOf: OffsetMinutesOf = (zone, instantMs) => {
  const zoned = DateTime.makeZoned(instantMs, { timeZone: zone })
  return zoned._tag === "None" ? undefined : DateTime.zonedOffset(zoned.value) / 60_000
}

/** What the data get wrong; null if nothing. */
export const outdatedOf = (offsetOf: OffsetMinutesOf, found: string): TimeZonesOutdated | null => {
  const wrong = facts.find(([zone, offsetMinutes]) => offsetOf(zone, atMs) !== offsetMinutes)
  return wrong === undefined ? null : new TimeZonesOutdated({ found, needed: timeZonesReleaseMin, zone: wrong[0] })
}

/** Refuses to start where local times would be an hour off. */
export const checkTimeZones: Effect.Effect<void, TimeZonesOutdated> = Effect.suspend(() => {
  const outdated = outdatedOf(offsetMinutesOf, process.versions["tz"] ?? "unknown")
  return outdated === null ? Effect.void : Effect.fail(outdated)
})
