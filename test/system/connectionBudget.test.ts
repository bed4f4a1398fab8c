/**
 * Goal: a fleet's connections can be counted before it is deployed. Method: processes under load, with more handlers at a time than
 * connections; pools keep what they have opened for a minute, so what the server counts afterwards is the most there was.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import * as fs from "node:fs"
import { Duetime, layerClient } from "../../src/index.ts"
import { environment, role, until } from "../cli/roleProcess.ts"
import { database } from "../setup/database.ts"

/** Rows `| process | application's | store's | lease's | in all |` of the guide. */
const documented = [
  ...fs.readFileSync("docs/guide/deploying.md", "utf8").matchAll(/^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|/gm)
].map(([, process = "", ...counts]) => ({ process, counts: counts.map(Number) }))

const countsOf = (part: string) => documented.find(({ process }) => process.includes(part))?.counts ?? []

/** By the names under which duetime connects. */
const opened = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ readonly application: string; readonly count: number }>`
    SELECT application_name AS application, count(*)::int4 AS count FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'duetime%' GROUP BY 1`
  return new Map(rows.map(({ application, count }) => [application, count]))
})

const tasksCount = 60

layer(database(), { excludeTestServices: true, timeout: 60_000 })("a process with much to do", (it) => {
  it.effect(
    "opens as many connections as the guide says, and each in its pool",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const running = yield* role(["run", "--tasks", "test/system/modules/slowCommits.ts", "--concurrency", "30"])
        yield* Effect.promise(() => running.logged(/run started/))
        yield* sql`SELECT s.task_id FROM generate_series(1, ${tasksCount}::int4) AS n
        CROSS JOIN LATERAL duetime.schedule('slow-commit', '{}', key => n::text) s`
        yield* until(
          Effect.map(
            sql`SELECT FROM duetime.due UNION ALL SELECT FROM duetime.in_progress LIMIT 1`,
            (rows) => rows.length === 0
          )
        )
        const open = yield* opened
        const [app = 0, store = 0, lease = 0, all] = countsOf("duetime run")
        assert.strictEqual(all, app + store + lease)
        assert.strictEqual(open.get("duetime-app"), app)
        assert.strictEqual(open.get("duetime-session"), lease)
        // It listens on one of them, and has at least one more for its statements.
        assert.isAtLeast(open.get("duetime") ?? 0, 2)
        assert.isAtMost(open.get("duetime") ?? 0, store)
      }).pipe(Effect.scoped),
    90_000
  )

  it.effect("that only schedules and looks opens as many as the guide says", () =>
    Effect.gen(function* () {
      const env = yield* environment
      // The server takes its time to end the connections of a process that is gone.
      yield* until(Effect.map(opened, ({ size }) => size === 0))
      const asking = Effect.gen(function* () {
        const duetime = yield* Duetime
        const task = { kind: "slow-commit", payload: {}, key: "k" } as const
        yield* Effect.all(
          Array.from({ length: 40 }, () =>
            Effect.andThen(duetime.scheduleUntyped([task]), duetime.find({ stage: "pending", limit: 1 }))
          ),
          { concurrency: "unbounded" }
        )
        return yield* opened
      })
      const open = yield* Effect.provide(asking, layerClient).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
      )
      const [app = 0, store = 0, lease = 0, all] = countsOf("layerClient")
      assert.strictEqual(all, app + store + lease)
      const counts = ["duetime-app", "duetime", "duetime-session"].map((name) => open.get(name) ?? 0)
      assert.deepStrictEqual(counts, [app, store, lease])
    })
  )
})
