/**
 * What lies in a topic of dispatches: the hints that one publish has for one partition, up to 64 in a message, since a
 * message costs client and broker far more than a hint in it. Ids take their 16 bytes, so a hint has 54 where JSON took 250.
 * Queue and priority follow from the topic and are not repeated. Decoding is total: whatever lies there instead is a
 * reason to skip it, never an exception.
 *
 * ```
 *  2 bytes  "dt"
 *  1 byte   format
 *  2 bytes  length of the trace context (W3C traceparent), and the trace context
 *  1 byte   number of kinds, and for each the length of its name (2) and its name
 *  the rest 54 bytes for each hint: task id (16), claim's event id (16), claim's version (4), kind (1), repeat (1, its
 *           highest bit: a suspect), due time (8), dispatched at (8; both ms since 1970, IEEE 754)
 * ```
 */
import { isTaskId, slotOfKey } from "../../core/TaskId.ts"
import type { Priority } from "../../core/Priority.ts"
import type { Dispatch } from "../Broker.ts"
import { hexOf, uuidAt } from "./uuidHex.ts"

/** Raised when older code would misread what newer code writes. */
const format = 1

/** A message then has at most 30 kB, with the longest names of kinds. */
export const dispatchesPerMessageMax = 64
/** Longer than any of ours, so it is not read at all. */
export const messageBytesMax = 32_768

export const skipReasons = ["malformed", "foreign", "future-format", "overflow"] as const
/** `foreign`: not begun as ours. `overflow`: a hint, not a message, that is more than the inbox holds. */
export type SkipReason = (typeof skipReasons)[number]

export type Decoded = ReadonlyArray<Dispatch> | Exclude<SkipReason, "overflow">

/** At least one and at most `dispatchesPerMessageMax`, with one trace. */
export const encode = (dispatches: ReadonlyArray<Dispatch>, traceparent = ""): Buffer => {
  const kinds = [...new Set(dispatches.map(({ kind }) => kind))]
  const texts = [traceparent, ...kinds].map((text) => Buffer.from(text))
  const headLength = texts.reduce((sum, text) => sum + 2 + text.length, magic.length + 2)
  const buffer = Buffer.allocUnsafe(headLength + dispatches.length * hintLength)
  let at = buffer.write(magic, 0, "latin1")
  at = buffer.writeUInt8(format, at)
  for (const [index, text] of texts.entries()) {
    if (index === 1) at = buffer.writeUInt8(kinds.length, at)
    at = buffer.writeUInt16BE(text.length, at)
    at += text.copy(buffer, at)
  }
  for (const { dispatchedAtMs, dueAtMs, fence, isSuspect, kind, repeat, taskId } of dispatches) {
    at += buffer.write(hexOf(taskId) + hexOf(fence.eventId), at, "hex")
    at = buffer.writeUInt32BE(fence.version, at)
    at = buffer.writeUInt8(kinds.indexOf(kind), at)
    at = buffer.writeUInt8(Math.min(repeat, repeatMax) | (isSuspect ? suspectBit : 0), at)
    at = buffer.writeDoubleBE(dueAtMs, at)
    at = buffer.writeDoubleBE(dispatchedAtMs, at)
  }
  return buffer
}

export const decode = (
  value: Uint8Array | null,
  way: { readonly queue: string; readonly priority: Priority }
): Decoded => {
  if (value === null || value.length === 0 || value.length > messageBytesMax) return "malformed"
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  if (bytes.length < magic.length + 1 || bytes.toString("latin1", 0, magic.length) !== magic) return "foreign"
  const written = bytes[magic.length] ?? 0
  if (written !== format) return written > format ? "future-format" : "malformed"
  const head = headOf(bytes)
  if (head === undefined) return "malformed"
  const { from, kinds, traceparent } = head
  const count = (bytes.length - from) / hintLength
  if (!Number.isInteger(count) || count === 0 || count > dispatchesPerMessageMax) return "malformed"
  const dispatches: Array<Dispatch> = []
  for (let at = from; at < bytes.length; at += hintLength) {
    const ids = bytes.toString("hex", at, at + 32)
    const taskId = uuidAt(ids, 0)
    const kind = kinds[bytes.readUInt8(at + 36)]
    const repeat = bytes.readUInt8(at + 37)
    const dueAtMs = bytes.readDoubleBE(at + 38)
    const dispatchedAtMs = bytes.readDoubleBE(at + 46)
    if (!isTaskId(taskId) || kind === undefined || !Number.isFinite(dueAtMs)) return "malformed"
    if (!Number.isFinite(dispatchedAtMs)) return "malformed"
    const dispatch: Dispatch = {
      taskId,
      fence: { version: bytes.readUInt32BE(at + 32), eventId: uuidAt(ids, 32) },
      kind,
      queue: way.queue,
      priority: way.priority,
      dueAtMs,
      dispatchedAtMs,
      repeat: repeat & repeatMax,
      isSuspect: (repeat & suspectBit) !== 0
    }
    dispatches.push(traceparent === undefined ? dispatch : { ...dispatch, traceparent })
  }
  return dispatches
}

/** A number to be taken modulo the topic's partitions: each repetition of a hint takes the next one. */
export const placeOf = (dispatch: Dispatch): number => slotOfKey(dispatch.fence.eventId) + dispatch.repeat

const magic = "dt"
const hintLength = 54
/** Whoever repeats more often repeats for minutes. */
const repeatMax = 127
/** Older code takes it for many repetitions, which costs nothing. */
const suspectBit = 128
const traceparentPattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

type Head = { readonly kinds: ReadonlyArray<string>; readonly traceparent: string | undefined; readonly from: number }

/** Undefined: it claims to be longer than it is. */
const headOf = (bytes: Buffer): Head | undefined => {
  let at = magic.length + 1
  const next = (): string | undefined => {
    const from = at + 2
    if (from > bytes.length) return undefined
    at = from + bytes.readUInt16BE(at)
    return at > bytes.length ? undefined : bytes.toString("utf8", from, at)
  }
  const trace = next()
  const kindsCount = bytes[at++]
  if (trace === undefined || kindsCount === undefined) return undefined
  const kinds: Array<string> = []
  for (let index = 0; index < kindsCount; index++) {
    const kind = next()
    if (kind === undefined || kind === "") return undefined
    kinds.push(kind)
  }
  // A trace that is broken is no reason to lose the dispatches.
  return { kinds, traceparent: traceparentPattern.test(trace) ? trace : undefined, from: at }
}
