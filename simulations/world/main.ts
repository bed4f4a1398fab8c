/** `npm run simulate -- --runs N --seed S [--json]`: what it does stands in simulations/README.md. */
import { Clock, Effect } from "effect"
import { parseArgs } from "node:util"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { mutants } from "../mutants/mutants.ts"
import { unbroken } from "./Breakage.ts"
import { failureText, figuresOf, tallyText } from "./report.ts"
import { keepSeed, readSeeds, seedsFileDefault } from "./seeds.ts"
import { type Failure, shrink, simulateOne, Tally } from "./simulate.ts"

const usage = `duetime simulate: the real engine, worker and client in a simulated world with every fault, from a seed

  npm run simulate -- [flags]

  --runs N      histories, 1 to 10000000 (200)
  --seed N      of the first history; the next ones follow it (1)
  --path P      the shrunk history that a failure names; only with --runs 1
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
    return { ...values, mutant, runs, seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1) }
  },
  catch: usageInvalid("simulate")
})

const program = Effect.gen(function* () {
  const { help, json, mutant, path, runs, seed: firstSeed, seeds: seedsFile, twice: isTwice } = yield* readOptions
  if (help) return void process.stdout.write(`${usage}\n`)
  const clock = yield* Clock.Clock
  const tell = yield* makeTell("simulate")
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const secondsSoFar = () => Math.max(0.001, (clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000)
  const kept = runs === 1 ? [] : readSeeds(seedsFile)
  const allCount = kept.length + runs
  const tally = new Tally()
  const breakage = mutant?.breakage ?? unbroken
  let failure: Failure | null = null
  let toldAtS = 0
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt)
  for (let index = 0; index < allCount && failure === null && !stop.signal.aborted; index++) {
    const seed = kept[index] ?? firstSeed + index - kept.length
    failure = simulateOne(seed, { tally, path, breakage, isTwice })
    if (index % lookEvery !== 0) continue
    // The world never meets the event loop: this lets a signal come through.
    yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
    if (secondsSoFar() - toldAtS < tellEveryS) continue
    toldAtS = secondsSoFar()
    const rate = (tally.historiesCount / toldAtS).toFixed(1)
    tell(`${tally.historiesCount}/${allCount} histories, ${rate} a second, ${tally.windows.size} windows met`)
  }
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt)
  const simulatedS = secondsSoFar()
  const isInterrupted = stop.signal.aborted
  if (failure !== null) {
    tell(`seed ${failure.seed} fails`)
    if (path === undefined) {
      keepSeed(seedsFile, failure.seed)
      failure = shrink(failure, breakage)
    }
  }
  const voidReason = failure === null && runs > 1 && !isInterrupted ? tally.voidReason() : null
  const isWhole = failure === null && !isInterrupted && voidReason === null
  const out = json ? process.stderr : process.stdout
  out.write(tallyText(tally, simulatedS))
  if (failure !== null) out.write(failureText(failure, mutant?.name))
  else if (isInterrupted) out.write(`Stopped after ${tally.historiesCount} of ${allCount} histories, nothing broken.\n`)
  else out.write(voidReason === null ? "All of it holds.\n" : `The run is void: ${voidReason}.\n`)
  if (json) {
    const range = { seedsKept: kept, seedFirst: firstSeed, runs, isTwice }
    const figures = figuresOf(tally, simulatedS, failure, mutant?.name)
    yield* documentTold({ ok: isWhole, isInterrupted, ...range, ...figures, voidReason })
  }
  if (!isWhole) return yield* new PromiseBroken()
})

/** Histories between two looks at the signals and the clock: at most half a second. */
const lookEvery = 10
const tellEveryS = 2

// An interruption ends the loop; what was found until then is still told.
runMain(Effect.uninterruptible(program))
