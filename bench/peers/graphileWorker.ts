import { Logger, makeWorkerUtils, run } from "graphile-worker"
import { Pool } from "pg"
import { batchesOf, type Scheduler, payloadOf, type Place, scheduleBatchTasks } from "./contestant.ts"

/** https://worker.graphile.org: a finished job's row is deleted. */
export const open = async ({ mode, postgresUrl, role }: Place): Promise<Scheduler> => {
  const logger = new Logger(() => (level, message) => {
    if (level === "error") process.stderr.write(`graphile-worker: ${message}\n`)
  })
  const pool = new Pool({ connectionString: postgresUrl, max: 2 })
  const told = (error: Error) => process.stderr.write(`graphile-worker: ${String(error)}\n`)
  pool.on("error", told).on("connect", (client) => client.on("error", told))
  const scheduler = await makeWorkerUtils({ pgPool: pool, logger })
  if (role === "worker") await scheduler.migrate()

  return {
    schedule: async (kind, tasks) => {
      for (const batch of batchesOf(tasks, scheduleBatchTasks)) {
        await scheduler.addJobs(
          batch.map(({ dueAtMs, n, rank }) => ({
            identifier: kind,
            payload: payloadOf(n),
            ...(rank === null ? {} : { priority: rank }),
            ...(dueAtMs === null ? {} : { runAt: new Date(dueAtMs) })
          }))
        )
      }
    },
    serve: async (kind, started) => {
      const runner = await run({
        logger,
        noHandleSignals: true,
        parsedCronItems: [],
        taskList: {
          [kind]: (payload) => {
            if (typeof payload === "object" && payload !== null && "n" in payload) started(Number(payload.n))
          }
        },
        preset: {
          worker: {
            connectionString: postgresUrl,
            ...(mode === "fast"
              ? { concurrentJobs: 24, localQueue: { size: 5_000 }, completeJobBatchDelay: 0, pollInterval: 100 }
              : {})
          }
        }
      })
      return () => runner.stop()
    },
    unsettled: async (kind) => {
      const { rows } = await pool.query<{ count: number }>(
        `SELECT count(*)::int4 AS count FROM graphile_worker._private_jobs AS job
         JOIN graphile_worker._private_tasks AS task ON task.id = job.task_id WHERE task.identifier = $1`,
        [kind]
      )
      return rows[0]?.count ?? 0
    },
    close: async () => {
      await scheduler.release()
      await pool.end()
    }
  }
}
