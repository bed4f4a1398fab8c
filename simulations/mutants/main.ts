/** `npm run simulate:mutants -- [--json]`: what it does stands in simulations/README.md. */
import { Clock, Effect } from "effect"
import { parseArgs } from "node:util"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { medianOf, tryMutant, type Verdict } from "./runMutants.ts"
import { mutants } from "./mutants.ts"

const usage = `duetime simulate:mutants: breaks one rule of the protocol at a time and asks the simulated world to find it

  npm run simulate:mutants -- [flags]

  --histories N  after which a mutant has survived, 1 to 1000000 (2000)
  --seed N       of the first history (1)
  --only NAME    one mutant
  --json         one JSON document on stdout, everything else on stderr
  --help         this

Exits with 0 if every mutant is found, with a median of at most 200 histories.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        histories: { type: "string", default: "2000" },
        seed: { type: "string", default: "1" },
        only: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const chosen = mutants.filter(({ name }) => values.only === undefined || name === values.only)
    if (chosen.length === 0) {
      throw new Error(`--only ${values.only}: give one of ${mutants.map(({ name }) => name).join(", ")}.`)
    }
    return {
      ...values,
      chosen,
      histories: numberOf("histories", values.histories, 1, 1_000_000),
      seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1)
    }
  },
  catch: usageInvalid("simulate:mutants")
})

const program = Effect.gen(function* () {
  const { chosen, help, histories, json, seed } = yield* readOptions
  if (help) return void process.stdout.write(`${usage}\n`)
  const clock = yield* Clock.Clock
  const tell = yield* makeTell("mutants")
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const verdicts: Array<Verdict> = []
  for (const mutant of chosen) {
    const verdict = tryMutant(mutant, seed, histories)
    verdicts.push(verdict)
    tell(`${verdicts.length}/${chosen.length} ${lineOf(verdict)}`)
    // Lets an interruption come through.
    yield* Effect.sleep(0)
  }
  const foundCount = verdicts.filter(({ historiesCount }) => historiesCount !== null).length
  const median = medianOf(verdicts)
  const seconds = (clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000
  const ok = foundCount === verdicts.length && median !== null && median <= medianMax
  const out = json ? process.stderr : process.stdout
  out.write(`${verdicts.map(lineOf).join("\n")}\n`)
  out.write(`${foundCount} of ${verdicts.length} mutants found, median ${median} histories, ${seconds.toFixed(1)} s\n`)
  if (json) {
    const score = foundCount / verdicts.length
    const figures = { ok, score, median, mutantsCount: verdicts.length, foundCount, seed, historiesMax: histories }
    yield* documentTold({ ...figures, seconds, verdicts })
  }
  if (!ok) return yield* new PromiseBroken()
})

const lineOf = ({ brokenIds, historiesCount, name, what }: Verdict): string =>
  `${name.padEnd(26)} ${historiesCount === null ? "SURVIVES" : String(historiesCount).padStart(8)}  ${brokenIds.join(" ").padEnd(14)} ${what}`

/** Histories in which the median mutant has to be found. */
const medianMax = 200

runMain(program)
