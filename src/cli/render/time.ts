import { zoneOf } from "../../core/recurrence/Zone.ts"

/** Instants and spans for people: whole enough to compare, precise enough to see a millisecond of drift. */

/** `2026-11-23 09:00:00.000 UTC`. */
export const instant = (at: Date): string => `${at.toISOString().replace("T", " ").slice(0, -1)} UTC`

/** The same as clocks of a zone show it, `2026-11-23 10:00:00.000 +01:00 Europe/Berlin`; empty for a zone that this process does not know. */
export const localInstant = (at: Date, zoneName: string): string => {
  const zone = zoneOf(zoneName)
  if (zone === null) return ""
  const { offsetMs } = zone.stretchAt(at.getTime())
  const [shown] = instant(new Date(at.getTime() + offsetMs)).split(" UTC")
  const ahead = new Date(Math.abs(offsetMs)).toISOString().slice(11, 16)
  return `${shown} ${offsetMs < 0 ? "-" : "+"}${ahead} ${zone.name}`
}

/** `0.4 ms`, `41 ms`, `1.2 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`; the smaller unit is left out when it is zero. */
export const span = (spanMs: number): string => {
  const ms = Math.abs(spanMs)
  if (ms < 9.95) return `${trimmed(ms)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${trimmed(ms / 1_000)} s`
  const seconds = Math.round(ms / 1_000)
  const [larger, smaller] = scales.find(([unit]) => seconds >= unit.seconds) ?? [minute, second]
  const rest = Math.floor((seconds % larger.seconds) / smaller.seconds)
  return `${Math.floor(seconds / larger.seconds)} ${larger.name}${rest === 0 ? "" : ` ${rest} ${smaller.name}`}`
}

/** A span from a reference instant: `+41 ms` after it, `-1.4 s` before it. */
export const offset = (spanMs: number): string => `${spanMs < 0 ? "-" : "+"}${span(spanMs)}`

/** `in 3 h` or `2.1 s ago`. */
export const fromNow = (spanMs: number): string => (spanMs >= 0 ? `in ${span(spanMs)}` : `${span(spanMs)} ago`)

const trimmed = (value: number): string => value.toFixed(1).replace(/\.0$/, "")

const second = { name: "s", seconds: 1 }
const minute = { name: "min", seconds: 60 }
const hour = { name: "h", seconds: 3_600 }
const day = { name: "d", seconds: 86_400 }
const scales = [
  [day, hour],
  [hour, minute]
] as const
