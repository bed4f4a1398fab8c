import { Deferred, Effect, Layer, Schema } from "effect"
import { AttemptObserver, Engine, Task, Worker } from "../src/index.ts"
import { layerPostgres } from "../src/layers.ts"
import { Progress } from "./progress.ts"
import { atLeast, atMost } from "./report.ts"
import { server, since, usage } from "./server.ts"

/**
 * Drains a backlog of due no-op tasks with complete history (claimed, started, succeeded: one event each), in one process
 * with the embedded server beside it. The backlog waits because nobody serves its kind yet; the clock starts when the
 * handler's layer is built and stops when the last outcome is recorded. Engine, worker and server are warm by then.
 */
export type ThroughputOptions = { readonly tasks: number; readonly concurrency: number }

const WarmUp = Task.define("bench.warm-up", { payload: { n: Schema.Finite } })
const Drain = Task.define("bench.drain", { payload: { n: Schema.Finite, text: Schema.String } })
const warmUpTasks = 4_000

export const throughput = ({ concurrency, tasks }: ThroughputOptions) => {
  let ended = 0
  let lost = 0
  let started = 0
  let allEnded = () => {}
  const progress = new Progress("throughput", tasks)
  const observer = AttemptObserver.of({
    started: ({ kind }) => {
      if (kind === Drain.kind) started++
    },
    ended: ({ kind }, stage) => {
      if (kind !== Drain.kind) return
      if (stage === "lost") lost++
      else ended++
      progress.at(ended)
      if (ended >= tasks) allEnded()
    }
  })
  const running = Layer.mergeAll(
    WarmUp.handle(() => Effect.void),
    Engine.layer
  ).pipe(
    Layer.provideMerge(Worker.layer({ concurrency })),
    Layer.provideMerge(Layer.succeed(AttemptObserver, observer)),
    Layer.provideMerge(layerPostgres({ migrate: true })),
    Layer.provideMerge(server)
  )

  const program = Effect.gen(function* () {
    yield* WarmUp.scheduleMany(Array.from({ length: warmUpTasks }, (_, n) => ({ payload: { n } })))
    const scheduleUsage = yield* usage
    const scheduledFromMs = performance.now()
    yield* Drain.scheduleMany(Array.from({ length: tasks }, (_, n) => ({ payload: { n, text: "x".repeat(80) } })))
    const scheduleMs = performance.now() - scheduledFromMs
    const scheduleCost = since(scheduleUsage, yield* usage, tasks)
    yield* Effect.sleep(1_000)

    const done = yield* Deferred.make<void>()
    allEnded = () => Deferred.doneUnsafe(done, Effect.void)
    const before = yield* usage
    const fromMs = performance.now()
    yield* Layer.build(Drain.handle(() => Effect.void))
    yield* Deferred.await(done)
    const drainMs = performance.now() - fromMs
    progress.end()
    const cost = since(before, yield* usage, tasks)
    const figures = {
      drainTasksPerSecond: (tasks / drainMs) * 1_000,
      scheduleTasksPerSecond: (tasks / scheduleMs) * 1_000,
      cycleTasksPerSecond: (tasks / (drainMs + scheduleMs)) * 1_000,
      startedTwice: started - tasks,
      lost,
      drain: cost,
      schedule: scheduleCost,
      walBytesPerTaskScheduleToOutcome: cost.walBytesPerTask + scheduleCost.walBytesPerTask
    }
    return {
      settings: { tasks, concurrency, warmUpTasks },
      figures,
      floors: [
        atLeast("tasks/s drained with full history", 8_000, figures.drainTasksPerSecond),
        atMost("started twice", 0, figures.startedTwice)
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(running))
}
