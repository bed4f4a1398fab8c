/** What is done to the cluster while it works, and when. */
import { Clock, Effect } from "effect"
import { milliseconds } from "../demo/format.ts"
import type { Plan } from "../demo/taskFile.ts"
import type { Cluster } from "./cluster.ts"
import type { Stopped } from "./Member.ts"

export type Fault = {
  readonly what: string
  /** Since the load began. */
  readonly atMs: number
  /** Until it worked again. */
  readonly awayMs: number
  /** Of a process that was stopped in order; null for what was killed. */
  readonly stopped: Stopped | null
}

/** So long Kafka and a stopped service are away in a run of 20 s and more. */
const awayMsMax = 10_000

export const injectFaults = Effect.fnUntraced(function* (
  { engines, kafka, workers }: Cluster,
  { steadySeconds }: Plan,
  tell: (what: string, happened: string) => void
) {
  const beganAtMs = yield* Clock.currentTimeMillis
  const sinceBeganMs = Effect.map(Clock.currentTimeMillis, (nowMs) => nowMs - beganAtMs)
  const awayMs = Math.min(awayMsMax, steadySeconds * 500)

  const inject = Effect.fnUntraced(function* <E>(
    what: string,
    /** Of the steady phase. */
    percent: number,
    fault: {
      readonly end: Effect.Effect<Stopped | void>
      readonly start: Effect.Effect<void, E>
      readonly awayMs: number
    }
  ) {
    yield* Effect.sleep(steadySeconds * 10 * percent)
    const atMs = yield* sinceBeganMs
    tell(what, `at ${milliseconds(atMs)}`)
    const ended = yield* fault.end
    yield* Effect.sleep(fault.awayMs)
    yield* fault.start
    const awayMs = (yield* sinceBeganMs) - atMs
    tell(what, `at ${milliseconds(atMs)}, back after ${milliseconds(awayMs)}`)
    return { what, atMs, awayMs, stopped: ended ?? null } satisfies Fault
  })
  const [[engine], { payments, reports }] = [engines, workers]
  const faults = [
    inject(`kill -9 of ${payments.name}`, 10, { end: Effect.asVoid(payments.kill), start: payments.start, awayMs: 0 }),
    inject(`kill -9 of ${engine.name}`, 20, { end: Effect.asVoid(engine.kill), start: engine.start, awayMs: 0 }),
    inject(`stop of ${reports.name}`, 30, { end: reports.stop, start: reports.start, awayMs }),
    inject("kill -9 of Kafka", 60, { end: kafka.kill, start: kafka.start, awayMs })
  ]
  return yield* Effect.all(faults, { concurrency: "unbounded" })
})
