/** What lies in the two control topics: claims that have been started, and dead letters. */
import type { DeadLetter } from "../../core/DeadLetter.ts"
import type { EventId } from "../../core/TaskId.ts"

/** Raised when older code would misread what newer code writes. */
export const format = 1

/** Format number, then 16 bytes per id: 2,000 started claims are 32 kB, a third of what JSON takes. */
export const encodeStarted = (ids: ReadonlyArray<EventId>): Buffer =>
  Buffer.from(`0${format}${ids.join("").replaceAll("-", "")}`, "hex")

/** Undefined for what is no such message. */
export const decodeStarted = (value: Uint8Array | null): ReadonlyArray<EventId> | undefined => {
  if (value === null || value[0] !== format || value.length % 16 !== 1) return undefined
  const hex = Buffer.from(value.buffer, value.byteOffset, value.length).toString("hex")
  return Array.from({ length: (value.length - 1) / 16 }, (_, index) => {
    const at = 2 + index * 32
    return `${hex.slice(at, at + 8)}-${hex.slice(at + 8, at + 12)}-${hex.slice(at + 12, at + 16)}-${hex.slice(at + 16, at + 20)}-${hex.slice(at + 20, at + 32)}`
  })
}

/** JSON, since people and other programs read it. */
export const encodeDead = (letter: DeadLetter): string => JSON.stringify({ v: format, ...letter })
