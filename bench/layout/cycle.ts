/**
 * Whole life cycles of near-due tasks beside the pending mass: schedule, claim, start, succeed, in batches, on one or more
 * sessions that compete for the same lanes. A run ends when every scheduled task has succeeded; one that is missing is a failure.
 */
import { Clock, Effect } from "effect"
import * as Driver from "./driver.ts"
import type { Layout } from "./layout.ts"
import { measured, tupleCounts } from "./probe.ts"
import type { PgConnection } from "@effect/sql-pg"
import type { Server } from "./server.ts"

export interface CycleResult {
  readonly layout: string
  readonly batchSize: number
  readonly connections: number
  readonly tasks: number
  readonly cyclesPerSecond: number
  readonly serverCpuSecondsPer1000: number
  readonly clientCpuSecondsPer1000: number
  readonly walBytesPerTask: number
  readonly hotShare: number
  readonly deadTuplesPerTask: number
}

/** How far behind now a claim of the cycle looks: the low mark. Tasks of a run are due when they are scheduled. */
const lowMarkLagMs = 30_000

export const cycle = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  options: {
    readonly batchSize: number
    readonly connections: number
    readonly tasks: number
    readonly parameters?: Readonly<Record<string, string>>
  }
) {
  const drivers = yield* Effect.forEach(Array.from({ length: options.connections }, (_, index) => index + 1), (session) =>
    Effect.map(server.connect({ search_path: layout.schema, ...options.parameters }), (connection) =>
      Driver.make(connection, layout, session)
    )
  )
  const share = Math.ceil(options.tasks / options.connections)
  let scheduled = 0
  let succeeded = 0
  const step = Effect.fnUntraced(function* (driver: Driver.Driver) {
    const nowMs = yield* Clock.currentTimeMillis
    const lowMs = nowMs - lowMarkLagMs
    const held = yield* driver.claim(Driver.makeLanes(options.batchSize, lowMs), lowMs, nowMs)
    const ended = yield* driver.succeed(yield* driver.start(held))
    succeeded += ended.length
    return held.length
  })
  const session = Effect.fnUntraced(function* (driver: Driver.Driver) {
    for (let done = 0; done < share; done += options.batchSize) {
      const nowMs = yield* Clock.currentTimeMillis
      yield* driver.schedule(Array.from({ length: options.batchSize }, () => Driver.makeTask(nowMs)))
      scheduled += options.batchSize
      yield* step(driver)
    }
    while ((yield* step(driver)) > 0) continue
  })
  const before = yield* tupleCounts(admin, layout.schema, layout.projections)
  const [, cost] = yield* measured(admin, server, Effect.forEach(drivers, session, { concurrency: "unbounded", discard: true }))
  yield* Effect.sleep("1200 millis")
  const after = yield* tupleCounts(admin, layout.schema, layout.projections)
  if (succeeded !== scheduled) {
    return yield* Effect.die(new Error(`${layout.name}: ${scheduled} scheduled, ${succeeded} succeeded`))
  }
  const updates = after.updates - before.updates
  const result: CycleResult = {
    layout: layout.name,
    batchSize: options.batchSize,
    connections: options.connections,
    tasks: scheduled,
    cyclesPerSecond: scheduled / cost.seconds,
    serverCpuSecondsPer1000: (cost.serverCpuSeconds / scheduled) * 1000,
    clientCpuSecondsPer1000: (cost.clientCpuSeconds / scheduled) * 1000,
    walBytesPerTask: cost.walBytes / scheduled,
    hotShare: updates === 0 ? 1 : (after.hotUpdates - before.hotUpdates) / updates,
    deadTuplesPerTask: (after.dead - before.dead) / scheduled
  }
  return result
})
