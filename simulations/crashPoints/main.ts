/** `npm run chaos:points -- --hits N --seed S [--json]`: what it does stands in docs/explain/crash-points.md. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Clock, Data, Effect, Exit, Runtime } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
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

/** The report has told already what is wrong; this gives the exit code 1. */
class PromiseBroken extends Data.TaggedError("PromiseBroken") {}

class UsageInvalid extends Data.TaggedError("UsageInvalid")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

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
  catch: (error) => {
    const problem = error instanceof Error ? error.message : String(error)
    return new UsageInvalid({ message: `${problem} See npm run chaos:points -- --help` })
  }
})

const numberOf = (flag: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`--${flag} ${text}: give a whole number from ${min} to ${max}.`)
}

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
  const directory = options.directory ?? fs.mkdtempSync(path.join(os.tmpdir(), "duetime-points-"))
  fs.mkdirSync(directory, { recursive: true })
  // The account of PostgreSQL's server has to pass.
  fs.chmodSync(directory, 0o755)
  const clock = yield* Clock.Clock
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const tell = (what: string) => {
    const seconds = ((clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000).toFixed(1)
    process.stderr.write(`points ${seconds.padStart(6)} s  ${what}\n`)
  }
  tell(`seed ${options.seed}, ${directory}`)
  const tidyUp = Effect.sync(() => {
    if (options.directory === undefined) fs.rmSync(directory, { recursive: true, force: true })
  })
  const report = yield* crashPoints({ ...options, directory: path.resolve(directory), tell }).pipe(
    Effect.onInterrupt(() => tidyUp)
  )
  ;(options.json ? process.stderr : process.stdout).write(textOf(report))
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  if (!report.ok) {
    process.stderr.write(`The logs and databases are in ${directory}\n`)
    return yield* new PromiseBroken()
  }
  yield* tidyUp
})

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    if (Exit.isFailure(exit)) {
      const error = Cause.squash(exit.cause)
      if (Cause.hasInterruptsOnly(exit.cause)) process.stderr.write("Stopped, with nothing left running.\n")
      else if (!(error instanceof PromiseBroken))
        process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    }
    Runtime.defaultTeardown(exit, onExit)
  }
})
