/** What lies in the two control topics: claims that have been started, and dead letters. */
import type { DeadLetter } from "../../core/DeadLetter.ts"
import type { EventId } from "../../core/TaskId.ts"
import { hexOf, uuidAt } from "./uuidHex.ts"

/** Raised when older code would misread what newer code writes. */
const format = 1

/** Format number, then 16 bytes per id: 2,000 started claims are 32 kB, a third of what JSON takes. */
export const encodeStarted = (ids: ReadonlyArray<EventId>): Buffer =>
  Buffer.from(`0${format}${hexOf(ids.join(""))}`, "hex")

/** Undefined for what is no such message. */
export const decodeStarted = (value: Uint8Array | null): ReadonlyArray<EventId> | undefined => {
  if (value === null || value[0] !== format || value.length % 16 !== 1) return undefined
  const hex = Buffer.from(value.buffer, value.byteOffset, value.length).toString("hex")
  return Array.from({ length: (value.length - 1) / 16 }, (_, index) => uuidAt(hex, 2 + index * 32))
}

/** JSON, since people and other programs read it. */
export const encodeDead = (letter: DeadLetter): string => JSON.stringify({ v: format, ...letter })
