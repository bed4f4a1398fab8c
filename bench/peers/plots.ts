import { createHash } from "node:crypto"
import type { DriftFigures } from "./drift.ts"
import type { SpikeFigures } from "./spike.ts"
import type { ThroughputFigures } from "./throughput.ts"

/**
 * What docs/benchmarks/*.svg shows, each as a Vega-Lite specification with its data in it, out of the same reports as the page. Drawing
 * needs packages of bench/package.json (`draw.ts`); saying what is to be drawn does not, so a test can tell whether a drawing is of these
 * reports: the digest of its specification stands in its first line.
 */
export type Plot = {
  /** In docs/benchmarks. */
  readonly file: string
  /** Read aloud in its place. */
  readonly alt: string
  /** JSON of the specification. */
  readonly specification: string
}

export const plotsOf = (read: (name: string) => string | undefined): ReadonlyArray<Plot> => [
  ...plotOf(read("peers-throughput"), "throughput.svg", "Tasks drained per second by each contestant", throughput),
  ...plotOf(read("peers-drift"), "drift.svg", "Quantiles of the drift of each contestant, 200 tasks/s", drift),
  ...plotOf(
    read("peers-drift-1000"),
    "drift-1000.svg",
    "Quantiles of the drift of each contestant, 1,000 tasks/s",
    drift
  ),
  ...plotOf(read("peers-spike"), "spike.svg", "First and last start of each contestant in a spike", spike)
]

/** First line of a drawing. */
export const markOf = ({ specification }: Plot): string =>
  `<!-- npm run bench -- docs; sha256 of what is drawn: ${createHash("sha256").update(specification).digest("hex")} -->`

type ReportOf<Figures> = { readonly figures: Figures }
type Specification = Readonly<Record<string, unknown>>

const plotOf = <Figures>(
  text: string | undefined,
  file: string,
  alt: string,
  specificationOf: (figures: Figures) => Specification
): ReadonlyArray<Plot> => {
  if (text === undefined) return []
  const { figures }: ReportOf<Figures> = JSON.parse(text)
  return [{ file, alt, specification: JSON.stringify({ ...frame, title: alt, ...specificationOf(figures) }) }]
}

/** White, so that it can be read on a dark page as well. */
const frame = {
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  background: "white",
  padding: 12,
  width: 640,
  config: {
    font: "sans-serif",
    view: { stroke: null },
    axis: { labelFontSize: 12, titleFontSize: 12, labelLimit: 260 },
    legend: { labelFontSize: 12, labelLimit: 260 }
  }
}

const own = "duetime"
const ownColor = "#c2410c"
const otherColors = ["#2563eb", "#15803d", "#7e22ce", "#0e7490", "#a16207", "#475569"]

const colorOf = (contestants: ReadonlyArray<string>) => ({
  field: "contestant",
  type: "nominal",
  title: null,
  sort: contestants,
  scale: {
    domain: contestants,
    range: contestants.map((one, index) => (one === own ? ownColor : otherColors[index % otherColors.length]))
  }
})

/** Ours among the others without a legend. */
const ownOrOther = {
  condition: { test: `datum.contestant === '${own}'`, value: ownColor },
  value: "#64748b"
}

const rowsOf = (contestants: ReadonlyArray<string>) => ({
  field: "contestant",
  type: "nominal",
  title: null,
  sort: contestants
})

const best = <One>(contestants: Readonly<Record<string, One>>, rank: (one: One) => number | null | undefined) =>
  Object.entries(contestants).toSorted(([, left], [, right]) => (rank(left) ?? Infinity) - (rank(right) ?? Infinity))

/** Digits that a picture of this size can show; everything behind them would only make the file differ. */
const rounded = (value: number | null | undefined): number | null =>
  value === null || value === undefined ? null : Number(value.toPrecision(4))

const throughput = ({ contestants }: ThroughputFigures): Specification => {
  const ranked = best(contestants, (one) => -(one.drainedPerSecond?.median ?? 0))
  const y = rowsOf(ranked.map(([contestant]) => contestant))
  const x = (field: string) => ({ field, type: "quantitative", title: "tasks/s: median, lowest to highest round" })
  return {
    height: { step: 26 },
    data: {
      values: ranked.map(([contestant, { drainedPerSecond }]) => ({
        contestant,
        median: rounded(drainedPerSecond?.median),
        min: rounded(drainedPerSecond?.min),
        max: rounded(drainedPerSecond?.max)
      }))
    },
    layer: [
      { mark: { type: "bar", height: 16 }, encoding: { x: x("median"), y, color: ownOrOther } },
      { mark: { type: "rule", color: "#0f172a" }, encoding: { x: x("min"), x2: { field: "max" }, y } },
      ...["min", "max"].map((field) => ({
        mark: { type: "tick", color: "#0f172a", size: 10 },
        encoding: { x: x(field), y }
      }))
    ]
  }
}

const quantiles = { p50: "p50", p90: "p90", p99: "p99", p999: "p99.9", max: "max" } as const

const drift = ({ contestants }: DriftFigures): Specification => {
  const ranked = best(contestants, (one) => one.p99)
  const names = Object.values(quantiles)
  return {
    height: 320,
    data: {
      values: ranked.flatMap(([contestant, one]) =>
        (["p50", "p90", "p99", "p999", "max"] as const).map((quantile) => ({
          contestant,
          quantile: quantiles[quantile],
          ms: rounded(one[quantile])
        }))
      )
    },
    mark: { type: "line", point: { size: 60 } },
    encoding: {
      x: { field: "quantile", type: "ordinal", title: null, sort: names, axis: { labelAngle: 0 } },
      y: {
        field: "ms",
        type: "quantitative",
        title: "ms after the due time",
        scale: { type: "log" }
      },
      color: colorOf(ranked.map(([contestant]) => contestant))
    }
  }
}

const spike = ({ contestants }: SpikeFigures): Specification => {
  const ranked = best(contestants, (one) => one.lastMs)
  const y = rowsOf(ranked.map(([contestant]) => contestant))
  const x = (field: string) => ({
    field,
    type: "quantitative",
    title: "ms after all are due: first start, half of them, last start",
    scale: { type: "log" }
  })
  return {
    height: { step: 30 },
    data: {
      values: ranked.map(([contestant, { firstMs, lastMs, p50Ms }]) => ({
        contestant,
        first: rounded(firstMs),
        half: rounded(p50Ms),
        last: rounded(lastMs)
      }))
    },
    layer: [
      {
        mark: { type: "rule", strokeWidth: 4, opacity: 0.4 },
        encoding: { x: x("first"), x2: { field: "last" }, y, color: ownOrOther }
      },
      ...["first", "half", "last"].map((field) => ({
        mark: { type: "point", filled: true, size: field === "half" ? 40 : 90, opacity: 1 },
        encoding: { x: x(field), y, color: ownOrOther }
      }))
    ]
  }
}
