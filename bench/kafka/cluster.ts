import type { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { Duetime } from "../../src/Duetime.ts"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import type { TaskStore } from "../../src/store/TaskStore.ts"
import { type Claims, claimsSince, cpuMsOfFamily, residentMiB, server, usage } from "../server.ts"
import * as KafkaServer from "./kafkaServer.ts"
import type { Role } from "./role.ts"

/**
 * PostgreSQL, Kafka, and engines and workers as processes of their own, all of them gone when the scope closes. The bench's
 * process only schedules and looks: it has no engine, no worker and no session.
 */
export class Cluster extends Context.Service<
  Cluster,
  {
    readonly kafka: KafkaServer.KafkaServer
    /** Ready when the fleet knows the process; stopped with the scope, if not before. */
    readonly start: (role: Role, dispatch?: "kafka" | "memory") => Effect.Effect<RoleProcess, Error, Scope.Scope>
    /** What all processes together have used so far; take two and subtract. */
    readonly cost: Effect.Effect<Cost, unknown>
    /** Processes that ended without being told to. */
    readonly crashes: () => number
  }
>()("duetime/bench/Cluster") {
  static readonly layer = Layer.effect(
    Cluster,
    Effect.suspend(() => make)
  ).pipe(
    Layer.provideMerge(Duetime.layer),
    Layer.provideMerge(PgTaskStore.layerStore({ migrate: true })),
    Layer.provideMerge(server)
  ) satisfies Layer.Layer<Cluster | Duetime | TaskStore | EmbeddedPostgres | PgClient.PgClient, unknown>
}

export type RoleProcess = {
  readonly processId: number
  /** SIGTERM, and gone. */
  readonly stop: Effect.Effect<void>
  /** SIGKILL, and gone. */
  readonly kill: Effect.Effect<void>
}

export type Cost = {
  readonly cpuMs: {
    readonly bench: number
    readonly engineAndWorkers: number
    readonly postgres: number
    readonly kafka: number
  }
  readonly walBytes: number
  readonly commits: number
  readonly claims: Claims
  /** Levels, not counts. */
  readonly deadTuples: number
  readonly engineAndWorkersMiB: number
}

export const costSince = (before: Cost, after: Cost, tasks: number) => {
  const part = (name: keyof Cost["cpuMs"]) => (after.cpuMs[name] - before.cpuMs[name]) / tasks
  const parts = {
    bench: part("bench"),
    engineAndWorkers: part("engineAndWorkers"),
    postgres: part("postgres"),
    kafka: part("kafka")
  }
  return {
    cpuSecondsPer1000Tasks: {
      ...parts,
      all: parts.bench + parts.engineAndWorkers + parts.postgres + parts.kafka
    },
    walBytesPerTask: (after.walBytes - before.walBytes) / tasks,
    commitsPerTask: (after.commits - before.commits) / tasks,
    ...claimsSince(before.claims, after.claims, tasks),
    deadTuples: after.deadTuples,
    residentMiB: after.engineAndWorkersMiB
  }
}

/** A drain takes up to 20 s and some more; after that a process is killed. */
const stopMsMax = 30_000
const readyMsMax = 30_000

const make = Effect.gen(function* () {
  const { url } = yield* EmbeddedPostgres
  const kafka = yield* KafkaServer.make
  const context = yield* Effect.context<EmbeddedPostgres | PgClient.PgClient>()
  const processIds = new Set<number>()
  let endedCpuMs = 0
  let crashes = 0

  const start = (role: Role, dispatch: "kafka" | "memory" = "kafka") =>
    Effect.gen(function* () {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawnRole(role, url, dispatch === "kafka" ? kafka.broker : undefined)),
        (child) => Effect.andThen(stop(child), kill(child))
      )
      const processId = child.pid ?? 0
      processIds.add(processId)
      child.once("exit", (code, signal) => {
        processIds.delete(processId)
        if (told.has(child)) return
        crashes++
        process.stderr.write(`bench: a process of the fleet ended by itself, with ${code ?? signal}\n`)
      })
      yield* ready(child)
      return { processId, stop: stop(child), kill: kill(child) }
    })

  const told = new Set<ChildProcess>()
  const signalled = (child: ChildProcess, signal: "SIGTERM" | "SIGKILL") =>
    Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      endedCpuMs += told.has(child) ? 0 : cpuMsOfFamily(child.pid ?? 0)
      told.add(child)
      child.once("exit", () => resume(Effect.void))
      child.kill(signal)
    })
  const stop = (child: ChildProcess) =>
    signalled(child, "SIGTERM").pipe(Effect.interruptible, Effect.timeoutOption(stopMsMax), Effect.asVoid)
  const kill = (child: ChildProcess) => signalled(child, "SIGKILL")

  return Cluster.of({
    kafka,
    start,
    cost: Effect.map(Effect.provide(usage, context), ({ serverCpuMs, workerCpuMs, ...rest }) => ({
      ...rest,
      cpuMs: {
        bench: workerCpuMs,
        engineAndWorkers: [...processIds].reduce((sum, id) => sum + cpuMsOfFamily(id), endedCpuMs),
        postgres: serverCpuMs,
        kafka: cpuMsOfFamily(kafka.processId())
      },
      engineAndWorkersMiB: [...processIds].reduce((sum, id) => sum + residentMiB(id), 0)
    })),
    crashes: () => crashes
  })
})

/**
 * V8 doubles its young generation whenever more survives in it, up to a limit taken from the machine's memory. Above this
 * limit the growth of a process would be that of V8's own buffers and not of what the process keeps (docs/guide/deploying.md).
 */
const semiSpaceMiB = 16

const spawnRole = (role: Role, url: string, broker: string | undefined): ChildProcess => {
  const { DUETIME_BENCH_PROFILE: folder, DUETIME_KAFKA_BROKERS: _, ...env } = process.env
  return spawn(
    process.execPath,
    [
      `--max-semi-space-size=${semiSpaceMiB}`,
      ...(folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${folder}`]),
      new URL("./roleProcess.ts", import.meta.url).pathname,
      JSON.stringify(role)
    ],
    {
      env: {
        ...env,
        DUETIME_DATABASE_URL: url,
        ...(broker === undefined ? {} : { DUETIME_KAFKA_BROKERS: broker, DUETIME_KAFKA_CREATE_TOPICS: "true" })
      },
      stdio: ["pipe", "pipe", "inherit"]
    }
  )
}

const ready = (child: ChildProcess): Effect.Effect<void, Error> =>
  Effect.callback<void, Error>((resume) => {
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line === "ready") resume(Effect.void)
        // Standard output is the report's.
        else process.stderr.write(`${line}\n`)
      })
    }
    child.once("exit", (code) => resume(Effect.fail(new Error(`a process of the fleet exited with ${code}`))))
  }).pipe(
    Effect.timeoutOrElse({
      duration: readyMsMax,
      orElse: () => Effect.fail(new Error(`a process of the fleet was not ready after ${readyMsMax} ms`))
    })
  )
