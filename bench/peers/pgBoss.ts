import { Pool } from "pg"
import { PgBoss } from "pg-boss"
import { batchesOf, type Scheduler, kinds, payloadOf, type Place, scheduleBatchTasks } from "./contestant.ts"

/** https://pgboss.io: a row of each job is kept when it is completed. */
export const open = async ({ mode, postgresUrl, role }: Place): Promise<Scheduler> => {
  const isTuned = mode !== "default"
  const boss = new PgBoss({
    connectionString: postgresUrl,
    ...(isTuned ? { useListenNotify: role === "worker" } : {}),
    ...(role === "producer" ? { migrate: false, supervise: false, schedule: false } : {})
  })
  boss.on("error", (error: unknown) => process.stderr.write(`pg-boss: ${String(error)}\n`))
  await boss.start()
  if (role === "worker") {
    for (const kind of kinds) await boss.createQueue(kind, isTuned ? { partition: true, notify: true } : {})
  }
  const look = new Pool({ connectionString: postgresUrl, max: 1 })

  const options = isTuned
    ? {
        batchSize: mode === "batch-100" ? 100 : 2_000,
        localConcurrency: 2,
        burstWhenBatchFull: true,
        pollingIntervalSeconds: 0.5,
        // Delayed jobs announce nothing when they fall due, so the relaxed interval would make them wait.
        notifyPollingIntervalSeconds: 0.5
      }
    : {}

  return {
    schedule: async (kind, tasks) => {
      for (const batch of batchesOf(tasks, scheduleBatchTasks)) {
        await boss.insert(
          kind,
          batch.map(({ dueAtMs, n, rank }) => ({
            data: payloadOf(n),
            // More is more urgent.
            ...(rank === null ? {} : { priority: 3 - rank }),
            ...(dueAtMs === null ? {} : { startAfter: new Date(dueAtMs) })
          }))
        )
      }
    },
    serve: async (kind, started) => {
      await boss.work<{ readonly n: number }>(kind, options, (jobs) => {
        for (const { data } of jobs) started(data.n)
        return Promise.resolve()
      })
      return () => boss.offWork(kind)
    },
    unsettled: async (kind) => {
      const { rows } = await look.query<{ count: number }>(
        "SELECT count(*)::int4 AS count FROM pgboss.job WHERE name = $1 AND state < 'completed'",
        [kind]
      )
      return rows[0]?.count ?? 0
    },
    close: async () => {
      await look.end()
      await boss.stop({ graceful: false })
    }
  }
}
