/**
 * What lies in a topic: compact JSON with the format's number, some 250 bytes. Queue and priority follow from the topic and
 * are not repeated. Decoding is total: whatever lies there instead is a reason to skip it, never an exception.
 */
import { isTaskId, slotOfKey } from "../../core/TaskId.ts"
import type { DeadLetter } from "../../core/DeadLetter.ts"
import type { Priority } from "../../core/Priority.ts"
import type { Dispatch } from "../Broker.ts"

/** Raised when older code would misread what newer code writes. */
export const format = 1

/** A message is at most this long; ours have some 250 bytes, so a longer one is not read at all. */
export const messageBytesMax = 4_096

/** Older than this an engine has published again, or given the claim up. */
export const staleAfterMs = 60_000

export const skipReasons = ["malformed", "foreign", "future-format", "stale", "overflow"] as const
/** `foreign`: JSON without a format. `overflow`: more than the buffer holds, said by the consumer and not by `decode`. */
export type SkipReason = (typeof skipReasons)[number]

export type Decoded = Dispatch | Exclude<SkipReason, "overflow">

export const encode = (dispatch: Dispatch, traceparent: string | undefined): string =>
  JSON.stringify({
    v: format,
    id: dispatch.taskId,
    fv: dispatch.fence.version,
    fe: dispatch.fence.eventId,
    k: dispatch.kind,
    due: dispatch.dueAtMs,
    at: dispatch.dispatchedAtMs,
    r: dispatch.repeat,
    tp: dispatch.traceparent ?? traceparent
  })

export const decode = (
  value: Uint8Array | null,
  way: { readonly queue: string; readonly priority: Priority },
  nowMs: number
): Decoded => {
  if (value === null || value.length > messageBytesMax) return "malformed"
  const fields = parse(value)
  if (fields === undefined) return "malformed"
  const { at, due, fe, fv, id, k, r, tp, v } = fields
  if (v === undefined) return "foreign"
  if (!isCount(v) || v === 0) return "malformed"
  if (v > format) return "future-format"
  if (typeof id !== "string" || !isTaskId(id)) return "malformed"
  if (typeof fe !== "string" || !uuidPattern.test(fe) || !isCount(fv)) return "malformed"
  if (typeof k !== "string" || k === "" || k.length > kindLengthMax) return "malformed"
  if (!isFinite(due) || !isFinite(at) || !isCount(r)) return "malformed"
  if (at < nowMs - staleAfterMs) return "stale"
  const dispatch: Dispatch = {
    taskId: id,
    fence: { version: fv, eventId: fe },
    kind: k,
    queue: way.queue,
    priority: way.priority,
    dueAtMs: due,
    dispatchedAtMs: at,
    repeat: r
  }
  // A trace that is broken is no reason to lose the dispatch.
  return typeof tp === "string" && traceparentPattern.test(tp) ? { ...dispatch, traceparent: tp } : dispatch
}

/** A number to be taken modulo the topic's partitions: each repetition of a hint takes the next one. */
export const placeOf = (dispatch: Dispatch): number => slotOfKey(dispatch.fence.eventId) + dispatch.repeat

/** Format number, then 16 bytes per id: 2,000 started claims are 32 kB, a third of what JSON takes. */
export const encodeStarted = (ids: ReadonlyArray<string>): Buffer =>
  Buffer.from(`0${format}${ids.join("").replaceAll("-", "")}`, "hex")

/** Undefined for what is no such message. */
export const decodeStarted = (value: Uint8Array | null): ReadonlyArray<string> | undefined => {
  if (value === null || value[0] !== format || value.length % 16 !== 1) return undefined
  const hex = Buffer.from(value.buffer, value.byteOffset, value.length).toString("hex")
  return Array.from({ length: (value.length - 1) / 16 }, (_, index) => {
    const at = 2 + index * 32
    return `${hex.slice(at, at + 8)}-${hex.slice(at + 8, at + 12)}-${hex.slice(at + 12, at + 16)}-${hex.slice(at + 16, at + 20)}-${hex.slice(at + 20, at + 32)}`
  })
}

export const encodeDead = (letter: DeadLetter): string => JSON.stringify({ v: format, ...letter })

const kindLengthMax = 255
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const traceparentPattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

const utf8 = new TextDecoder("utf-8", { fatal: true })

const parse = (bytes: Uint8Array): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isFinite = (value: unknown): value is number => Number.isFinite(value)

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && typeof value === "number" && value >= 0
