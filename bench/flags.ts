/** What `npm run bench` can be told. */
import { parseArgs } from "node:util"
import { numberOf } from "../simulations/command.ts"

export const usage = `duetime bench: how late, how many, how much

  npm run bench -- <scenario> [flags]
  npm run bench -- docs              writes docs/benchmarks.md and its plots anew from bench/results

A report goes to stdout, progress to stderr; it exits with 0 only if every floor of the scenario holds.

In one process
  drift, throughput, transactional, claim, schedule
  commands        the command line on 10^6 tasks
  backlog         --deep: up to 10^7 waiting tasks
  pressure, soak  --seconds 600, hours as well
  first-task      the seconds from an empty folder to the first task, with npm, the tarball and the README
With processes of their own on one database
  scale           1, 2 and 4 engines
  wide            --workers 100 --processes 10 --rate 20, the rate of each worker; minutes until all have started
  recover
  recurrences     1,000 and 100,000 of them
  held            --seconds 60 that a transaction stays open after the due time
  idle            --deep: beside 10^7 waiting tasks
  retention       --tasks 1000000 of a day that is dropped beside --rate 500 for --seconds 60
With engines, workers and a real Kafka in processes of their own
  kafka-drift, kafka-throughput, priority, stopped-service, kafka-faults
  DUETIME_BENCH_PROFILE=<folder> leaves a CPU profile of each engine and worker there
Beside others, each in processes of its own, after npm run bench:install; its report is called peers-<scenario>
  throughput, drift, spike  --peers pg-boss,graphile-worker,bullmq,effect-queue; spike without peers as well

Flags, those that the scenario reads
  --seed N                of what is drawn (1)
  --seconds N             --rate N a second    --tasks N    (each scenario has its own)
  --rounds N              of comparisons in turns (3)
  --concurrency N         handlers at once (500)
  --outage-seconds N      of Kafka (60)
  --workers N             (100)
  --processes N           that they are in (10)
  --modes A,B             of the peers (fast,batch-100,default)
  --slow-tasks N          for modes that do well below 4,000 tasks/s (5000)
  --limit-seconds N       of one drain (20)
  --drained-per-second N  to compare a spike with
  --deep                  ten times the tasks
  --json                  one JSON document on stdout, everything else on stderr
  --save                  keeps the report in bench/results (as drift-1000 with --rate 1000, as idle-deep with --deep), and does docs;
                          needs what npm run bench:install brings
  --help                  this`

/** From where to where. */
const numbers = {
  seed: [0, 2 ** 31 - 1],
  seconds: [1, 1_000_000],
  rate: [1, 1_000_000],
  tasks: [1, 1_000_000_000],
  "outage-seconds": [1, 100_000],
  concurrency: [1, 100_000],
  rounds: [1, 1_000],
  workers: [1, 10_000],
  processes: [1, 1_000],
  "slow-tasks": [1, 1_000_000_000],
  "limit-seconds": [1, 100_000],
  "drained-per-second": [1, 1_000_000_000]
} as const
type NumberName = keyof typeof numbers

export type Flags = {
  readonly scenario: string
  readonly json: boolean
  readonly save: boolean
  readonly deep: boolean
  readonly help: boolean
  readonly peers: string | undefined
  readonly modes: string
  /** What was given; undefined: the scenario's own. */
  readonly number: (name: NumberName) => number | undefined
}

/** Throws an error that says which flag, and what to give. */
export const readFlags = (args: ReadonlyArray<string>): Flags => {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      save: { type: "boolean", default: false },
      deep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      peers: { type: "string" },
      modes: { type: "string", default: "fast,batch-100,default" },
      ...Object.fromEntries(Object.keys(numbers).map((name) => [name, { type: "string" } as const]))
    }
  })
  const given = new Map<string, number>()
  for (const [name, [min, max]] of Object.entries(numbers)) {
    const text: unknown = Reflect.get(values, name)
    if (typeof text === "string") given.set(name, numberOf(name, text, min, max))
  }
  const [scenario = "", ...others] = positionals
  if (others.length > 0) throw new Error(`${others.join(" ")}: one scenario at a time.`)
  const { deep, help, json, modes, peers, save } = values
  return { scenario, json, save, deep, help, peers, modes, number: (name) => given.get(name) }
}
