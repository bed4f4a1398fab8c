/**
 * WAL of far tasks, full-page images included: scheduled in random due order over 30 days, one in ten rescheduled to another
 * day, then worked off in due order days later, one in ten retried on another day. A checkpoint stands before each phase.
 * "Fifteen minutes" is the share of a day's tasks that falls between two checkpoints, so its images are those of a steady
 * state, in which hardly two tasks share a heap page that the same checkpoint has seen. The WAL is the session's own, so
 * autovacuum, which is still busy with the load, does not count.
 */
import { Effect } from "effect"
import type { PgConnection } from "@effect/sql-pg"
import * as Driver from "./driver.ts"
import { dayMs, type Layout, partitionName } from "./layout.ts"
import { horizonDays } from "./load.ts"
import { measured, number, run, sessionWal } from "./probe.ts"
import { pinnedSettings } from "./cycle.ts"
import type { Server } from "./server.ts"

export interface Phase {
  readonly layout: string
  readonly phase: string
  readonly tasks: number
  readonly walBytesPerTask: number
  readonly fullPageImagesPerTask: number
  readonly serverCpuMicrosPerTask: number
}

const quarterHourMs = 900_000
const batchSize = 500

export const farTasks = Effect.fnUntraced(function* (
  server: Server,
  admin: PgConnection.PgConnection,
  layout: Layout,
  todayMs: number,
  tasks: number
) {
  const connection = yield* server.connect({ search_path: layout.schema, ...pinnedSettings })
  const driver = Driver.make(connection, layout, 1)
  const phases: Array<Phase> = []
  const phase = Effect.fnUntraced(function* <E, R>(name: string, work: Effect.Effect<number, E, R>) {
    yield* run(admin, "CHECKPOINT")
    const before = yield* sessionWal(connection)
    const [count, cost] = yield* measured(admin, server, work)
    const after = yield* sessionWal(connection)
    phases.push({
      layout: layout.name,
      phase: name,
      tasks: count,
      walBytesPerTask: (after.bytes - before.bytes) / count,
      fullPageImagesPerTask: (after.images - before.images) / count,
      serverCpuMicrosPerTask: (cost.serverCpuSeconds / count) * 1e6
    })
  })

  const scheduled: Array<Driver.Task> = []
  yield* phase(
    "schedule, due at random over 30 days",
    Effect.gen(function* () {
      while (scheduled.length < tasks) {
        const batch = Array.from({ length: batchSize }, () =>
          Driver.makeTask(todayMs + dayMs + Math.random() * horizonDays * dayMs)
        )
        yield* driver.schedule(batch)
        scheduled.push(...batch)
      }
      return scheduled.length
    })
  )
  yield* phase(
    "reschedule to another day",
    Effect.gen(function* () {
      const moved = scheduled
        .slice(0, Math.ceil(tasks / 10))
        .map((task) => ({ ...task, newDueMs: otherDay(task.dueMs, todayMs) }))
      const answers = yield* Effect.forEach(chunks(moved, batchSize), driver.reschedule)
      return answers.flat().length
    })
  )

  /** Works a window off: starts everything, retries a tenth at `retryMs`, ends the rest. */
  const workOff = Effect.fnUntraced(function* (fromMs: number, toMs: number, retryMs: number | undefined) {
    const { total } = yield* driver.sweep(
      fromMs,
      toMs,
      batchSize / 20,
      Effect.fnUntraced(function* (held) {
        const started = yield* driver.start(held)
        const cut = retryMs === undefined ? 0 : Math.ceil(started.length / 10)
        yield* driver.retry(
          started
            .slice(0, cut)
            .map((task) => ({ ...task, retryMs: (retryMs ?? 0) + Math.floor(Math.random() * quarterHourMs) }))
        )
        yield* driver.succeed(started.slice(cut))
      })
    )
    return total
  })
  const noon = (day: number) => todayMs + day * dayMs + dayMs / 2
  yield* phase(
    "claim, start, end; 15 minutes of a day, a tenth retried",
    workOff(noon(3), noon(3) + quarterHourMs, noon(5))
  )
  yield* phase("the same; six hours of a day", workOff(noon(4), noon(4) + 24 * quarterHourMs, noon(6)))
  yield* phase("the same; 15 minutes into which the retried fall", workOff(noon(5), noon(5) + quarterHourMs, undefined))

  const [table, index] = layout.projections[0] === "due" ? ["due", "pkey"] : ["task", "pkey"]
  const day = partitionName(table, todayMs + 7 * dayMs)
  yield* phase(
    `cluster the day's ${table} partition (per row of the day)`,
    Effect.gen(function* () {
      yield* run(connection, `CLUSTER ${day} USING ${day}_${index}`)
      return yield* number(connection, `SELECT count(*)::text FROM ${day}`)
    })
  )
  yield* phase(
    "claim, start, end; 15 minutes of the clustered day",
    workOff(noon(7), noon(7) + quarterHourMs, undefined)
  )
  return phases
})

const otherDay = (dueMs: number, todayMs: number): number => {
  const offset =
    (dueMs - todayMs - dayMs + (1 + Math.floor(Math.random() * (horizonDays - 2))) * dayMs) % (horizonDays * dayMs)
  return Math.floor(todayMs + dayMs + offset)
}

const chunks = <A>(rows: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, index) => rows.slice(index * size, (index + 1) * size))
