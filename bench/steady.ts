import { Effect, Layer, Schema } from "effect"
import { AttemptObserver, Engine, Task, Worker } from "../src/index.ts"
import { TaskStore } from "../src/store/TaskStore.ts"
import { nowMs, sleepUntil, waitUntil } from "./openLoop.ts"
import { Progress } from "./progress.ts"
import { Lateness } from "./report.ts"
import { since, usage } from "./server.ts"

/**
 * Engine and worker in this process, and no-op tasks that come at a steady rate: an open loop, scheduled some seconds ahead at
 * instants drawn beforehand. What else there is in the database is the scenario's.
 */
export type SteadyOptions = {
  readonly name: string
  readonly ratePerSecond: number
  readonly seconds: number
  readonly random: () => number
}

/** Seconds between scheduling and due: longer than the look-ahead, so that claims do their work. */
const aheadSeconds = 3
const lateMsMax = 30_000
const warmUpTasks = 400
const concurrency = 200

/** The kind that comes; it may have others beside it. */
export const Steady = Task.define("bench.steady", { payload: { n: Schema.Finite } })

export const makeSteady = (others: ReadonlyArray<ReturnType<typeof beside>> = []) => {
  let start = new Lateness()
  let handler = new Lateness()
  let ended = 0
  let lastEndedAtMs = 0
  let offsetMs = () => 0
  const observer = AttemptObserver.of({
    started: ({ dueAtMs, kind, startedAtMs }, beganAtMs) => {
      if (kind !== Steady.kind) return
      start.record(startedAtMs - dueAtMs)
      handler.record(beganAtMs + offsetMs() - dueAtMs)
    },
    ended: ({ kind }) => {
      if (kind !== Steady.kind) return
      ended++
      lastEndedAtMs = performance.timeOrigin + performance.now() + offsetMs()
    }
  })
  const layer = Layer.mergeAll(
    Steady.handle(() => Effect.void),
    ...others.map((kind) => kind.handle(() => Effect.void)),
    Engine.layer
  ).pipe(
    Layer.provideMerge(Worker.layer({ concurrency })),
    Layer.provideMerge(Layer.succeed(AttemptObserver, observer))
  )

  /** Figures of all that came; what has not ended within half a minute of the last due time is missing. */
  const run = Effect.fnUntraced(function* ({ name, random, ratePerSecond, seconds }: SteadyOptions) {
    offsetMs = (yield* TaskStore).clockOffsetMs
    start = new Lateness()
    handler = new Lateness()
    ended = 0
    const total = ratePerSecond * seconds
    const progress = new Progress(name, total)
    const firstAtMs = Math.ceil((yield* nowMs) + aheadSeconds * 1_000 + 500)
    const before = yield* usage
    for (let second = 0; second < seconds; second++) {
      const fromMs = firstAtMs + second * 1_000
      yield* sleepUntil(fromMs - aheadSeconds * 1_000)
      yield* Steady.scheduleMany(
        Array.from({ length: ratePerSecond }, (_, n) => ({
          payload: { n },
          at: Math.floor(fromMs + random() * 1_000)
        }))
      )
      progress.at(ended)
    }
    yield* waitUntil(() => ended >= total, aheadSeconds * 1_000 + lateMsMax)
    progress.end()
    return {
      tasksPerSecond: (ended / (lastEndedAtMs - firstAtMs)) * 1_000,
      missing: total - ended,
      start: start.summary(),
      handler: handler.summary(),
      ...since(before, yield* usage, total)
    }
  })

  /** Code is compiled, plans are made, connections are open. */
  const warmUp = Effect.gen(function* () {
    yield* Steady.scheduleMany(Array.from({ length: warmUpTasks }, (_, n) => ({ payload: { n }, in: n * 5 })))
    yield* Effect.sleep(warmUpTasks * 5 + 1_500)
  })

  return { layer, warmUp, run }
}

/** Another kind that the worker serves as well. */
export const beside = (kind: string) => Task.define(kind, { payload: { n: Schema.Finite } })
