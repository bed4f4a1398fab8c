/**
 * `npm run bench -- <scenario> [flags]`: what there is to measure, and with which flags, stands in flags.ts. The layout decision has a
 * program of its own (bench/layout). A peer that is not installed, or no redis-server, ends the command with 2 and the way out.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Logger } from "effect"
import { writeFileSync } from "node:fs"
import { loadavg } from "node:os"
import { backlog } from "./backlog.ts"
import { claim } from "./claim.ts"
import { commands } from "./commands.ts"
import { drift } from "./drift.ts"
import { firstTask } from "./firstTask.ts"
import { type Flags, readFlags, usage } from "./flags.ts"
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

const flags = readFlagsOrExit()
const number = flags.number

function readFlagsOrExit(): Flags {
  try {
    const read = readFlags(process.argv.slice(2))
    if (!read.help) return read
    process.stdout.write(`${usage}\n`)
    return process.exit(0)
  } catch (error) {
    process.stderr.write(
      `bench: ${error instanceof Error ? error.message : String(error)} See npm run bench -- --help\n`
    )
    return process.exit(2)
  }
}

type Outcome = {
  readonly settings: Readonly<Record<string, unknown>>
  readonly figures: Readonly<Record<string, unknown>>
  readonly floors: ReadonlyArray<Floor>
}

const seed = number("seed") ?? 1
const random = seeded(seed)
const seconds = (secondsDefault: number) => number("seconds") ?? secondsDefault
const rate = (rateDefault: number) => number("rate") ?? rateDefault
const concurrency = number("concurrency") ?? 500
const rounds = number("rounds") ?? 3
const tasks = (tasksDefault: number) => number("tasks") ?? tasksDefault

const scenarios: Readonly<Record<string, () => Effect.Effect<Outcome, unknown>>> = {
  drift: () =>
    drift({
      ratePerSecond: rate(200),
      seconds: seconds(60),
      dueNowSeconds: Math.max(5, seconds(60) / 3),
      random
    }),
  throughput: () => throughput({ tasks: tasks(50_000), concurrency }),
  transactional: () =>
    transactional({
      tasks: tasks(10_000),
      rounds,
      concurrency,
      ratePerSecond: rate(200),
      seconds: seconds(20),
      random
    }),
  scale: () => scale({ engines: [1, 2, 4], tasks: tasks(20_000), rounds, random }),
  wide: () =>
    wide({
      workers: number("workers") ?? 100,
      processes: number("processes") ?? 10,
      ratePerSecond: rate(20),
      seconds: seconds(60),
      random
    }),
  soak: () => soak({ ratePerSecond: rate(200), seconds: seconds(600), random }),
  recover: () => recover({ kills: 6, ratePerSecond: rate(200), random }),
  schedule: () =>
    schedule({
      tasks: tasks(30_000),
      rounds,
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
  commands: () => commands({ tasks: tasks(1_000_000), rounds }),
  "first-task": () => firstTask({ rounds }),
  claim: () => claim({ futureTasks: [10_000, 100_000, 1_000_000] }),
  "kafka-drift": () =>
    kafkaDrift({
      ratePerSecond: rate(200),
      seconds: seconds(60),
      restartSeconds: Math.max(9, seconds(60) / 2),
      random
    }),
  "kafka-throughput": () => kafkaThroughput({ tasks: tasks(50_000), concurrency, rounds }),
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
      outageSeconds: number("outage-seconds") ?? 60,
      outageRatePerSecond: 200,
      random
    })
}

const beside = (run: PeersRun) => () =>
  besidePeers(run, {
    rounds,
    tasks: tasks(run.scenario === "throughput" ? 50_000 : 20_000),
    slowTasks: number("slow-tasks") ?? 5_000,
    ratePerSecond: rate(200),
    seconds: seconds(20),
    limitSeconds: number("limit-seconds") ?? 20,
    drainedPerSecond: number("drained-per-second") ?? null,
    random
  })

const name = flags.scenario
const peersRun = peersRunOf(name, flags.peers, flags.modes)
const scenario = peersRun === undefined ? scenarios[name] : typeof peersRun === "string" ? undefined : beside(peersRun)
/** What another rate or ten times the tasks have shown does not replace what the usual run has. */
const reportName = [
  ...(flags.peers === undefined ? [] : ["peers"]),
  name,
  ...(flags.deep ? ["deep"] : []),
  ...(number("rate") === undefined ? [] : [number("rate")])
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
    settings: { ...outcome.settings, seed, loadBefore, postgres: postgresSettings }
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
