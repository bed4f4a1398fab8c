/** `npm run chaos -- --minutes N --seed S [--json]`: what it does stands in docs/explain/proof.md. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Clock, Data, Effect, Exit, Runtime } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
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

/** The report has told already what is wrong; this gives the exit code 1. */
class PromiseBroken extends Data.TaggedError("PromiseBroken") {}

class UsageInvalid extends Data.TaggedError("UsageInvalid")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

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
  catch: (error) => {
    const problem = error instanceof Error ? error.message : String(error)
    return new UsageInvalid({ message: `${problem} See npm run chaos -- --help` })
  }
})

const numberOf = (flag: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`--${flag} ${text}: give a whole number from ${min} to ${max}.`)
}

const program = Effect.gen(function* () {
  const options = yield* readOptions
  if (options.help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  const directory = options.directory ?? fs.mkdtempSync(path.join(os.tmpdir(), "duetime-chaos-"))
  fs.mkdirSync(directory, { recursive: true })
  // The account of PostgreSQL's server has to pass.
  fs.chmodSync(directory, 0o755)
  const clock = yield* Clock.Clock
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const tell = (what: string) => {
    const seconds = ((clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000).toFixed(1)
    process.stderr.write(`chaos ${seconds.padStart(6)} s  ${what}\n`)
  }
  tell(`seed ${options.seed}, ${directory}`)
  const tidyUp = Effect.sync(() => {
    if (options.directory === undefined) fs.rmSync(directory, { recursive: true, force: true })
  })
  const report = yield* chaos({ ...options, directory: path.resolve(directory), tell }).pipe(
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
