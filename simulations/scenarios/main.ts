/** `npm run simulate:legs -- [--json]`: what it does stands in simulations/README.md. */
import { Clock, Effect } from "effect"
import { parseArgs } from "node:util"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { mutants } from "../mutants/mutants.ts"
import { runScenario } from "./crashAt.ts"
import { failuresText, replayOf, runText, tableText } from "./report.ts"
import { type LegsOfScenario, runLegs } from "./runLegs.ts"
import type { Scenario } from "./Scenario.ts"
import { scenarios } from "./scenarios.ts"

const usage = `duetime simulate:legs: canonical lives of a task, crashed at every leg of every call, one at a time

  npm run simulate:legs -- [flags]

  --scenario NAME  one of them (all)
  --leg N[,M]      one run, crashed at the Nth leg (and the Mth); 0 for none; needs --scenario
  --no-pairs       leaves out the pairs of legs of the shortest scenarios
  --mutant NAME    with one rule of the protocol broken (npm run simulate:mutants); it should fail
  --json           one JSON document on stdout, everything else on stderr
  --help           this

Exits with 0 only if no run breaks a sentence. Interrupted it tells what it has and exits with 1.`

type Options = {
  readonly chosen: ReadonlyArray<Scenario>
  readonly legNumbers: ReadonlyArray<number> | null
  readonly mutant: (typeof mutants)[number] | undefined
  readonly pairs: boolean
  readonly json: boolean
  readonly help: boolean
}

const readOptions = Effect.try({
  try: (): Options => {
    const { values } = parseArgs({
      options: {
        scenario: { type: "string" },
        leg: { type: "string" },
        "no-pairs": { type: "boolean", default: false },
        mutant: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const { leg, scenario } = values
    const chosen = scenarios.filter(({ name }) => scenario === undefined || name === scenario)
    if (chosen.length === 0) {
      throw new Error(`--scenario ${scenario}: give one of ${scenarios.map(({ name }) => name).join(", ")}.`)
    }
    if (leg !== undefined && scenario === undefined) throw new Error("--leg is of one scenario: give --scenario.")
    const mutant = mutants.find(({ name }) => name === values.mutant)
    if (values.mutant !== undefined && mutant === undefined) {
      throw new Error(`--mutant ${values.mutant}: give one of ${mutants.map(({ name }) => name).join(", ")}.`)
    }
    const legNumbers = leg?.split(",").map((text) => numberOf("leg", text, 0, legNumberMax)) ?? null
    return { ...values, chosen, legNumbers, mutant, pairs: !values["no-pairs"] }
  },
  catch: usageInvalid("simulate:legs")
})

const oneRun = ({ chosen, json, mutant }: Options, scenario: Scenario, asked: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const legNumbers = asked.filter((number) => number > 0)
    const ran = runScenario(scenario, legNumbers, mutant?.breakage)
    if (ran.cut.length < legNumbers.length) {
      return yield* usageInvalid("simulate:legs")(new Error(`--leg: this run has ${ran.legs.length} legs.`))
    }
    const ok = ran.broken.length === 0
    ;(json ? process.stderr : process.stdout).write(runText(scenario.name, legNumbers, ran))
    if (json) {
      const { broken, cut, legs, outcome } = ran
      const command = replayOf(chosen[0]?.name ?? "", legNumbers, mutant?.name)
      const passed = { legsCount: legs.length, legs: legs.slice(0, legsToldMax) }
      const { streams } = outcome
      const document = { ok, scenario: scenario.name, legNumbers, command, cut, broken, ...passed, streams }
      yield* documentTold(document)
    }
    if (!ok) return yield* new PromiseBroken()
  })

const allRuns = Effect.fnUntraced(function* ({ chosen, json, mutant, pairs }: Options) {
  const clock = yield* Clock.Clock
  const tell = yield* makeTell("legs")
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const secondsSoFar = () => Math.max(0.001, (clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000)
  const rows: Array<LegsOfScenario> = []
  let runsCount = 0
  let toldAtS = 0
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt)
  for (const [index, scenario] of chosen.entries()) {
    for (const row of runLegs(scenario, { breakage: mutant?.breakage, pairs })) {
      rows[index] = row
      if (++runsCount % lookEvery !== 0) continue
      // The world never meets the event loop: this lets a signal come through.
      yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      if (stop.signal.aborted) break
      if (secondsSoFar() - toldAtS < tellEveryS) continue
      toldAtS = secondsSoFar()
      tell(`${index + 1}/${chosen.length} ${row.name}: ${row.crashedCount}/${row.legsCount} legs, ${runsCount} runs`)
    }
    if (stop.signal.aborted) break
  }
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt)
  const seconds = secondsSoFar()
  const isInterrupted = stop.signal.aborted
  const failuresCount = rows.reduce((sum, row) => sum + row.failuresCount, 0)
  const ok = failuresCount === 0 && !isInterrupted
  const out = json ? process.stderr : process.stdout
  out.write(`${tableText(rows)}${runsCount} runs, ${(runsCount / seconds).toFixed(1)} a second\n`)
  out.write(
    failuresText(
      rows.flatMap(({ firstFailures }) => firstFailures),
      mutant?.name
    )
  )
  if (isInterrupted) out.write(`Stopped after ${rows.length} of ${chosen.length} scenarios.\n`)
  else out.write(ok ? "All of it holds.\n" : `${failuresCount} runs break a sentence.\n`)
  if (json) {
    const told = rows.map((row) => ({
      ...row,
      firstFailures: row.firstFailures.map((failure) => ({
        ...failure,
        command: replayOf(failure.scenario, failure.legNumbers, mutant?.name)
      }))
    }))
    const legsCount = rows.reduce((sum, row) => sum + row.legsCount, 0)
    const crashedCount = rows.reduce((sum, row) => sum + row.crashedCount, 0)
    const pairsCount = rows.reduce((sum, row) => sum + row.pairsCount, 0)
    const figures = { scenariosCount: rows.length, legsCount, crashedCount, pairsCount, runsCount, failuresCount }
    yield* documentTold({ ok, isInterrupted, ...figures, seconds, scenarios: told })
  }
  if (!ok) return yield* new PromiseBroken()
})

const program = Effect.gen(function* () {
  const options = yield* readOptions
  if (options.help) return void process.stdout.write(`${usage}\n`)
  const [first] = options.chosen
  return yield* options.legNumbers === null || first === undefined
    ? allRuns(options)
    : oneRun(options, first, options.legNumbers)
})

/** Runs between two looks at the signals and the clock: some tenths of a second. */
const lookEvery = 10
const tellEveryS = 2
/** A run that does not come to its end passes legs for ten minutes. */
const legsToldMax = 2_000
const legNumberMax = 1_000_000

// An interruption ends the loop; what was found until then is still told.
runMain(Effect.uninterruptible(program))
