/**
 * The benchmark harness: `npm run bench -- <scenario> [--json] [--seed N] [--seconds N] [--tasks N] [--rate N]`.
 * Scenarios: drift, throughput, claim, engines; the layout decision has a program of its own (bench/layout). Reports go to stdout, progress to stderr; the exit
 * code is 0 only if every floor of the scenario holds.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { claim } from "./claim.ts"
import { drift } from "./drift.ts"
import { engines } from "./engines.ts"
import { seeded } from "./random.ts"
import { commit, type Floor, machine, type Report, text } from "./report.ts"
import { postgresSettings } from "./server.ts"
import { throughput } from "./throughput.ts"

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    save: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    seconds: { type: "string", default: "60" },
    rate: { type: "string", default: "200" },
    tasks: { type: "string" },
    concurrency: { type: "string", default: "500" }
  }
})

type Outcome = {
  readonly settings: Readonly<Record<string, unknown>>
  readonly figures: Readonly<Record<string, unknown>>
  readonly floors: ReadonlyArray<Floor>
}

const scenarios: Readonly<Record<string, () => Effect.Effect<Outcome, unknown>>> = {
  drift: () =>
    drift({
      ratePerSecond: Number(flags.rate),
      seconds: Number(flags.seconds),
      dueNowSeconds: Math.max(5, Number(flags.seconds) / 3),
      random: seeded(Number(flags.seed))
    }),
  throughput: () => throughput({ tasks: Number(flags.tasks ?? 50_000), concurrency: Number(flags.concurrency) }),
  engines: () => engines({ engines: [2, 4], tasks: Number(flags.tasks ?? 20_000) }),
  claim: () => claim({ futureTasks: [10_000, 100_000, 1_000_000] })
}

const name = positionals[0] ?? ""
const scenario = scenarios[name]

const program = Effect.gen(function* () {
  if (scenario === undefined) {
    process.stderr.write(`bench: "${name}" is no scenario; choose one of ${Object.keys(scenarios).join(", ")}\n`)
    process.exitCode = 2
    return
  }
  const at = new Date().toISOString()
  const outcome = yield* scenario()
  const report: Report = {
    scenario: name,
    at,
    commit: commit(),
    machine: machine(),
    ...outcome,
    settings: { ...outcome.settings, seed: Number(flags.seed), postgres: postgresSettings }
  }
  process.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : `${text(report)}\n`)
  if (flags.save)
    writeFileSync(new URL(`./results/${name}.json`, import.meta.url), `${JSON.stringify(report, null, 2)}\n`)
  process.exitCode = report.floors.every((floor) => floor.holds) ? 0 : 1
})

NodeRuntime.runMain(program)
