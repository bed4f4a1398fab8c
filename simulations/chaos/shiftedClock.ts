/**
 * Loaded before a program with `node --import`: the wall clock of its process, threads included, is off by what its parent says. Time
 * that only goes on (performance.now, process.hrtime, timers) is left alone, as on a node whose clock is set.
 *
 * It begins with CHAOS_CLOCK_OFFSET_MS, and each `ShiftClock` that the parent sends sets it anew.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads"

export type ShiftClock = { readonly clockOffsetMs: number }

const isShiftClock = (message: unknown): message is ShiftClock =>
  typeof message === "object" &&
  message !== null &&
  "clockOffsetMs" in message &&
  typeof message.clockOffsetMs === "number"

/** Under this name each thread finds the one offset of its process, in memory that they share. */
const shared = "chaos clock offset"

if (isMainThread) {
  const offsetMs = new Float64Array(new SharedArrayBuffer(8))
  offsetMs[0] = Math.round(Number(process.env["CHAOS_CLOCK_OFFSET_MS"] ?? 0))
  setEnvironmentData(shared, offsetMs)
  if (process.channel !== undefined) {
    process.on("message", (message) => {
      if (isShiftClock(message)) offsetMs[0] = Math.round(message.clockOffsetMs)
    })
    process.channel?.unref()
  }
}

let found: Float64Array | undefined
/** Found at the first use: a thread's data may come after what is loaded before it. */
const offsetMs = (): number => {
  if (found === undefined) {
    const data: unknown = getEnvironmentData(shared)
    if (data instanceof Float64Array) found = data
  }
  return found?.[0] ?? 0
}

const trueNowMs = Date.now
const TrueDate = Date
/** In place, so that whoever has taken the constructor before is off as well. */
TrueDate.now = () => trueNowMs() + offsetMs()
const ShiftedDate: DateConstructor = new Proxy(TrueDate, {
  construct: (target, given: ReadonlyArray<unknown>, newTarget): object =>
    Reflect.construct(
      target,
      given.length === 0 ? [TrueDate.now()] : [...given],
      newTarget === ShiftedDate ? target : newTarget
    ),
  apply: () => new TrueDate(TrueDate.now()).toString()
})
globalThis.Date = ShiftedDate
