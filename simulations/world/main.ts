/** `npm run simulate -- --runs N --seed S [--json]`: what it does stands in simulations/README.md. */
import { Clock, Effect } from "effect"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { failureText, commandOf, tallyText } from "./report.ts"
import { type Failure, shrink, simulateOne, Tally } from "./simulate.ts"

const usage = `duetime simulate: the real engine, worker and client in a simulated world with every fault, from a seed

  npm run simulate -- [flags]

  --runs N      histories, 1 to 10000000 (200)
  --seed N      of the first history; the next ones follow it (1)
  --path P      the shrunk history that a failure names; only with --runs 1
  --json        one JSON document on stdout, everything else on stderr
  --help        this

Seeds that have ever failed (simulations/world/seeds.json) run first. It stops at the first failure, shrinks it and exits with 1.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        runs: { type: "string", default: "200" },
        seed: { type: "string", default: "1" },
        path: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const runs = numberOf("runs", values.runs, 1, 10_000_000)
    if (values.path !== undefined && runs !== 1) throw new Error("--path is of one history: give --runs 1.")
    return { ...values, runs, seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1) }
  },
  catch: usageInvalid("simulate")
})

const seedsFile = fileURLToPath(new URL("./seeds.json", import.meta.url))
const readSeeds = (): ReadonlyArray<number> => {
  const { seeds }: { seeds: ReadonlyArray<number> } = JSON.parse(fs.readFileSync(seedsFile, "utf8"))
  return seeds
}
const keepSeed = (seed: number) => {
  const seeds = new Set([...readSeeds(), seed])
  fs.writeFileSync(seedsFile, `{ "seeds": [${[...seeds].join(", ")}] }\n`)
}

const program = Effect.gen(function* () {
  const { help, json, path, runs, seed: firstSeed } = yield* readOptions
  if (help) return void process.stdout.write(`${usage}\n`)
  const clock = yield* Clock.Clock
  const tell = yield* makeTell("simulate")
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const secondsSoFar = () => Math.max(0.001, (clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000)
  const kept = runs === 1 ? [] : readSeeds()
  const tally = new Tally()
  let failure: Failure | null = null
  let toldAtS = 0
  for (let index = 0; index < kept.length + runs && failure === null; index++) {
    const seed = kept[index] ?? firstSeed + index - kept.length
    failure = simulateOne(seed, { tally, path })
    if (secondsSoFar() - toldAtS < tellEveryS) continue
    toldAtS = secondsSoFar()
    const rate = (tally.historiesCount / toldAtS).toFixed(1)
    tell(
      `${tally.historiesCount}/${kept.length + runs} histories, ${rate} a second, ${tally.firedTags().size} kinds of faults`
    )
    // Lets an interruption come through.
    yield* Effect.yieldNow
  }
  if (failure !== null) {
    tell(`seed ${failure.seed} fails`)
    if (path === undefined) {
      keepSeed(failure.seed)
      failure = shrink(failure)
    }
  }
  const seconds = secondsSoFar()
  const voidReason = failure === null && runs > 1 ? tally.voidReason() : null
  const out = json ? process.stderr : process.stdout
  out.write(tallyText(tally, seconds))
  if (failure !== null) out.write(failureText(failure))
  else out.write(voidReason === null ? "All of it holds.\n" : `The run is void: ${voidReason}.\n`)
  if (json) {
    const { distinctCount, historiesCount, succeededCount, tasksCount } = tally
    const fired = Object.fromEntries(tally.fired)
    const events = Object.fromEntries(tally.events)
    const found = failure && { ...failure, outcome: undefined, command: commandOf(failure) }
    const figures = { historiesCount, distinctCount, tasksCount, succeededCount, seconds, fired, events }
    process.stdout.write(`${JSON.stringify({ ...figures, voidReason, failure: found }, null, 2)}\n`)
  }
  if (failure !== null || voidReason !== null) return yield* new PromiseBroken()
})

const tellEveryS = 2

runMain(program)
