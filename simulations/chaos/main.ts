/** `npm run chaos -- --minutes N --seed S [--json]`: what it does stands in docs/explain/proof.md. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { judged, numberOf, runMain, usageInvalid } from "../command.ts"
import { chaos } from "./chaos.ts"
import { textOf } from "./report.ts"

const usage = `duetime chaos: engines and workers on a real PostgreSQL and a real Kafka, all of which fail; then a judgement

  npm run chaos -- [flags]

  --minutes N     length of the load, 1 to 1440 (2): processes and clocks fail in the first half,
                  stores and network as well in the second
  --seed N        decides every task and every fault (1)
  --rate N        tasks per second, 10 to 2000 (170)
  --directory D   where the run lives: databases and log. Default: a temporary folder, removed unless something is wrong
  --json          one JSON document on stdout, everything else on stderr
  --help          this

It exits with 0 only if every oracle holds, and with 1 otherwise. It needs Java and Maven for Kafka.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "2" },
        seed: { type: "string", default: "1" },
        rate: { type: "string", default: "170" },
        directory: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    return {
      ...values,
      minutes: numberOf("minutes", values.minutes, 1, 1_440),
      seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1),
      ratePerSecond: numberOf("rate", values.rate, 10, 2_000)
    }
  },
  catch: usageInvalid("chaos")
})

const program = Effect.gen(function* () {
  const options = yield* readOptions
  if (options.help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  yield* judged({
    ...options,
    name: "chaos",
    run: (directory, tell) => chaos({ ...options, directory, tell }),
    textOf
  })
})

runMain(program)
