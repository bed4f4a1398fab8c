/** `npm run simulate -- --runs N --seed S [--json]`: what it does stands in simulations/README.md. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { mutants } from "../mutants/mutants.ts"
import { unbroken } from "./Breakage.ts"
import { failureText, figuresOf, tallyText } from "./report.ts"
import { runAll } from "./run.ts"
import { keepSeed, readSeeds, seedsFileDefault } from "./seeds.ts"
import { type Failure, failureOf, shrink } from "./simulate.ts"

const usage = `duetime simulate: the real engine, worker and client in a simulated world with every fault, from a seed

  npm run simulate -- [flags]

  --runs N      histories, 1 to 10000000 (200)
  --seed N      of the first history; the next ones follow it (1)
  --path P      the shrunk history that a failure names; only with --runs 1
  --threads N   at once, each with its share of the histories, 1 to 64 (1)
  --twice       runs each history twice and asks for the same steps
  --mutant NAME with one rule of the protocol broken (npm run simulate:mutants); it should fail
  --seeds FILE  where seeds that have failed are read and kept (simulations/world/seeds.json)
  --json        one JSON document on stdout, everything else on stderr
  --help        this

Seeds that have ever failed run first. It stops at the first failure, shrinks it and exits with 1; so it does when it is interrupted,
with what it has until then.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        runs: { type: "string", default: "200" },
        seed: { type: "string", default: "1" },
        path: { type: "string" },
        threads: { type: "string", default: "1" },
        twice: { type: "boolean", default: false },
        mutant: { type: "string" },
        seeds: { type: "string", default: seedsFileDefault },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const runs = numberOf("runs", values.runs, 1, 10_000_000)
    if (values.path !== undefined && runs !== 1) throw new Error("--path is of one history: give --runs 1.")
    const mutant = mutants.find(({ name }) => name === values.mutant)
    if (values.mutant !== undefined && mutant === undefined) {
      throw new Error(`--mutant ${values.mutant}: give one of ${mutants.map(({ name }) => name).join(", ")}.`)
    }
    const seed = numberOf("seed", values.seed, 0, 2 ** 31 - 1)
    return { ...values, mutant, runs, seed, threads: numberOf("threads", values.threads, 1, 64) }
  },
  catch: usageInvalid("simulate")
})

const program = Effect.gen(function* () {
  const options = yield* readOptions
  const { help, json, mutant, path, seed: seedFirst, seeds: seedsFile, threads, twice: isTwice } = options
  if (help) return void process.stdout.write(`${usage}\n`)
  const tell = yield* makeTell("simulate")
  const kept = options.runs === 1 ? [] : readSeeds(seedsFile)
  const allCount = kept.length + options.runs
  const threadsCount = Math.min(threads, allCount)
  const run = { kept, seedFirst, runsCount: options.runs, threadsCount, path, isTwice, mutant: mutant?.name }
  const ran = yield* runAll(run, (count, seconds) =>
    tell(`${count}/${allCount} histories, ${(count / seconds).toFixed(1)} a second`)
  )
  const { found, isInterrupted, tally } = ran
  const breakage = mutant?.breakage ?? unbroken
  let failure: Failure | null = null
  if (found !== null) {
    tell(`seed ${found.seed} fails`)
    failure = failureOf(found.seed, found.broken, { path, breakage })
    if (path === undefined) {
      keepSeed(seedsFile, failure.seed)
      failure = shrink(failure, breakage)
    }
  }
  const voidReason = failure === null && allCount > 1 && !isInterrupted ? tally.voidReason() : null
  const isWhole = failure === null && !isInterrupted && voidReason === null
  const out = json ? process.stderr : process.stdout
  out.write(tallyText(ran))
  if (failure !== null) out.write(failureText(failure, mutant?.name))
  else if (isInterrupted) out.write(`Stopped after ${tally.historiesCount} of ${allCount} histories, nothing broken.\n`)
  else out.write(voidReason === null ? "All of it holds.\n" : `The run is void: ${voidReason}.\n`)
  if (json) {
    const range = { seedsKept: kept, seedFirst, runs: options.runs, isTwice, threadsCount }
    const figures = figuresOf(ran, failure, mutant?.name)
    yield* documentTold({ ok: isWhole, isInterrupted, ...range, ...figures, voidReason })
  }
  if (!isWhole) return yield* new PromiseBroken()
})

// An interruption stops the threads; what was found until then is still told.
runMain(Effect.uninterruptible(program))
