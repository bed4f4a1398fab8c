/** Schedules tasks due at once, one by one at a steady rate, from a process of its own: by the client, or in SQL. */
import { NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Schema } from "effect"
import { Task } from "../src/index.ts"
import { layerClient } from "../src/layers.ts"

const DueNow = Task.define("bench.due-now", { payload: { n: Schema.Finite } })
const [count, perSecond, way] = process.argv.slice(2)

const atRate = <E, R>(schedule: (n: number) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    for (let n = 0; n < Number(count); n++) {
      yield* Effect.sleep(1_000 / Number(perSecond))
      yield* schedule(n)
    }
  })

const byClient = Effect.provide(
  atRate((n) => DueNow.schedule({ n })),
  layerClient
)

/** As another service would: a connection, and nothing else of ours. */
const bySql = Effect.flatMap(PgClient.PgClient, (sql) =>
  atRate((n) => sql`SELECT task_id FROM duetime.schedule(${DueNow.kind}, ${JSON.stringify({ n })}::jsonb)`)
).pipe(Effect.provide(PgClient.layerConfig({ url: Config.Redacted("DUETIME_DATABASE_URL") })))

if (way === "sql") NodeRuntime.runMain(bySql)
else NodeRuntime.runMain(byClient)
