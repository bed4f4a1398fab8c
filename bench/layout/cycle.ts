/**
 * Whole life cycles of near-due tasks beside the pending mass: schedule, claim, start, succeed, in batches, on one or more
 * sessions that compete for the same lanes. Each session keeps a low mark per lane as an engine does: a hint a little
 * behind its last claim, with a sweep from further back every few steps. A run ends when every scheduled task has succeeded;
 * one that is missing fails the run.
 */
import { Clock, Data, Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import * as Driver from "./driver.ts"
import type { Layout } from "./layout.ts"
import { measured, run as statements, storedBytes, totalBytes, tupleCounts } from "./probe.ts"
import type { Server } from "./server.ts"

export class TasksLost extends Data.TaggedError("TasksLost")<{ readonly message: string }> {}

export interface CycleOptions {
  readonly batchSize: number
  readonly connections: number
  /** How long to schedule: a number of tasks or a number of seconds. */
  readonly until: { readonly tasks: number } | { readonly seconds: number }
  readonly parameters?: Readonly<Record<string, string>>
  /** A sweep claims from 60 s back instead of from the low marks. Default: every 25th step. */
  readonly sweepEverySteps?: number
  /** Called with the name and the latency of every step. */
  readonly onStep?: (name: string, milliseconds: number) => void
}

/** A session's low mark stays this far behind its last claim in the lane. */
const lowMarkLagMs = 50
const sweepEveryStepsDefault = 25
const sweepLagMs = 60_000

export const cycle = (server: Server, admin: PgConnection.PgConnection, layout: Layout, options: CycleOptions) =>
  Effect.scoped(run(server, admin, layout, options))

const run = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  options: CycleOptions
) {
  const began = yield* Clock.currentTimeMillis
  let scheduled = 0
  let succeeded = 0
  const timed = Effect.fnUntraced(function* <A, E>(name: string, effect: Effect.Effect<A, E>) {
    const from = yield* Clock.currentTimeNanos
    const value = yield* effect
    options.onStep?.(name, Number((yield* Clock.currentTimeNanos) - from) / 1e6)
    return value
  })
  const drivers = yield* Effect.forEach(
    Array.from({ length: options.connections }, (_, index) => index + 1),
    (number) =>
      Effect.map(
        server.connect({ search_path: layout.schema, ...pinnedSettings, ...options.parameters }),
        (connection) => Driver.make(connection, layout, number)
      )
  )
  const session = Effect.fnUntraced(function* (driver: Driver.Driver) {
    const marks = new Map<string, number>()
    const step = Effect.fnUntraced(function* (nowMs: number, sweep: boolean) {
      const lanes = Driver.makeLanes(options.batchSize, nowMs - sweepLagMs)
      const tight = {
        ...lanes,
        lowMs: lanes.lowMs.map((low, lane) => (sweep ? low : (marks.get(laneOf(lanes, lane)) ?? low)))
      }
      const held = yield* timed("claim", driver.claim(tight, nowMs - lowMarkLagMs, nowMs))
      for (const task of held) {
        const lane = `${task.kind}/${task.priority}`
        marks.set(lane, Math.max(marks.get(lane) ?? 0, task.dueMs - lowMarkLagMs))
      }
      const started = yield* timed("start", driver.start(held))
      const ended = yield* timed("succeed", driver.succeed(started))
      succeeded += ended.length
      return held.length
    })
    const share =
      "tasks" in options.until ? Math.ceil(options.until.tasks / options.connections) : Number.POSITIVE_INFINITY
    const endMs = "seconds" in options.until ? began + options.until.seconds * 1000 : Number.POSITIVE_INFINITY
    for (let done = 0, steps = 1; done < share; done += options.batchSize, steps++) {
      const nowMs = yield* Clock.currentTimeMillis
      if (nowMs > endMs) break
      yield* timed("schedule", driver.schedule(Array.from({ length: options.batchSize }, () => Driver.makeTask(nowMs))))
      scheduled += options.batchSize
      yield* step(nowMs, steps % (options.sweepEverySteps ?? sweepEveryStepsDefault) === 0)
    }
    while ((yield* step(yield* Clock.currentTimeMillis, true)) > 0) continue
  })
  const before = yield* tupleCounts(admin, layout.schema, layout.projections)
  const bytesBefore = totalBytes(yield* storedBytes(admin, layout.schema))
  const [, cost] = yield* measured(
    admin,
    server,
    Effect.forEach(drivers, session, { concurrency: "unbounded", discard: true })
  )
  yield* Effect.forEach(drivers, (driver) => statements(driver.connection, "SELECT pg_stat_force_next_flush()"))
  const after = yield* tupleCounts(admin, layout.schema, layout.projections)
  const bytesAfter = totalBytes(yield* storedBytes(admin, layout.schema))
  if (succeeded !== scheduled) {
    return yield* new TasksLost({ message: `${layout.name}: ${scheduled} scheduled, ${succeeded} succeeded` })
  }
  const updates = after.updates - before.updates
  return {
    layout: layout.name,
    batchSize: options.batchSize,
    connections: options.connections,
    tasks: scheduled,
    cyclesPerSecond: scheduled / cost.seconds,
    serverCpuMicrosPerTask: (cost.serverCpuSeconds / scheduled) * 1e6,
    clientCpuMicrosPerTask: (cost.clientCpuSeconds / scheduled) * 1e6,
    walBytesPerTask: cost.walBytes / scheduled,
    storedBytesPerTask: (bytesAfter - bytesBefore) / scheduled,
    hotShare: updates === 0 ? 1 : (after.hotUpdates - before.hotUpdates) / updates,
    deadTuplesAfter: after.dead
  }
})

export type CycleResult = Effect.Success<ReturnType<typeof cycle>>

/**
 * What keeps the plans on primary keys whatever the statistics say: every join of the hot path is a look-up by key or ctid.
 */
export const pinnedSettings = { enable_hashjoin: "off", enable_mergejoin: "off", enable_seqscan: "off" } as const

const laneOf = (lanes: Driver.Lanes, index: number): string => `${lanes.kinds[index]}/${lanes.priorities[index]}`
