import { existsSync, readdirSync, readFileSync } from "node:fs"
import type { Report } from "../report.ts"
import type { DriftFigures } from "./drift.ts"
import { plotsOf } from "./plots.ts"
import type { SpikeFigures } from "./spike.ts"
import type { ThroughputFigures } from "./throughput.ts"

/**
 * docs/benchmarks.md, out of bench/results and nothing else: `npm run bench -- docs` writes it, and a test compares the two. Tables are in
 * the order of what they are about, best first, whoever that is.
 */
export const page = (read: (name: string) => string | undefined = readResult, names = resultNames()): string => {
  const plots = new Map(plotsOf(read).map(({ alt, file }) => [file, `![${alt}](benchmarks/${file})`]))
  return (
    [
      "# Benchmarks",
      "",
      "Written with its plots by `npm run bench -- docs` from the reports in [bench/results](../bench/results), one per scenario: not edited by hand. A report has the",
      "machine, the commit and all settings in it.",
      "",
      "## Beside others",
      "",
      "All contestants, duetime included, are asked the same by the same program (`bench/peers`), each in processes of its own, one after the other,",
      "in an order that is rotated each round. They share one PostgreSQL (fsync, full-page writes and `synchronous_commit` on); each run has a new",
      "database, or a new Redis. Handlers do nothing, payloads are about 100 bytes. *fast* is the fastest configuration that the peer's documentation",
      "leads to, *default* sets nothing that need not be set. A start is the call of the handler, by the clock of its process, corrected for nothing.",
      "Figures are median [lowest to highest] where there are several rounds; a ratio is the median of the ratios of each round with its 95 % bootstrap",
      "interval, and above 1 duetime has more. Versions, settings and everything else that was counted are in the reports.",
      "",
      ...section(read("peers-throughput"), throughput, plots.get("throughput.svg")),
      ...section(read("peers-drift"), drift, plots.get("drift.svg")),
      ...section(read("peers-drift-1000"), drift, plots.get("drift-1000.svg")),
      ...section(read("peers-spike"), spike, plots.get("spike.svg")),
      "## What was promised, and what came out",
      "",
      "Floors of each report. A miss stays here until a later run holds.",
      "",
      ...names.flatMap((name) => floors(name, read(name)))
    ]
      .join("\n")
      .trimEnd() + "\n"
  )
}

const folder = new URL("../results/", import.meta.url)

export const readResult = (name: string): string | undefined => {
  const file = new URL(`${name}.json`, folder)
  return existsSync(file) ? readFileSync(file, "utf8") : undefined
}

const resultNames = (): ReadonlyArray<string> =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .toSorted()

type ReportOf<Figures> = Omit<Report, "figures"> & { readonly figures: Figures }

const section = <Figures>(
  text: string | undefined,
  write: (report: ReportOf<Figures>) => ReadonlyArray<string>,
  plot = ""
) => {
  if (text === undefined) return []
  const report: ReportOf<Figures> = JSON.parse(text)
  return [...write(report), "", plot, "", provenance(report), "", ...aheadLines(report.figures), ""]
}

const provenance = ({ at, commit, machine, scenario, settings }: Omit<Report, "figures">): string =>
  `\`${scenario}\`, ${at.slice(0, 10)}, commit ${commit}, ${machine.cpus} x ${machine.model}, node ${machine.node}; load before ${number(settings["loadBefore"])}.`

const aheadLines = (figures: unknown): ReadonlyArray<string> => {
  if (typeof figures !== "object" || figures === null || !("aheadOfDuetime" in figures)) return []
  const { aheadOfDuetime } = figures
  return [
    "Ahead of duetime:",
    "",
    ...Object.entries(aheadOfDuetime ?? {}).map(([name, who]) => `- ${name}: ${String(who)}`)
  ]
}

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`
const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => [
  row(head),
  row(head.map(() => "---")),
  ...rows.map(row)
]

const number = (value: unknown): string => {
  if (typeof value !== "number" || Number.isNaN(value)) return "–"
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3
  return value === 0 ? "0" : value.toLocaleString("en-US", { maximumFractionDigits: digits })
}

const spread = (
  value: { readonly median: number; readonly min: number; readonly max: number; readonly runs: number } | null
) =>
  value === null
    ? "–"
    : value.runs === 1
      ? number(value.median)
      : `${number(value.median)} [${number(value.min)} to ${number(value.max)}]`

const interval = (
  value:
    | { readonly median: number; readonly low: number; readonly high: number; readonly runs: number }
    | null
    | undefined
) =>
  value === null || value === undefined
    ? "–"
    : value.runs === 1
      ? number(value.median)
      : `${number(value.median)} [${number(value.low)} to ${number(value.high)}]`

const name = (contestant: string): string => (contestant === "duetime" ? "**duetime**" : contestant)

const by = <A>(entries: Readonly<Record<string, A>>, rank: (one: A) => number | null | undefined) =>
  Object.entries(entries).toSorted(([, left], [, right]) => (rank(left) ?? Infinity) - (rank(right) ?? Infinity))

const throughput = ({ figures, settings }: ReportOf<ThroughputFigures>): ReadonlyArray<string> => [
  "### Draining a backlog",
  "",
  `${number(settings["tasks"])} due tasks (${number(settings["slowTasks"])} in slow modes) are scheduled by each one's bulk method, and then drained, in one process; modes called *default* ran once, the`,
  `others ${number(settings["rounds"])} times. What was not over after ${number(settings["limitSeconds"])} s was stopped. The cycle is both together; CPU is of the contestant and its server, for the cycle.`,
  "",
  ...table(
    [
      "",
      "drained/s",
      "scheduled/s",
      "cycle/s",
      "CPU s per 1,000",
      "WAL B per task",
      "commits per task",
      "dead rows per task",
      "RSS MiB",
      "duetime drained, of it"
    ],
    by(figures.contestants, (one) => -(one.drainedPerSecond?.median ?? 0)).map(([contestant, one]) => [
      name(contestant) + (one.stopped === undefined ? "" : ` (stopped ${one.stopped})`),
      spread(one.drainedPerSecond),
      spread(one.scheduledPerSecond),
      spread(one.cyclePerSecond),
      number(one.cpuSecondsPer1000Tasks?.median),
      number(one.walBytesPerTask?.median),
      number(one.commitsPerTask?.median),
      number(one.deadTuplesPerTask?.median),
      number(one.residentMiB?.median),
      contestant === "duetime" ? "" : interval(figures.duetimeTo[contestant]?.drained)
    ])
  ),
  "",
  "What a task leaves behind differs: duetime keeps its whole history (4 events), pg-boss and effect-queue the row, graphile-worker and BullMQ when",
  "fast nothing. Commits and dead rows are counted over the whole life of the database, warm-up included."
]

const drift = ({ figures, settings }: ReportOf<DriftFigures>): ReadonlyArray<string> => [
  `### Drift at ${number(settings["ratePerSecond"])}/s`,
  "",
  `${number(settings["ratePerSecond"])} tasks/s for ${number(settings["seconds"])} s, each due at its own instant and scheduled 5 to 20 s ahead by another process; ms from the due time until the handler is called.`,
  "",
  ...table(
    ["", "p50", "p90", "p99", "p99.9", "max", "early", "missing", "CPU s per 1,000", "WAL B per task", "RSS MiB"],
    by(figures.contestants, (one) => one.p99).map(([contestant, one]) => [
      name(contestant) + (one.stopped === undefined ? "" : ` (stopped ${one.stopped})`),
      ...[one.p50, one.p90, one.p99, one.p999, one.max, one.early, one.missing].map(number),
      number(one.cpuSecondsPer1000Tasks),
      number(one.walBytesPerTask),
      number(one.residentMiB)
    ])
  ),
  ...recordedLines(figures)
]

const recordedLines = ({ contestants }: DriftFigures): ReadonlyArray<string> =>
  Object.entries(contestants).flatMap(([contestant, { recorded }]) =>
    recorded === undefined
      ? []
      : [
          "",
          `The start that ${contestant} records, by the database's clock, is one commit before the call: p50 ${number(recorded.p50)}, p99 ${number(recorded.p99)}, max ${number(recorded.max)} ms, ${recorded.early} early.`
        ]
  )

const spike = ({ figures, settings }: ReportOf<SpikeFigures>): ReadonlyArray<string> => [
  "### Everything at once",
  "",
  `${number(settings["tasks"])} tasks due in the same millisecond, of four priorities, scheduled by another process at least 10 s before; ms after that instant. duetime drained`,
  `${number(figures.duetimeDrainedPerSecond)}/s of a backlog of as many beforehand.`,
  "",
  ...table(
    [
      "",
      "first start",
      "p50",
      "p99",
      "last start",
      "all settled",
      "mean start: critical, high, normal, low",
      "stored ahead, s",
      "missing"
    ],
    by(figures.contestants, (one) => one.lastMs).map(([contestant, one]) => [
      name(contestant) + (one.stopped === undefined ? "" : ` (stopped ${one.stopped})`),
      ...[one.firstMs, one.p50Ms, one.p99Ms, one.lastMs, one.settledMs].map(number),
      "meanStartMs" in one
        ? Object.values(one.meanStartMs ?? {})
            .map(number)
            .join(", ")
        : "no priorities",
      number((one.storedAheadMs ?? Number.NaN) / 1_000),
      number(one.missing)
    ])
  )
]

const floors = (scenario: string, text: string | undefined): ReadonlyArray<string> => {
  if (text === undefined) return []
  const report: Partial<Report> = JSON.parse(text)
  if (report.floors === undefined || report.floors.length === 0) return []
  return [
    `### ${scenario}`,
    "",
    `commit ${report.commit}, ${report.at?.slice(0, 10)}`,
    "",
    ...table(
      ["floor", "wanted", "found", ""],
      report.floors.map((floor) => [
        floor.name,
        wanted(floor.wanted),
        number(floor.found),
        floor.holds ? "" : "**miss**"
      ])
    ),
    ""
  ]
}

/** `<= 123.45678` is a bound that another contestant has set. */
const wanted = (text: string): string => text.replace(/[\d.]+$/, (digits) => number(Number(digits)))
