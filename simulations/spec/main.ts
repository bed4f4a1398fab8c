/** `npm run simulate:differential -- --sequences N --interleavings M --seed S [--json]`: what it does stands in simulations/README.md. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { Reactivity } from "effect/reactivity"
import { parseArgs } from "node:util"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import type { Address } from "./controlledPostgres.ts"
import { differential } from "./differential.ts"
import { reportOf, textOf } from "./report.ts"

const usage = `duetime differential: an executable spec, the memory store and a real PostgreSQL, step by step, and sessions interleaved on PostgreSQL

  npm run simulate:differential -- [flags]

  --sequences N      sequences of operations on all three, 0 to 1000000 (200)
  --interleavings N  operations at the same time on PostgreSQL, in every order that a scheduler draws, 0 to 1000000 (30)
  --seed N           of the first; the next ones follow it (1)
  --path P           the shrunk one that a failure names; only with one sequence or one interleaving
  --lanes N          sequences at the same time, each with a database of its own, 1 to 8 (2)
  --json             one JSON document on stdout, everything else on stderr
  --help             this

It stops at the first difference, shrinks it and exits with 1; so it does when it is interrupted, with what it has until then.`

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        sequences: { type: "string", default: "200" },
        interleavings: { type: "string", default: "30" },
        seed: { type: "string", default: "1" },
        path: { type: "string" },
        lanes: { type: "string", default: "2" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const sequences = numberOf("sequences", values.sequences, 0, 1_000_000)
    const interleavings = numberOf("interleavings", values.interleavings, 0, 1_000_000)
    if (values.path !== undefined && sequences + interleavings !== 1)
      throw new Error("--path is of one: give --sequences 1 --interleavings 0, or the other way round.")
    const lanes = Math.max(1, Math.min(numberOf("lanes", values.lanes, 1, 8), sequences))
    return { ...values, sequences, interleavings, lanes, seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1) }
  },
  catch: usageInvalid("simulate:differential")
})

/** New ones on a server of our own, that is gone when the scope closes. Nothing has to outlive it, so it does not wait for the disk. */
const databases = Effect.fnUntraced(function* (count: number) {
  const server = yield* EmbeddedPostgres.make({ durability: "none", settings: { max_connections: 200 } })
  const address = { host: server.socketDirectory, port: server.port, username: server.username }
  const client = yield* PgClient.make({ ...address, database: server.database, maxConnections: 1 }).pipe(
    Effect.provide(Reactivity.layer)
  )
  const addresses: Array<Address> = []
  for (let lane = 0; lane < count; lane++) {
    const database = `differential_${lane}`
    yield* client.unsafe(`CREATE DATABASE ${database}`)
    addresses.push({ ...address, database })
  }
  return addresses
})

const program = Effect.gen(function* () {
  const { help, json, lanes, ...options } = yield* readOptions
  if (help) return void process.stdout.write(`${usage}\n`)
  const tell = yield* makeTell("differential")
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt)
  tell(`seed ${options.seed}, PostgreSQL starts`)
  const addresses = yield* databases(lanes)
  const goesOn = () => !stop.signal.aborted
  const { failure, tally } = yield* differential({ ...options, addresses, tell, goesOn })
  process.off("SIGINT", interrupt).off("SIGTERM", interrupt)
  const report = reportOf(options, tally, failure, stop.signal.aborted)
  ;(json ? process.stderr : process.stdout).write(textOf(report))
  if (json) yield* documentTold(report)
  if (!report.ok) return yield* new PromiseBroken()
}).pipe(Effect.scoped)

// An interruption ends the loop; what was found until then is still told.
runMain(Effect.uninterruptible(program))
