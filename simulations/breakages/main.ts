/** `npm run chaos:breakages -- [--json]`: what it does stands in docs/explain/crash-points.md. */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, usageInvalid } from "../command.ts"
import { type Breakage, breakages } from "./breakages.ts"
import { type Caught, runBreakage, tableOf } from "./runBreakages.ts"

const usage = `duetime breakages: the protocol is broken on purpose, in a copy of the sources, and the crash points have to show it

  npm run chaos:breakages -- [flags]

  --only A,B      only these of: ${breakages.map(({ name }) => name).join(", ")}
  --broken-only   not the protocol as it is: where its points have held already
  --seed N        of the crash points (1)
  --json          one JSON document on stdout, everything else on stderr
  --help          this

First the same points run on the protocol as it is. It exits with 0 only if that holds and every breakage is caught by an oracle or the
audit, and with 1 otherwise. It needs Java and Maven for Kafka.`

const hitsOfControl = 3

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        only: { type: "string" },
        "broken-only": { type: "boolean", default: false },
        seed: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    return {
      ...values,
      brokenOnly: values["broken-only"],
      seed: numberOf("seed", values.seed, 0, 2 ** 31 - 1),
      chosen: values.only?.split(",").map(named) ?? breakages
    }
  },
  catch: usageInvalid("chaos:breakages")
})

const named = (name: string): Breakage => {
  const breakage = breakages.find((one) => one.name === name.trim())
  if (breakage === undefined) throw new Error(`--only ${name}: there is no such breakage.`)
  return breakage
}

const controlOf = (chosen: ReadonlyArray<Breakage>): Breakage => ({
  name: "none",
  says: "the protocol as it is",
  replacements: [],
  points: [...new Set(chosen.flatMap(({ points }) => points))],
  hits: hitsOfControl
})

const program = Effect.gen(function* () {
  const { brokenOnly, chosen, help, json, seed } = yield* readOptions
  if (help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  const tell = yield* makeTell("breakages")
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const made = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-breakages-"))
      // The account of PostgreSQL's server has to pass.
      fs.chmodSync(made, 0o755)
      return made
    }),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
  )
  const caught: Array<Caught> = []
  for (const breakage of brokenOnly ? chosen : [controlOf(chosen), ...chosen]) {
    const one = yield* runBreakage(breakage, { seed, directory, tell })
    tell(`${one.breakage}: ${one.caughtBy.join(", ") || "nothing found"}`)
    for (const example of one.examples) tell(`  ${example}`)
    caught.push(one)
  }
  const isOk = caught.every(({ breakage, caughtBy }) => (breakage === "none") === (caughtBy.length === 0))
  ;(json ? process.stderr : process.stdout).write(`\n${tableOf(caught).join("\n")}\n`)
  if (json) yield* documentTold({ ok: isOk, seed, caught })
  if (!isOk) {
    process.stderr.write("Not every breakage was caught, or none was one.\n")
    return yield* new PromiseBroken()
  }
}).pipe(Effect.scoped)

runMain(program)
