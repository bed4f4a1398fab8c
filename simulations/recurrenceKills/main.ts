/** `npm run chaos:recurrences -- --seconds N --engines N --seed S [--json]`. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { judged, numberOf, runMain, usageInvalid } from "../command.ts"
import { recurrenceKills } from "./recurrenceKills.ts"
import { textOf } from "./report.ts"

const usage = `duetime recurrences under kills: one-second recurrences on a real PostgreSQL while their engines are killed at random; then a judgement

  npm run chaos:recurrences -- [flags]

  --seconds N     during which engines are killed, 5 to 3600 (200)
  --engines N     processes, each with an engine and a worker, 1 to 8 (3)
  --seed N        decides who is killed, when, and for how long (1)
  --directory D   where the run lives: database and log. Default: a temporary folder, removed unless something is wrong
  --json          one JSON document on stdout, everything else on stderr
  --help          this

It exits with 0 only if every instant has exactly one fate and what fired has run once, and with 1 otherwise.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        seconds: { type: "string", default: "200" },
        engines: { type: "string", default: "3" },
        seed: { type: "string", default: "1" },
        directory: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    return {
      ...values,
      seconds: numberOf("seconds", values.seconds, 5, 3_600),
      engines: numberOf("engines", values.engines, 1, 8),
      seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1)
    }
  },
  catch: usageInvalid("chaos:recurrences")
})

const program = Effect.gen(function* () {
  const options = yield* readOptions
  if (options.help) return void process.stdout.write(`${usage}\n`)
  yield* judged({
    ...options,
    name: "recurrences",
    run: (directory, tell) => recurrenceKills({ ...options, directory, tell }),
    textOf
  })
})

runMain(program)
