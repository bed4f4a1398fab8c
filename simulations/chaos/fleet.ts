/** Engines and workers. Whoever ends by itself is told on, and replaced, so that the run shows what follows. */
import { Clock, Effect, Schedule } from "effect"
import * as path from "node:path"
import { leaseMs, type Role } from "./Action.ts"
import type { Revision } from "./kinds.ts"
import { Member } from "./Member.ts"

const enginesCount = 2
/** The last of them is of the revision before. */
const workersCount = 3
export const membersCount = enginesCount + workersCount
/** Attempts at the same time in each worker. Of three workers about one is there and awake while processes are killed, frozen and blocked. */
const concurrency = 150
/**
 * A handler's transaction holds a connection for as long as it works, a sixth of a second in the mean. With 10 of them a worker ends
 * 60 such tasks a second; the others wait for one in its slots, started, and it took 79 tasks a second of 170.
 */
const workerConnections = 60
const engineConnections = 10
const partitions = 6
/** Five at once take ten seconds on two idle cores. */
const startTimeoutMs = 120_000
const lookIntervalMs = 100
/** An engine repairs after a whole lease of quiet time, at its next tick. */
const settledMs = leaseMs + 1_000

export type Fleet = Effect.Success<ReturnType<typeof startFleet>>

export const startFleet = Effect.fnUntraced(function* (options: {
  /** How the n-th member reaches the stores. */
  readonly databaseUrl: (n: number) => string
  readonly brokers: (n: number) => string
  readonly outsideUrl: string
  readonly log: string
  readonly compileCache: string
}) {
  const clock = yield* Clock.Clock
  const env = (role: Role, n: number) => ({
    DUETIME_DATABASE_URL: options.databaseUrl(n),
    DUETIME_KAFKA_BROKERS: options.brokers(n),
    DUETIME_DATABASE_CONNECTIONS: String(role === "worker" ? workerConnections : engineConnections),
    DUETIME_LEASE: `${leaseMs} millis`,
    DUETIME_KAFKA_PARTITIONS: String(partitions),
    DUETIME_KAFKA_CREATE_TOPICS: "true",
    CHAOS_OUTSIDE_URL: options.outsideUrl,
    // What is started again starts a third sooner.
    NODE_COMPILE_CACHE: options.compileCache
  })
  const place = (role: Role, index: number, n: number, args: ReadonlyArray<string>) =>
    new Member({ name: `${role} ${index + 1}`, role, args, env: env(role, n), log: options.log }, clock)
  const engines = Array.from({ length: enginesCount }, (_, index) => place("engine", index, index, []))
  const workers = Array.from({ length: workersCount }, (_, index) => {
    const tasks = path.join(import.meta.dirname, index === workersCount - 1 ? "tasksBefore.ts" : "tasks.ts")
    const args = ["--tasks", tasks, "--concurrency", String(concurrency)]
    return place("worker", index, enginesCount + index, args)
  })
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
    /** Of a process of the fleet; undefined: it is none. */
    revisionOf: (processId: number): Revision | undefined => {
      const member = members.find(({ processIds }) => processIds.includes(processId))
      if (member === undefined) return undefined
      return member === workers.at(-1) ? "before" : "present"
    },
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
