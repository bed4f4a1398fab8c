import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Layer, ManagedRuntime, Redacted, Schema, Scope } from "effect"
import { priorityOf } from "../../src/core/Priority.ts"
import { AttemptObserver, Duetime, Engine, Task, Worker } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { type BenchTask, type Scheduler, type Kind, payloadOf, type Place } from "./contestant.ts"

const concurrency = 500
const payload = { n: Schema.Finite, text: Schema.String }
const tasks = {
  "warm-up": Task.define("bench.warm-up", { payload }),
  measured: Task.define("bench.measured", { payload })
}

const entryOf = ({ dueAtMs, n, rank }: BenchTask) => ({
  payload: payloadOf(n),
  ...(dueAtMs === null ? {} : { at: dueAtMs }),
  ...(rank === null ? {} : { priority: priorityOf(rank) })
})

/** duetime itself: engine and worker in this process, or only what schedules. */
export const open = async (place: Place): Promise<Scheduler> =>
  place.role === "worker" ? worker(place) : producer(place)

const client = (url: string, maxConnections: number) => PgClient.layer({ url: Redacted.make(url), maxConnections })

const producer = async ({ postgresUrl }: Place): Promise<Scheduler> => {
  const runtime = ManagedRuntime.make(
    Duetime.layer.pipe(Layer.provideMerge(PgTaskStore.layerStore()), Layer.provide(client(postgresUrl, 2)))
  )
  await runtime.context()
  return {
    schedule: (kind, batch) => runtime.runPromise(Effect.asVoid(tasks[kind].scheduleMany(batch.map(entryOf)))),
    serve: () => Promise.reject(new Error("a producer serves nothing")),
    unsettled: () => Promise.reject(new Error("a producer serves nothing")),
    close: () => runtime.dispose()
  }
}

const worker = async ({ postgresUrl }: Place): Promise<Scheduler> => {
  const endedCounts: Record<Kind, number> = { "warm-up": 0, measured: 0 }
  const lateMs: Record<Kind, Array<number>> = { "warm-up": [], measured: [] }
  const kindOf = (name: string): Kind => (name === tasks.measured.kind ? "measured" : "warm-up")
  const observer = AttemptObserver.of({
    started: ({ dueAtMs, kind, startedAtMs }) => {
      lateMs[kindOf(kind)].push(startedAtMs - dueAtMs)
    },
    ended: ({ kind }, stage) => {
      if (stage === "succeeded") endedCounts[kindOf(kind)]++
    }
  })
  const runtime = ManagedRuntime.make(
    Engine.layer.pipe(
      Layer.provideMerge(Worker.layer({ concurrency })),
      Layer.provideMerge(Layer.succeed(AttemptObserver, observer)),
      Layer.provideMerge(layerPostgres({ migrate: true })),
      Layer.provideMerge(client(postgresUrl, 10))
    )
  )
  await runtime.context()
  return {
    schedule: (kind, batch) => runtime.runPromise(Effect.asVoid(tasks[kind].scheduleMany(batch.map(entryOf)))),
    serve: async (kind, started) => {
      const scope = Scope.makeUnsafe()
      const handler = tasks[kind].handle(({ n }) => Effect.sync(() => started(n)))
      await runtime.runPromise(Layer.buildWithScope(handler, scope))
      return () => runtime.runPromise(Scope.close(scope, Exit.void))
    },
    unsettled: (kind, wanted) => Promise.resolve(wanted - endedCounts[kind]),
    recordedLateMs: (kind) => lateMs[kind],
    close: () => runtime.dispose()
  }
}
