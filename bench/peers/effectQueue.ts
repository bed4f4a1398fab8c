import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Layer, ManagedRuntime, Redacted, Schema, Scope } from "effect"
import { PersistedQueue } from "effect/persistence"
import { type BenchTask, type Scheduler, type Kind, payloadOf, type Place } from "./contestant.ts"

/** It has no bulk method: as many offers at once as there are connections. */
const connections = { default: 10, fast: 20 }
const takers = { default: 1, fast: 200 }

/** Effect's own queue on SQL. A delay counts from the offer and is rounded up to whole seconds by it. */
export const open = async ({ mode, postgresUrl }: Place): Promise<Scheduler> => {
  const speed = mode === "default" ? "default" : "fast"
  const completedCounts: Record<Kind, number> = { "warm-up": 0, measured: 0 }
  const runtime = ManagedRuntime.make(
    PersistedQueue.layer.pipe(
      Layer.provideMerge(PersistedQueue.layerStoreSql(speed === "fast" ? { pollInterval: "10 millis" } : {})),
      Layer.provideMerge(PgClient.layer({ url: Redacted.make(postgresUrl), maxConnections: connections[speed] }))
    )
  )
  const schema = Schema.Struct({ n: Schema.Finite, text: Schema.String })
  const queueOf = (name: Kind) => PersistedQueue.make({ name, schema })
  const queues = {
    "warm-up": await runtime.runPromise(queueOf("warm-up")),
    measured: await runtime.runPromise(queueOf("measured"))
  }
  const offer = (kind: Kind, { dueAtMs, n }: BenchTask) =>
    Effect.suspend(() =>
      queues[kind].offer(payloadOf(n), dueAtMs === null ? {} : { delay: Math.max(0, dueAtMs - Date.now()) })
    )

  return {
    schedule: (kind, tasks) =>
      runtime.runPromise(
        Effect.forEach(tasks, (task) => offer(kind, task), { concurrency: connections[speed], discard: true })
      ),
    serve: async (kind, started) => {
      const scope = Scope.makeUnsafe()
      const take = queues[kind]
        .take(({ n }) => Effect.sync(() => started(n)))
        .pipe(
          // The take has ended when the store has marked the element as completed.
          Effect.tap(Effect.sync(() => completedCounts[kind]++)),
          Effect.catch((error) => Effect.sync(() => process.stderr.write(`effect-queue: ${String(error)}\n`))),
          Effect.forever
        )
      for (let taker = 0; taker < takers[speed]; taker++) runtime.runSync(Effect.forkIn(take, scope))
      return () => runtime.runPromise(Scope.close(scope, Exit.void))
    },
    unsettled: (kind, wanted) => Promise.resolve(wanted - completedCounts[kind]),
    close: () => runtime.dispose()
  }
}
