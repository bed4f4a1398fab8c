/**
 * The benchmark harness: `npm run bench -- <scenario> [--json] [--save] [--seed N] [--seconds N] [--tasks N] [--rate N]
 * [--concurrency N] [--rounds N] [--outage-seconds N]`. Reports go to stdout, progress to stderr; the exit code is 0 only if every floor of
 * the scenario holds.
 *
 * `first-task`: the seconds from an empty folder to the first task, with npm, the tarball and the README.
 *
 * In one process: drift, throughput, transactional, claim, commands (the command line on 10^6 tasks), schedule, backlog (`--deep`: up to 10^7 waiting tasks), pressure and soak
 * (`--seconds 600`, hours as well). With processes of their own on one database: scale (1, 2 and 4 engines), wide (`--workers 100
 * --processes 10 --rate 20`, the rate of each worker; minutes until all have started), recover, recurrences (1,000 and 100,000
 * of them), held (`--seconds 60` that a transaction stays open after the due time), idle and retention (`--tasks 1000000` of a day that
 * is dropped beside `--rate 500` for `--seconds 60`). With engines, workers and a real
 * Kafka in processes of their own (bench/kafka): kafka-drift, kafka-throughput, priority, stopped-service, kafka-faults;
 * `DUETIME_BENCH_PROFILE=<folder>` leaves a CPU profile of each engine and worker of these there. The layout decision has a program of its
 * own (bench/layout).
 *
 * Beside others, each in processes of its own (bench/peers): `throughput`, `drift` or `spike` with `--peers
 * pg-boss,graphile-worker,bullmq,effect-queue`, after `npm run bench:install`; `spike` runs without peers as well. The report is then
 * called `peers-throughput` and so on. More flags there: `--modes fast,batch-100,default` (all unless said), `--slow-tasks N` for modes
 * that do well below 4,000 tasks/s, `--limit-seconds N` of one drain, `--drained-per-second N` to compare a spike with.
 * A peer that is not installed, or no redis-server, ends the command with 2 and the way out.
 *
 * `--save` keeps the report in bench/results (as `drift-1000` with `--rate 1000`, as `idle-deep` with `--deep`) and writes
 * docs/benchmarks.md and its plots anew from all of them; `docs` does only the latter. Both need what `npm run bench:install` brings.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Logger } from "effect"
import { writeFileSync } from "node:fs"
import { loadavg } from "node:os"
import { parseArgs } from "node:util"
import { backlog } from "./backlog.ts"
import { claim } from "./claim.ts"
import { commands } from "./commands.ts"
import { drift } from "./drift.ts"
import { firstTask } from "./firstTask.ts"
import { held } from "./held.ts"
import { idle } from "./idle.ts"
import { kafkaDrift } from "./kafka/drift.ts"
import { kafkaFaults } from "./kafka/faults.ts"
import { priority } from "./kafka/priority.ts"
import { stoppedService } from "./kafka/stoppedService.ts"
import { kafkaThroughput } from "./kafka/throughput.ts"
import { pressure } from "./pressure.ts"
import { besidePeers, type PeersRun, peersRunOf } from "./peers/besidePeers.ts"
import { documentObstacle, writeDocument } from "./peers/document.ts"
import { seeded } from "./random.ts"
import { recurrences } from "./recurrences.ts"
import { recover } from "./recover.ts"
import { commit, type Floor, machine, type Report, text } from "./report.ts"
import { retention } from "./retention.ts"
import { scale } from "./scale.ts"
import { schedule } from "./schedule.ts"
import { postgresSettings } from "./server.ts"
import { soak } from "./soak.ts"
import { throughput } from "./throughput.ts"
import { transactional } from "./transactional.ts"
import { wide } from "./wide.ts"

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    save: { type: "boolean", default: false },
    deep: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    seconds: { type: "string" },
    rate: { type: "string" },
    tasks: { type: "string" },
    "outage-seconds": { type: "string", default: "60" },
    concurrency: { type: "string", default: "500" },
    rounds: { type: "string", default: "3" },
    workers: { type: "string", default: "100" },
    processes: { type: "string", default: "10" },
    peers: { type: "string" },
    modes: { type: "string", default: "fast,batch-100,default" },
    "slow-tasks": { type: "string", default: "5000" },
    "limit-seconds": { type: "string", default: "20" },
    "drained-per-second": { type: "string" }
  }
})

type Outcome = {
  readonly settings: Readonly<Record<string, unknown>>
  readonly figures: Readonly<Record<string, unknown>>
  readonly floors: ReadonlyArray<Floor>
}

const random = seeded(Number(flags.seed))
const seconds = (secondsDefault: number) => Number(flags.seconds ?? secondsDefault)
const rate = (rateDefault: number) => Number(flags.rate ?? rateDefault)
const tasks = (tasksDefault: number) => Number(flags.tasks ?? tasksDefault)

const scenarios: Readonly<Record<string, () => Effect.Effect<Outcome, unknown>>> = {
  drift: () =>
    drift({
      ratePerSecond: rate(200),
      seconds: seconds(60),
      dueNowSeconds: Math.max(5, seconds(60) / 3),
      random
    }),
  throughput: () => throughput({ tasks: tasks(50_000), concurrency: Number(flags.concurrency) }),
  transactional: () =>
    transactional({
      tasks: tasks(10_000),
      rounds: Number(flags.rounds),
      concurrency: Number(flags.concurrency),
      ratePerSecond: rate(200),
      seconds: seconds(20),
      random
    }),
  scale: () => scale({ engines: [1, 2, 4], tasks: tasks(20_000), rounds: Number(flags.rounds), random }),
  wide: () =>
    wide({
      workers: Number(flags.workers),
      processes: Number(flags.processes),
      ratePerSecond: rate(20),
      seconds: seconds(60),
      random
    }),
  soak: () => soak({ ratePerSecond: rate(200), seconds: seconds(600), random }),
  recover: () => recover({ kills: 6, ratePerSecond: rate(200), random }),
  schedule: () =>
    schedule({
      tasks: tasks(30_000),
      rounds: Number(flags.rounds),
      ratePerSecond: rate(1_000),
      seconds: seconds(20),
      dueNowSeconds: 15,
      random
    }),
  backlog: () =>
    backlog({
      sizes: [10_000, 100_000, 1_000_000, ...(flags.deep ? [10_000_000] : [])],
      ratePerSecond: rate(1_000),
      seconds: seconds(20),
      random
    }),
  held: () => held({ tasks: tasks(100), seconds: seconds(60) }),
  recurrences: () =>
    recurrences({ sizes: [1_000, 100_000], ratePerSecond: rate(100), seconds: seconds(30), burst: 20_000, random }),
  retention: () => retention({ tasks: tasks(1_000_000), ratePerSecond: rate(500), seconds: seconds(60), random }),
  idle: () => idle({ tasks: tasks(flags.deep ? 10_000_000 : 1_000_000), seconds: seconds(60) }),
  pressure: () => pressure({ ratePerSecond: rate(800), secondsPinned: seconds(60), random }),
  commands: () => commands({ tasks: tasks(1_000_000), rounds: Number(flags.rounds) }),
  "first-task": () => firstTask({ rounds: Number(flags.rounds) }),
  claim: () => claim({ futureTasks: [10_000, 100_000, 1_000_000] }),
  "kafka-drift": () =>
    kafkaDrift({
      ratePerSecond: rate(200),
      seconds: seconds(60),
      restartSeconds: Math.max(9, seconds(60) / 2),
      random
    }),
  "kafka-throughput": () =>
    kafkaThroughput({ tasks: tasks(50_000), concurrency: Number(flags.concurrency), rounds: Number(flags.rounds) }),
  priority: () =>
    priority({
      lowTasks: tasks(20_000),
      trickleSeconds: seconds(20),
      floodPerSecond: rate(2_000),
      floodSeconds: 15,
      random
    }),
  "stopped-service": () =>
    stoppedService({ tasks: tasks(50_000), seconds: seconds(60), startsPerSecondMax: rate(1_000), random }),
  "kafka-faults": () =>
    kafkaFaults({
      tasks: tasks(50_000),
      ratePerSecond: rate(500),
      kills: 3,
      outageSeconds: Number(flags["outage-seconds"]),
      outageRatePerSecond: 200,
      random
    })
}

const beside = (run: PeersRun) => () =>
  besidePeers(run, {
    rounds: Number(flags.rounds),
    tasks: tasks(run.scenario === "throughput" ? 50_000 : 20_000),
    slowTasks: Number(flags["slow-tasks"]),
    ratePerSecond: rate(200),
    seconds: seconds(20),
    limitSeconds: Number(flags["limit-seconds"]),
    drainedPerSecond: flags["drained-per-second"] === undefined ? null : Number(flags["drained-per-second"]),
    random
  })

const name = positionals[0] ?? ""
const peersRun = peersRunOf(name, flags.peers, flags.modes)
const scenario = peersRun === undefined ? scenarios[name] : typeof peersRun === "string" ? undefined : beside(peersRun)
/** What another rate or ten times the tasks have shown does not replace what the usual run has. */
const reportName = [
  ...(flags.peers === undefined ? [] : ["peers"]),
  name,
  ...(flags.deep ? ["deep"] : []),
  ...(flags.rate === undefined ? [] : [flags.rate])
].join("-")

const writePage = Effect.promise(writeDocument)

const program = Effect.gen(function* () {
  // Said before a scenario has run for an hour.
  const obstacle = name === "docs" || flags.save ? documentObstacle() : undefined
  if (obstacle !== undefined) {
    process.stderr.write(`bench: ${obstacle}\n`)
    process.exitCode = 2
    return
  }
  if (name === "docs") return yield* writePage
  if (scenario === undefined) {
    const known = [...Object.keys(scenarios), "spike", "docs"].join(", ")
    process.stderr.write(
      typeof peersRun === "string"
        ? `bench: ${peersRun}\n`
        : `bench: "${name}" is no scenario; choose one of ${known}\n`
    )
    process.exitCode = 2
    return
  }
  const at = new Date().toISOString()
  const [loadBefore] = loadavg()
  const outcome = yield* scenario()
  const report: Report = {
    scenario: reportName,
    at,
    commit: commit(),
    machine: machine(),
    ...outcome,
    settings: { ...outcome.settings, seed: Number(flags.seed), loadBefore, postgres: postgresSettings }
  }
  process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : `${text(report)}\n`)
  if (flags.save) {
    writeFileSync(new URL(`./results/${reportName}.json`, import.meta.url), `${JSON.stringify(report, null, 2)}\n`)
    yield* writePage
  }
  process.exitCode = report.floors.every((floor) => floor.holds) ? 0 : 1
})

// A report alone is on stdout, so that `--json` can be read by a program.
NodeRuntime.runMain(Effect.provideService(program, Logger.LogToStderr, true))
