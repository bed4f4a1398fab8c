/** `npm run simulate:recurrence -- [--zones A,B | --sample N --seed S] [--pairs all] [--json]`: see docs/explain/recurrence.md. */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { documentTold, makeTell, numberOf, PromiseBroken, runMain, UsageInvalid, usageInvalid } from "../command.ts"
import { compareZone, type ZoneReport } from "./compareZone.ts"
import { reportOf, textOf } from "./report.ts"
import { zoneFolder } from "./zoneFile.ts"
import { allZones, sampleOf } from "./zones.ts"

const usage = `duetime recurrences: the fires of cron rules in every time zone, 2000 to 2050, under each policy, against an oracle of its own

  npm run simulate:recurrence -- [flags]

  --zones A,B   only these. Default: every zone of the process's ICU, and UTC
  --slice I/N   of these, the I-th of N parts (1/1)
  --sample N    of these, so many that the seed draws. Default: all
  --seed N      decides the sample (1)
  --pairs all   all nine pairs of gap and fold policy over all years, and not three that have each policy once
  --json        one JSON document on stdout, everything else on stderr
  --help        this

It exits with 0 only if no fire is missing and none is extra, and with 1 otherwise.`

const partsMax = 500

const readOptions = Effect.try({
  try: () => {
    const { values } = parseArgs({
      options: {
        zones: { type: "string" },
        slice: { type: "string", default: "1/1" },
        sample: { type: "string" },
        seed: { type: "string", default: "1" },
        pairs: { type: "string", default: "each" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    })
    const known = allZones()
    const named = values.zones?.split(",").map((zone) => zone.trim()) ?? known
    const unknown = named.find((zone) => !known.includes(zone))
    if (unknown !== undefined) throw new Error(`--zones ${unknown}: there is no such zone here.`)
    const [part = "", parts = ""] = values.slice.split("/")
    const partCount = numberOf("slice", parts, 1, partsMax)
    const partIndex = numberOf("slice", part, 1, partCount) - 1
    const sliced = named.filter((_, index) => index % partCount === partIndex)
    const seed = numberOf("seed", values.seed, 0, 2 ** 31 - 1)
    const zones =
      values.sample === undefined ? sliced : sampleOf(sliced, numberOf("sample", values.sample, 1, known.length), seed)
    const pairs = values.pairs
    if (pairs !== "each" && pairs !== "all") throw new Error(`--pairs ${pairs}: give each or all.`)
    return { ...values, pairs: pairs === "all" ? ("all" as const) : ("each" as const), seed, zones }
  },
  catch: usageInvalid("simulate:recurrence")
})

const program = Effect.gen(function* () {
  const { help, json, pairs, seed, zones } = yield* readOptions
  if (help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  const folder = zoneFolder()
  if (folder === null)
    return yield* new UsageInvalid({
      message: `PostgreSQL's binaries for ${process.platform}-${process.arch}, whose time zone files are compared with, are not installed. Run npm install without --omit=optional.`
    })
  const tell = yield* makeTell("recurrence")
  tell(`seed ${seed}, ${zones.length} zones, ${pairs === "all" ? "nine" : "three"} pairs of policies over all years`)
  const reports: Array<ZoneReport> = []
  for (const zone of zones) {
    // A turn of the event loop, for a signal to be heard.
    yield* Effect.sleep("1 millis")
    const report = compareZone(zone, folder, pairs)
    reports.push(report)
    const found = `${report.compared} fires, ${report.missing} missing, ${report.extra} extra`
    tell(`${reports.length}/${zones.length} ${zone}: ${found}${report.source === "samples" ? " (sampled)" : ""}`)
  }
  const report = reportOf(reports)
  ;(json ? process.stderr : process.stdout).write(textOf(report))
  if (json) yield* documentTold(report)
  if (!report.ok) return yield* new PromiseBroken()
})

runMain(program)
