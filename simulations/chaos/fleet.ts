/** Engines and workers. Whoever ends by itself is told on, and replaced, so that the run shows what follows. */
import { Clock, Effect, Schedule } from "effect"
import * as path from "node:path"
import { Member } from "./Member.ts"
import { leaseMs, type Role } from "./plan.ts"

const enginesCount = 2
const workersCount = 3
/** Attempts at the same time in each worker. */
const concurrency = 60
const partitions = 6
const startTimeoutMs = 60_000
const lookIntervalMs = 100
/** An engine repairs after a whole lease of quiet time, at its next tick. */
const settledMs = leaseMs + 1_000

export type Fleet = Effect.Success<ReturnType<typeof startFleet>>

export const startFleet = Effect.fnUntraced(function* (options: {
  readonly databaseUrl: string
  readonly brokers: string
  readonly outsideUrl: string
  readonly log: string
  readonly compileCache: string
}) {
  const clock = yield* Clock.Clock
  const env = {
    DUETIME_DATABASE_URL: options.databaseUrl,
    // Transactions of handlers hold one for as long as they work.
    DUETIME_DATABASE_CONNECTIONS: "10",
    DUETIME_LEASE: `${leaseMs} millis`,
    DUETIME_KAFKA_BROKERS: options.brokers,
    DUETIME_KAFKA_PARTITIONS: String(partitions),
    DUETIME_KAFKA_CREATE_TOPICS: "true",
    CHAOS_OUTSIDE_URL: options.outsideUrl,
    // What is started again starts a third sooner.
    NODE_COMPILE_CACHE: options.compileCache
  }
  const tasks = path.join(import.meta.dirname, "tasks.ts")
  const place = (role: Role, args: ReadonlyArray<string>) => (_: unknown, index: number) =>
    new Member({ name: `${role} ${index + 1}`, role, args, env, log: options.log }, clock)
  const engines = Array.from({ length: enginesCount }, place("engine", []))
  const workerArgs = ["--tasks", tasks, "--concurrency", String(concurrency)]
  const workers = Array.from({ length: workersCount }, place("worker", workerArgs))
  const members = [...engines, ...workers]

  const stop = Effect.forEach(members, (member) => member.stop, { concurrency: "unbounded", discard: true })
  yield* Effect.addFinalizer(() => stop)
  yield* Effect.forEach(members, (member) => member.start, { discard: true })
  yield* untilEver(() => members.every(({ upMs }) => upMs > 0)).pipe(
    Effect.timeoutOrElse({
      duration: startTimeoutMs,
      orElse: () => Effect.fail(new Error(`the fleet had not started after ${startTimeoutMs} ms; see ${options.log}`))
    })
  )
  yield* Effect.forEach(members, (member) => (member.isVacant ? member.start : Effect.void), { discard: true }).pipe(
    Effect.repeat(Schedule.spaced(lookIntervalMs)),
    Effect.forkScoped
  )

  return {
    members,
    stop,
    /** The first of them that has started and is not frozen, from the one that was drawn; waits for one. */
    up: (role: Role, drawn: number) => {
      const places = role === "engine" ? engines : workers
      const from = drawn % places.length
      const find = () => [...places.slice(from), ...places.slice(0, from)].find(({ upMs }) => upMs > 0)
      return Effect.gen(function* () {
        while (true) {
          const member = find()
          if (member !== undefined) return member
          yield* Effect.sleep(lookIntervalMs)
        }
      })
    },
    /** Until every engine could repair what another one leaves: from then on one of them may be taken. */
    settled: untilEver(() => engines.every(({ upMs }) => upMs >= settledMs))
  }
})

const untilEver = (isSo: () => boolean) =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep(lookIntervalMs)
  })
