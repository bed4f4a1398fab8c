import { cpus, totalmem } from "node:os"
import { execFileSync } from "node:child_process"
import { build, type Histogram } from "hdr-histogram-js"

/** One run of one scenario, as it is printed by --json and kept in bench/results. */
export type Report = {
  readonly scenario: string
  readonly at: string
  readonly commit: string
  readonly machine: { readonly cpus: number; readonly model: string; readonly memoryGiB: number; readonly node: string }
  readonly settings: Readonly<Record<string, unknown>>
  readonly figures: Readonly<Record<string, unknown>>
  readonly floors: ReadonlyArray<Floor>
}

/** A figure that the project promises; a run exits with 0 only if all of its floors hold. */
export type Floor = { readonly name: string; readonly wanted: string; readonly found: number; readonly holds: boolean }

export const atMost = (name: string, limit: number, found: number): Floor => ({
  name,
  wanted: `<= ${limit}`,
  found,
  holds: found <= limit
})

export const atLeast = (name: string, limit: number, found: number): Floor => ({
  name,
  wanted: `>= ${limit}`,
  found,
  holds: found >= limit
})

export const machine = (): Report["machine"] => ({
  cpus: cpus().length,
  model: cpus()[0]?.model ?? "unknown",
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version
})

/** `abc1234`, or `abc1234+` with uncommitted changes. */
export const commit = (): string => {
  try {
    const hash = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim()
    return execFileSync("git", ["status", "--porcelain", "src", "schema", "bench", ":!bench/results"], {
      encoding: "utf8"
    }) === ""
      ? hash
      : `${hash}+`
  } catch {
    return "unknown"
  }
}

/** Lateness in ms, kept in an HDR histogram of microseconds with 3 digits; what is early is counted apart. */
export class Lateness {
  early = 0
  readonly #histogram: Histogram = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: 3_600_000_000,
    numberOfSignificantValueDigits: 3
  })

  record(lateMs: number): void {
    if (lateMs < 0) this.early++
    this.#histogram.recordValue(Math.max(0, Math.round(lateMs * 1_000)))
  }

  get count(): number {
    return this.#histogram.totalCount
  }

  summary() {
    const ms = (percentile: number) => Math.round(this.#histogram.getValueAtPercentile(percentile)) / 1_000
    return { count: this.count, early: this.early, p50: ms(50), p90: ms(90), p99: ms(99), p999: ms(99.9), max: ms(100) }
  }
}

/** The report for people: figures, then floors. */
export const text = (report: Report): string =>
  [
    `${report.scenario}  ${report.commit}  ${report.machine.cpus} x ${report.machine.model}, node ${report.machine.node}`,
    ...lines(report.figures, "  "),
    ...report.floors.map(
      (floor) => `  ${floor.holds ? "ok  " : "MISS"}  ${floor.name} ${floor.wanted}: ${round(floor.found)}`
    )
  ].join("\n")

const lines = (figures: object, indent: string): ReadonlyArray<string> =>
  Object.entries(figures).flatMap(([name, value]: [string, unknown]) =>
    typeof value === "object" && value !== null
      ? Object.values(value).some((inner) => typeof inner === "object")
        ? [`${indent}${name}`, ...lines(value, `${indent}  `)]
        : [
            `${indent}${name}: ${Object.entries(value)
              .map(([key, inner]) => `${key} ${show(inner)}`)
              .join("  ")}`
          ]
      : [`${indent}${name}: ${show(value)}`]
  )

const show = (value: unknown): string => (typeof value === "number" ? String(round(value)) : String(value))

const round = (value: number): number =>
  Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 1_000) / 1_000
