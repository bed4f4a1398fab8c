/**
 * All processes of the cluster:
 *
 *   this one ─schedule─▶ PostgreSQL ◀─claim─ engine 1, engine 2 ─hints─▶ Kafka ─▶ email, payments, reports worker
 *                            ▲                                                          │
 *                            '──────────────────── start, outcome ──────────────────────'
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { startChild } from "../demo/child.ts"
import type { RunFolder } from "../demo/runFolder.ts"
import * as RestartableKafka from "../../src/embedded/RestartableKafka.ts"
import { Member } from "./Member.ts"

/** Partitions of each topic; one worker per queue would do with one. */
const partitions = 4
const concurrency = 150
const topicsTimeoutMs = 60_000
const fedTimeoutMs = 20_000
const lookIntervalMs = 200
const queues = ["email", "payments", "reports"] as const

export type Cluster = {
  readonly kafka: Effect.Success<ReturnType<typeof RestartableKafka.make>>
  readonly engines: readonly [Member, Member]
  readonly workers: Readonly<Record<(typeof queues)[number], Member>>
  readonly members: ReadonlyArray<Member>
}

/** Started in the order in which each finds what it needs; the scope stops all, workers and engines in order. */
export const startCluster = Effect.fnUntraced(function* (
  folder: RunFolder,
  onPhase: (phase: "starting the services") => void
) {
  const { url } = yield* EmbeddedPostgres
  const kafka = yield* RestartableKafka.make({ dataDirectory: folder.kafka })
  onPhase("starting the services")
  const smtpPort = yield* startChild("smtpSink.ts", [folder.emails])
  const paymentsPort = yield* startChild("paymentsApi.ts", [folder.charges, String(folder.plan.seed)])
  const env = {
    DUETIME_DATABASE_URL: url,
    // 5 processes with 12 connections each, and this one.
    DUETIME_DATABASE_CONNECTIONS: "5",
    DUETIME_KAFKA_BROKERS: kafka.brokers,
    DUETIME_KAFKA_PARTITIONS: String(partitions),
    // What is started again starts a third sooner.
    NODE_COMPILE_CACHE: folder.compileCache,
    SMTP_PORT: String(smtpPort),
    PAYMENTS_URL: `http://127.0.0.1:${paymentsPort}`
  }
  yield* duetime(["topics", "ensure", ...queues.flatMap((queue) => ["--queue", queue])], env)

  const engine = (number: number) => new Member({ name: `engine ${number}`, args: ["engine"], env, log: folder.log })
  const worker = (queue: string) => {
    const tasks = path.join(import.meta.dirname, `${queue}Tasks.ts`)
    const args = ["worker", "--tasks", tasks, "--concurrency", String(concurrency)]
    return new Member({ name: `${queue} worker`, args, env, log: folder.log })
  }
  const engines = [engine(1), engine(2)] as const
  const workers = { email: worker("email"), payments: worker("payments"), reports: worker("reports") }
  const members = [...engines, ...Object.values(workers)]
  yield* Effect.addFinalizer(() =>
    Effect.forEach(members, (member) => member.stop, { concurrency: "unbounded", discard: true })
  )
  yield* Effect.forEach(members, (member) => member.start, { concurrency: "unbounded", discard: true })
  yield* fed(members)
  return { kafka, engines, workers, members } satisfies Cluster
})

/** Waits until Kafka has given every worker its part, so that the run does not begin with pulling; a while, and no longer. */
const fed = (members: ReadonlyArray<Member>) =>
  Effect.gen(function* () {
    while (!members.every(({ isFed }) => isFed)) {
      yield* Effect.sleep(lookIntervalMs)
      yield* Effect.forEach(members, (member) => member.look, { concurrency: "unbounded", discard: true })
    }
  }).pipe(Effect.timeoutOption(fedTimeoutMs), Effect.asVoid)

/** One command of the command line, to its end. */
const duetime = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Effect.callback<void, Error>((resume) => {
    const program = path.join(import.meta.dirname, "../../src/cli/main.ts")
    const options = { env: { ...process.env, ...env }, timeout: topicsTimeoutMs }
    const child = execFile(process.execPath, [program, ...args], options, (error, _stdout, stderr) =>
      resume(error === null ? Effect.void : Effect.fail(new Error(`duetime ${args.join(" ")}: ${stderr}`)))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })
