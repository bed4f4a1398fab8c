import { Queue, Worker } from "bullmq"
import { batchesOf, type Scheduler, kinds, payloadOf, type Place, scheduleBatchTasks } from "./contestant.ts"

/** https://bullmq.io on Redis. A delay counts from the instant in which the producer takes it, in whole milliseconds. */
export const open = async ({ mode, redisPort }: Place): Promise<Scheduler> => {
  if (redisPort === null) throw new Error("BullMQ needs a Redis")
  const connection = { host: "127.0.0.1", port: redisPort, maxRetriesPerRequest: null }
  const queues = new Map(kinds.map((kind) => [kind, new Queue(kind, { connection })]))
  const queueOf = (kind: (typeof kinds)[number]): Queue => {
    const queue = queues.get(kind)
    if (queue === undefined) throw new Error(`no queue ${kind}`)
    return queue
  }
  for (const queue of queues.values()) await queue.waitUntilReady()

  return {
    schedule: async (kind, tasks) => {
      for (const batch of batchesOf(tasks, scheduleBatchTasks)) {
        await queueOf(kind).addBulk(
          batch.map(({ dueAtMs, n, rank }) => ({
            name: kind,
            data: payloadOf(n),
            opts: {
              // 0 stands before all that have a priority, and costs less than having one.
              ...(rank === null ? {} : { priority: rank }),
              ...(dueAtMs === null ? {} : { delay: Math.max(0, dueAtMs - Date.now()) })
            }
          }))
        )
      }
    },
    serve: async (kind, started) => {
      const worker = new Worker<{ readonly n: number }>(
        kind,
        (job) => {
          started(job.data.n)
          return Promise.resolve()
        },
        { connection, ...(mode === "fast" ? { concurrency: 50, removeOnComplete: { count: 0 } } : {}) }
      )
      worker.on("error", (error) => process.stderr.write(`bullmq: ${String(error)}\n`))
      await worker.waitUntilReady()
      return () => worker.close()
    },
    unsettled: async (kind) => {
      const counts = await queueOf(kind).getJobCounts("wait", "active", "delayed", "prioritized", "failed")
      return Object.values(counts).reduce((sum, count) => sum + count, 0)
    },
    close: async () => {
      for (const queue of queues.values()) await queue.close()
    }
  }
}
