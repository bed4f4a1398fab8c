/** Runs the crash points on the protocol as it is, and then on each broken one: the first must hold, and of the others none may. */
import { Effect, Schema } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Report } from "../crashPoints/report.ts"
import type { Breakage } from "./breakages.ts"
import { copyBroken } from "./brokenTree.ts"

/** What nobody is told of by a broken protocol: that the run itself has come to its hits. */
const noOracle = new Set(["hits"])
/** A broken protocol may leave tasks that are never over. */
const drainSeconds = 45
/** Longest run of one. */
const runMsMax = 600_000

export type Caught = {
  readonly breakage: string
  readonly says: string
  readonly points: ReadonlyArray<string>
  readonly hits: number
  /** Checks of the run that fail, with how many findings of the audit by its invariants. */
  readonly caughtBy: ReadonlyArray<string>
  readonly notBy: ReadonlyArray<string>
  /** The first of what each says. */
  readonly examples: ReadonlyArray<string>
}

const ReportJson = Schema.fromJsonString(Schema.Unknown)

export const runBreakage = Effect.fnUntraced(function* (
  { hits, name, points, replacements, says }: Breakage,
  options: { readonly seed: number; readonly directory: string; readonly tell: (what: string) => void }
) {
  const tree = path.join(options.directory, name)
  yield* Effect.sync(() => copyBroken(replacements, tree))
  options.tell(`${name}: ${says}`)
  const args = ["--hits", hits, "--seed", options.seed, "--drain", drainSeconds, "--points", points.join(",")]
  const output = yield* runIn(tree, [...args.map(String), "--directory", path.join(tree, "run"), "--json"])
  const report = (yield* Schema.decodeEffect(ReportJson)(output)) as Report
  yield* Effect.sync(() => fs.rmSync(tree, { recursive: true, force: true }))
  const judged = report.checks.filter(({ id }) => !noOracle.has(id))
  const failed = judged.filter(({ ok }) => !ok)
  const violations = Object.entries(report.violations).map(([invariant, count]) => `${invariant} ${count}`)
  return {
    breakage: name,
    says,
    points,
    hits: report.points.reduce((sum, { hits }) => sum + hits, 0),
    caughtBy: failed.map(({ id }) => (id === "audit" ? `audit (${violations.join(", ")})` : id)),
    notBy: judged.filter(({ ok }) => ok).map(({ id }) => id),
    examples: failed.flatMap(({ detail, id, problems }) => [`${id}: ${problems[0] ?? detail}`])
  } satisfies Caught
})

/** What it says on its standard output; whether it holds is for the report to tell. */
const runIn = (tree: string, args: ReadonlyArray<string>) =>
  Effect.callback<string, Error>((resume) => {
    const child = spawn(process.execPath, ["simulations/crashPoints/main.ts", ...args], {
      cwd: tree,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let told = ""
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (told += chunk.toString()))
    child.once("close", () =>
      resume(
        output === ""
          ? Effect.fail(new Error(`a run in ${tree} has no report: ${told.slice(-500)}`))
          : Effect.succeed(output)
      )
    )
    return Effect.sync(() => child.kill("SIGINT"))
  }).pipe(
    Effect.timeoutOrElse({
      duration: runMsMax,
      orElse: () => Effect.fail(new Error(`a run in ${tree} had no report after ${runMsMax} ms`))
    })
  )

export const tableOf = (caught: ReadonlyArray<Caught>): ReadonlyArray<string> => [
  "| breakage | what it does | hits | caught by | not by |",
  "|---|---|---|---|---|",
  ...caught.map(
    ({ breakage, caughtBy, hits, notBy, says }) =>
      `| \`${breakage}\` | ${says} | ${hits} | ${caughtBy.join(", ") || "nothing"} | ${notBy.join(", ")} |`
  )
]
