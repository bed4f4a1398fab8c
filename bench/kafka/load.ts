import { Effect } from "effect"
import { Progress } from "../progress.ts"
import { isOver, startsOf } from "./history.ts"
import { define, type KindSpec } from "./role.ts"

/** Arrivals. Open loop: due times are drawn beforehand, so nothing that runs late makes the next one wait. */
export type Arrivals = {
  readonly spec: KindSpec
  readonly ratePerSecond: number
  readonly seconds: number
  readonly random: () => number
  /** Default: as soon as scheduling ahead allows. */
  readonly fromMs?: number
}

/** Seconds between scheduling and due: longer than the look-ahead of engines, so that claims do their work. */
export const aheadSeconds = 3

/** Schedules second by second, a few seconds ahead; returns when the last is due. */
export const arrive = (arrivals: Arrivals) =>
  Effect.gen(function* () {
    const kind = define(arrivals.spec)
    const total = arrivals.ratePerSecond * arrivals.seconds
    const progress = new Progress(arrivals.spec.kind, total)
    const fromMs = arrivals.fromMs ?? (yield* soonMs)
    for (let second = 0; second < arrivals.seconds; second++) {
      const secondMs = fromMs + second * 1_000
      yield* sleepUntil(secondMs - aheadSeconds * 1_000)
      yield* kind.scheduleMany(
        Array.from({ length: arrivals.ratePerSecond }, (_, n) => ({
          payload: { n: second * arrivals.ratePerSecond + n },
          at: Math.floor(secondMs + arrivals.random() * 1_000)
        }))
      )
      progress.at((second + 1) * arrivals.ratePerSecond)
    }
    yield* sleepUntil(fromMs + arrivals.seconds * 1_000)
    progress.end()
    return { fromMs, untilMs: fromMs + arrivals.seconds * 1_000, total }
  })

/** Schedules many that are due at the same instant. */
export const pile = (spec: KindSpec, tasks: number, atMs: number) =>
  Effect.asVoid(define(spec).scheduleMany(Array.from({ length: tasks }, (_, n) => ({ payload: { n }, at: atMs }))))

/** The first instant for which tasks can be scheduled far enough ahead. */
export const soonMs = Effect.suspend(() => Effect.map(nowMs, (now) => Math.ceil(now) + aheadSeconds * 1_000 + 500))

/** True when all tasks of these kinds have ended, false when they have not within the time given. */
export const untilOver = (kinds: ReadonlyArray<string>, limitMs: number) =>
  Effect.gen(function* () {
    while (!(yield* isOver(kinds))) yield* Effect.sleep(500)
  }).pipe(
    Effect.timeoutOption(limitMs),
    Effect.map((over) => over._tag === "Some")
  )

/**
 * Until dispatches reach the workers of the queue: consumer groups have settled, connections are open, code is compiled.
 * Rounds of tasks of a kind of its own, until most of a round was started in time and by dispatch.
 */
export const warmUp = (
  spec: KindSpec,
  options: { readonly tasks?: number; readonly lateMsMax?: number; readonly roundsMin?: number } = {}
) =>
  Effect.gen(function* () {
    const { lateMsMax = 250, roundsMin = 1, tasks = 400 } = options
    const kind = define(spec)
    let seen = ""
    for (let round = 0; round < warmUpRoundsMax; round++) {
      const fromMs = (yield* nowMs) + 500
      yield* kind.scheduleMany(
        Array.from({ length: tasks }, (_, n) => ({ payload: { n }, at: Math.ceil(fromMs + (n * 2_000) / tasks) }))
      )
      yield* sleepUntil(fromMs + 2_000)
      yield* untilOver([spec.kind], 30_000)
      const own = (yield* startsOf([spec.kind])).filter((start) => start.dueAtMs >= fromMs)
      const dispatched = own.filter((start) => start.dispatchedAtMs !== null)
      const inTime = dispatched.filter((start) => start.lateMs < lateMsMax)
      if (inTime.length >= tasks * 0.9 && round + 1 >= roundsMin) return
      seen = `of ${tasks} tasks ${dispatched.length} were dispatched, ${inTime.length} within ${lateMsMax} ms`
    }
    process.stderr.write(`bench: not warm after ${warmUpRoundsMax} rounds of ${spec.kind}: ${seen}\n`)
  })

const warmUpRoundsMax = 8

export const nowMs = Effect.map(
  Effect.clockWith((clock) => clock.currentTimeNanos),
  (nanos) => Number(nanos) / 1e6
)

export const sleepUntil = (atMs: number) => Effect.flatMap(nowMs, (now) => Effect.sleep(Math.max(0, atMs - now)))
