/** `npm run simulate:replay -- --runs N --seed S [--json]`: what it does stands in simulations/README.md. */
import { Clock, Effect, Logger } from "effect"
import { parseArgs } from "node:util"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { mutants } from "../mutants/mutants.ts"
import { runAll } from "./run.ts"
import { reportOf, textOf } from "./report.ts"

const usage = `duetime replay: histories that the simulation made, once more on a real PostgreSQL and a real Kafka

  npm run simulate:replay -- [flags]

  --runs N      histories, 1 to 1000000 (20)
  --seed N      of the first history; the next ones follow it (1)
  --lanes N     histories at the same time, each with a database of its own, 1 to 8 (2)
  --no-kafka    PostgreSQL alone, without Java
  --mutant NAME with one rule of the simulated protocol broken (npm run simulate:mutants): the servers should differ
  --json        one JSON document on stdout, everything else on stderr
  --help        this

It stops at the first difference and exits with 1; so it does when it is interrupted, with what it has until then.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        runs: { type: "string", default: "20" },
        seed: { type: "string", default: "1" },
        lanes: { type: "string", default: "2" },
        "no-kafka": { type: "boolean", default: false },
        mutant: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const runs = numberOf("runs", values.runs, 1, 1_000_000)
    const mutant = mutants.find(({ name }) => name === values.mutant)
    if (values.mutant !== undefined && mutant === undefined) {
      throw new Error(`--mutant ${values.mutant}: give one of ${mutants.map(({ name }) => name).join(", ")}.`)
    }
    return {
      help: values.help,
      json: values.json,
      isWithKafka: !values["no-kafka"],
      mutant,
      runs,
      seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1),
      lanes: Math.min(runs, numberOf("lanes", values.lanes, 1, 8))
    }
  },
  catch: usageInvalid("simulate:replay")
})

const program = Effect.gen(function* () {
  const { help, isWithKafka, json, lanes, mutant, runs, seed } = yield* readOptions
  if (help) return void process.stdout.write(`${usage}\n`)
  const tell = yield* makeTell("replay")
  const clock = yield* Clock.Clock
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt)
  tell(`seed ${seed}, the servers start`)
  // Nothing has to outlive it, so the server does not wait for the disk.
  const postgres = yield* EmbeddedPostgres.make({ durability: "none" })
  const kafka = isWithKafka ? (yield* EmbeddedKafka.make()).brokers : null
  const server = {
    host: postgres.socketDirectory,
    port: postgres.port,
    username: postgres.username,
    database: postgres.database
  }
  const goesOn = () => !stop.signal.aborted
  const found = yield* runAll({ runs, seed, server, lanes, kafka, goesOn, tell, breakage: mutant?.breakage })
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt)
  const seconds = (clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000
  const asked = { runs, seed, isWithKafka, mutant: mutant?.name }
  const report = reportOf(asked, found, seconds, stop.signal.aborted)
  ;(json ? process.stderr : process.stdout).write(textOf(report))
  if (json) yield* documentTold(report)
  if (!report.ok) return yield* new PromiseBroken()
}).pipe(Effect.scoped, Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])))

// An interruption ends the loop; what was found until then is still told.
runMain(Effect.uninterruptible(program))
