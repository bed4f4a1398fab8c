import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, type Scope } from "effect"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { claimsIn, claimsSince, cpuMsOfFamily, residentMiB } from "../server.ts"
import * as HandleModule from "./handle.ts"
import type { ContestantFailed, Handle } from "./handle.ts"
import { type Contestant, isSlow, peers } from "./peers.ts"
import * as Redis from "./redis.ts"

/** One run of one contestant: a database (and a Redis) of its own on the server that all share, and its processes. */
export type Cell = {
  readonly contestant: Contestant
  readonly worker: Handle
  /** A second process that only schedules, beside the worker as an application would stand. */
  readonly producer: Effect.Effect<Handle, ContestantFailed, Scope.Scope>
  /** What its processes and its server have used so far; take two and subtract. */
  readonly cost: Effect.Effect<Cost, unknown>
  /** Of all that it has scheduled, warm-up included: what is divided among them afterwards. */
  readonly counted: (tasks: number) => void
  /** Runs the kind that nobody measures, and stops serving it. */
  readonly warmUp: (tasks: number) => Effect.Effect<void, ContestantFailed>
}

export type Cost = { readonly processCpuMs: number; readonly serverCpuMs: number; readonly walBytes: number }

/** What is known only when its processes are gone, of the whole life of the cell. */
export type Remains = {
  readonly residentMiB: number
  /** Null on Redis. */
  readonly commitsPerTask: number | null
  readonly deadTuplesPerTask: number | null
  /** Of duetime alone; null for all others. */
  readonly buffersPerClaim: number | null
}

/** Modes that do a task every two seconds would warm up for ever. */
const warmUpMsMax = 10_000

/** @param fastTasks for all but slow modes */
export const warmUpTasks = (contestant: Contestant, fastTasks = 4_000): number => (isSlow(contestant) ? 500 : fastTasks)

let databaseNumber = 0

/** Fails with what went wrong in the body or in a process; the servers and the database are gone afterwards all the same. */
export const inCell = <A, E>(contestant: Contestant, body: (cell: Cell) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const { peer, mode } = contestant
    const sql = yield* PgClient.PgClient
    const { processId: postgresProcessId, url } = yield* EmbeddedPostgres
    const database = yield* Effect.acquireRelease(createDatabase(sql), (name) =>
      Effect.ignore(sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`))
    )
    // So that nobody writes the pages that the one before has changed.
    yield* sql`CHECKPOINT`
    const redis = peers[peer].needsRedis ? yield* Redis.make : null
    const postgresUrl = url.replace("/postgres?", `/${database}?`)
    const place = { mode, postgresUrl, redisPort: redis?.port ?? null }
    const serverProcessId = redis?.processId ?? postgresProcessId

    const opened = (role: "worker" | "producer") =>
      Effect.tap(HandleModule.start, ({ ask }) => ask({ ask: "open", peer, place: { ...place, role } }))

    let countedTasks = 0
    const whileOpen = Effect.gen(function* () {
      const processIds: Array<number> = []
      const worker = yield* opened("worker")
      processIds.push(worker.processId)
      const cell: Cell = {
        contestant,
        worker,
        producer: Effect.map(opened("producer"), (producer) => {
          processIds.push(producer.processId)
          return producer
        }),
        cost: Effect.map(
          sql<{ readonly wal: number }>`SELECT
            pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal`,
          ([row]) => ({
            processCpuMs: processIds.reduce((sum, id) => sum + cpuMsOfFamily(id), 0),
            serverCpuMs: cpuMsOfFamily(serverProcessId),
            walBytes: row?.wal ?? 0
          })
        ),
        counted: (tasks) => (countedTasks += tasks),
        warmUp: (tasks) =>
          Effect.gen(function* () {
            countedTasks += tasks
            yield* worker.ask({
              ask: "schedule",
              kind: "warm-up",
              tasks: Array.from({ length: tasks }, (_, n) => ({ n, dueAtMs: null, rank: null }))
            })
            yield* worker.ask({ ask: "serve", kind: "warm-up" })
            yield* worker.ask({ ask: "settle", kind: "warm-up", wanted: tasks, limitMs: warmUpMsMax })
            yield* worker.ask({ ask: "stop", kind: "warm-up" })
          })
      }
      const value = yield* body(cell)
      return { value, residentMiB: residentMiB(worker.processId) }
    })

    const { residentMiB: workerMiB, value } = yield* Effect.scoped(whileOpen)
    const remains: Remains = {
      residentMiB: workerMiB,
      ...(yield* statisticsOf(postgresUrl, redis === null, countedTasks)),
      buffersPerClaim: claimsSince({ statements: 0, buffers: 0 }, yield* claimsIn(database), countedTasks)
        .buffersPerClaim
    }
    return { value, remains }
  }).pipe(Effect.scoped)

const createDatabase = (sql: PgClient.PgClient) =>
  Effect.suspend(() => {
    const name = `bench_${++databaseNumber}`
    return Effect.as(sql.unsafe(`CREATE DATABASE ${name}`), name)
  })

/** Backends tell the statistics what they did when they end, so these are whole once the processes are gone. */
const statisticsOf = (postgresUrl: string, isPostgres: boolean, tasks: number) =>
  isPostgres
    ? PgClient.PgClient.use((sql) =>
        Effect.map(
          sql<{ readonly commits: number; readonly dead: number }>`SELECT
            (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()) AS commits,
            (SELECT coalesce(sum(n_dead_tup), 0)::float8 FROM pg_stat_user_tables) AS dead`,
          ([row]) => ({ commitsPerTask: (row?.commits ?? 0) / tasks, deadTuplesPerTask: (row?.dead ?? 0) / tasks })
        )
      ).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(postgresUrl), maxConnections: 1 })))
    : Effect.succeed({ commitsPerTask: null, deadTuplesPerTask: null })

export const costSince = (before: Cost, after: Cost, tasks: number, isPostgres: boolean) => {
  const process = (after.processCpuMs - before.processCpuMs) / tasks
  const server = (after.serverCpuMs - before.serverCpuMs) / tasks
  return {
    cpuSecondsPer1000Tasks: { process, server, all: process + server },
    walBytesPerTask: isPostgres ? (after.walBytes - before.walBytes) / tasks : null
  }
}
