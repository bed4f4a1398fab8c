import { hostname } from "node:os"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { eventCodes } from "../src/core/TaskEvent.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerPostgres } from "../src/layers.ts"
import { nowMs, sleepUntil } from "./openLoop.ts"
import { Progress } from "./progress.ts"
import { atLeast, atMost, Lateness } from "./report.ts"
import { cpuMsOfFamily, server, since, usageOf } from "./server.ts"
import { counted, spawnEngine } from "./spawnEngine.ts"
import { violations } from "./violations.ts"

/**
 * How long a crash holds tasks back. Two processes with an engine and a worker each work off a steady open-loop load; again and
 * again one of them is ended by SIGKILL and replaced. From the history: how long until what it held was free again, and until
 * it ran again, and how late everything else started meanwhile.
 */
export type RecoverOptions = {
  readonly kills: number
  readonly ratePerSecond: number
  readonly random: () => number
}

/** Long enough that a kill meets dozens of running attempts at 200 tasks/s. */
const workMs = 250
const leaseMs = 5_000
/** A supervisor looks once a second; a repair of many tasks takes its time on a busy machine. */
const repairMsMax = leaseMs + 2_000
/** Between two kills: the lease, the repair, and ten quiet seconds to compare with. */
const everySeconds = 17
const aheadSeconds = 3
const drainMsMax = 60_000

export const recover = (options: RecoverOptions) => {
  const seconds = (options.kills + 1) * everySeconds
  const tasks = seconds * options.ratePerSecond
  const program = Effect.gen(function* () {
    const { url } = yield* EmbeddedPostgres
    const progress = new Progress("recover", tasks)
    let callsCount = 0
    const start = spawnEngine(url, () => progress.at(++callsCount))
    const processes = [yield* start, yield* start]
    const killed = new Map<string, number>()
    let goneCpuMs = 0
    const cost = Effect.suspend(() =>
      usageOf(
        processes.map(({ processId }) => processId),
        goneCpuMs
      )
    )
    const before = yield* cost

    const load = Effect.gen(function* () {
      const fromMs = (yield* nowMs) + aheadSeconds * 1_000
      for (let second = 0; second < seconds; second++) {
        const secondMs = fromMs + second * 1_000
        yield* sleepUntil(secondMs - aheadSeconds * 1_000)
        yield* counted.scheduleMany(
          Array.from({ length: options.ratePerSecond }, () => ({
            payload: { workMs },
            at: Math.floor(secondMs + options.random() * 1_000)
          }))
        )
      }
    })
    const kills = Effect.gen(function* () {
      for (let n = 0; n < options.kills; n++) {
        yield* Effect.sleep(everySeconds * 1_000)
        const victim = processes[n % processes.length]
        if (victim === undefined) continue
        killed.set(`${hostname()}:${victim.processId}`, yield* nowMs)
        goneCpuMs += cpuMsOfFamily(victim.processId)
        yield* victim.kill
        processes[n % processes.length] = yield* start
      }
    })
    yield* Effect.all([load, kills], { concurrency: 2 })
    const isOver = yield* untilAllEnded(tasks)
    const after = yield* cost
    for (const { stop } of processes) yield* stop
    progress.end()

    const repairs = yield* repairsOf(killed)
    const others = yield* driftOfOthers(killed)
    const figures = {
      kills: killed.size,
      attemptsInterrupted: repairs.attempts.free,
      attemptsRunAgain: repairs.attempts.again,
      claimsFree: repairs.claims.free,
      claimsStarted: repairs.claims.again,
      // Of tasks that no process claimed which was killed, then or later.
      othersStart: others,
      ...since(before, after, tasks),
      violations: yield* violations
    }
    return {
      settings: { ...options, random: undefined, workMs, leaseMs, everySeconds, processes: processes.length },
      figures,
      floors: [
        atLeast("attempts met by a kill", options.kills, figures.attemptsInterrupted.count),
        atMost("p99 ms from the kill until an attempt is free again", repairMsMax, figures.attemptsInterrupted.p99),
        atMost("p99 ms from the kill until a claim is free again", repairMsMax, figures.claimsFree.p99),
        atMost("tasks that have not succeeded", 0, isOver ? 0 : 1),
        atMost("violations found by the audit", 0, figures.violations)
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(layerPostgres({ migrate: true }).pipe(Layer.provideMerge(server))))
}

const untilAllEnded = (tasks: number) =>
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    while (true) {
      const [row] = yield* sql<{ readonly count: number }>`SELECT count(*)::int4 AS count FROM duetime.event
        WHERE type = ${eventCodes.AttemptSucceeded}::int2`
      if ((row?.count ?? 0) >= tasks) return true
      yield* Effect.sleep(500)
    }
  }).pipe(
    Effect.timeoutOption(drainMsMax),
    Effect.map((option) => option._tag === "Some")
  )

/** What killed sessions held at their end: until the next event of the stream, and until the next start of the task. */
const repairsOf = Effect.fnUntraced(function* (killed: ReadonlyMap<string, number>) {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ readonly isAttempt: boolean; readonly freeMs: number; readonly againMs: number | null }>`
    WITH killed AS (
      SELECT s.session_id, to_timestamp(k.at_ms / 1000) AS at
      FROM duetime.session s JOIN unnest(${[...killed.keys()]}::text[], ${[...killed.values()]}::float8[]) k (process, at_ms) USING (process)
    )
    SELECT held.type = ${eventCodes.AttemptStarted}::int2 AS "isAttempt",
      (date_part('epoch', next.at - killed.at) * 1000)::float8 AS "freeMs",
      (date_part('epoch', again.at - killed.at) * 1000)::float8 AS "againMs"
    FROM killed
    JOIN duetime.event held ON held.session_id = killed.session_id AND held.at <= killed.at
      AND held.type IN (${eventCodes.TaskClaimed}::int2, ${eventCodes.AttemptStarted}::int2)
    JOIN duetime.event next ON next.task_id = held.task_id AND next.version = held.version + 1 AND next.at > killed.at
    LEFT JOIN LATERAL (
      SELECT min(s.at) AS at FROM duetime.event s
      WHERE s.task_id = held.task_id AND s.version > held.version AND s.type = ${eventCodes.AttemptStarted}::int2
    ) again ON true
    -- An outcome that was under way when its process died: nothing had to be repaired.
    WHERE next.type <> ${eventCodes.AttemptSucceeded}::int2`
  const of = (isAttempt: boolean) => {
    const free = new Lateness()
    const again = new Lateness()
    for (const row of rows) {
      if (row.isAttempt !== isAttempt) continue
      free.record(row.freeMs)
      if (row.againMs !== null) again.record(row.againMs)
    }
    return { free: free.summary(), again: again.summary() }
  }
  return { attempts: of(true), claims: of(false) }
})

/** First starts of all tasks that were claimed by none of the sessions that were killed in the end. */
const driftOfOthers = Effect.fnUntraced(function* (killed: ReadonlyMap<string, number>) {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ readonly lateMs: number }>`
    SELECT (date_part('epoch', s.at - b.due_at) * 1000)::float8 AS "lateMs"
    FROM duetime.event b
    JOIN duetime.event s ON s.task_id = b.task_id AND s.type = ${eventCodes.AttemptStarted}::int2 AND s.attempt = 1
    WHERE b.type = ${eventCodes.TaskScheduled}::int2 AND NOT EXISTS (
      SELECT FROM duetime.event c JOIN duetime.session k ON k.session_id = c.session_id
      WHERE c.task_id = b.task_id AND k.process = ANY (${[...killed.keys()]}::text[]))`
  const start = new Lateness()
  for (const { lateMs } of rows) start.record(lateMs)
  return start.summary()
})
