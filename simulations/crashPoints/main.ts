/** `npm run chaos:points -- --hits N --seed S [--json]`: what it does stands in docs/explain/crash-points.md. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { judged, numberOf, runMain, usageInvalid } from "../command.ts"
import { crashPoints } from "./crashPoints.ts"
import { points, pointOf } from "./points.ts"
import { textOf } from "./report.ts"

const usage = `duetime crash points: every window of the protocol is hit on purpose, on a real PostgreSQL and a real Kafka; then a judgement

  npm run chaos:points -- [flags]

  --hits N        of each point, 1 to 1000 (20)
  --seed N        decides every task, and how often a place is passed before it is hit (1)
  --drain N       seconds at most until all is over after the last hit, 5 to 180 (180)
  --points A,B    only these, of ${points.length}. Default: all
  --directory D   where the run lives: databases, hits and log. Default: a temporary folder, removed unless something is wrong
  --json          one JSON document on stdout, everything else on stderr
  --help          this, and the points

It exits with 0 only if every point has its hits and every oracle holds, and with 1 otherwise. It needs Java and Maven for Kafka.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        hits: { type: "string", default: "20" },
        seed: { type: "string", default: "1" },
        drain: { type: "string", default: "180" },
        points: { type: "string" },
        directory: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    return {
      ...values,
      hits: numberOf("hits", values.hits, 1, 1_000),
      seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1),
      drainMs: numberOf("drain", values.drain, 5, 180) * 1_000,
      points: values.points === undefined ? points : values.points.split(",").map(named)
    }
  },
  catch: usageInvalid("chaos:points")
})

const named = (name: string) => {
  const point = pointOf(name.trim())
  if (point === undefined) throw new Error(`--points ${name}: there is no such point.`)
  return point
}

const program = Effect.gen(function* () {
  const options = yield* readOptions
  if (options.help) {
    const lines = points.map(
      ({ name, says, window }) => `  ${name.padEnd(28)}window ${String(window).padEnd(4)}${says}`
    )
    process.stdout.write(`${usage}\n\n${lines.join("\n")}\n`)
    return
  }
  yield* judged({
    ...options,
    name: "points",
    run: (directory, tell) => crashPoints({ ...options, directory, tell }),
    textOf
  })
})

runMain(program)
