import { assert, describe, it } from "@effect/vitest"
import { Metric } from "effect"
import * as fs from "node:fs"
import * as DuetimeMetrics from "../../src/DuetimeMetrics.ts"

const read = (file: string) => fs.readFileSync(file, "utf8")
const source = read("src/DuetimeMetrics.ts")

const metrics = Object.entries(DuetimeMetrics).flatMap(([handle, metric]) =>
  Metric.isMetric(metric) ? [{ handle, name: metric.id, type: metric.type.toLowerCase() }] : []
)

/** What the comment in front of the handle says: its unit, and the rest. */
const meaningOf = (handle: string) => {
  const before = source.slice(0, source.indexOf(`export const ${handle} `))
  const comment = before.slice(before.lastIndexOf("/**") + 3, before.lastIndexOf("*/"))
  const [, unit = "", meaning = ""] = /^Unit: ([^.]+)\. (.*)$/.exec(comment.replaceAll(/\s*\n \* /g, " ").trim()) ?? []
  return { unit, meaning: meaning.trim() }
}

const table = metrics
  .map(({ handle, name, type }) => {
    const { meaning, unit } = meaningOf(handle)
    return `| \`${name}\` | ${type} | ${unit} | ${meaning} |`
  })
  .toSorted()

describe("docs/reference/metrics.md", () => {
  it("tells of every metric what src/DuetimeMetrics.ts says", () => {
    const page = "docs/reference/metrics.md"
    const lines = read(page).split("\n")
    const isRow = (line: string) => line.startsWith("| `duetime_")
    if (process.env["UPDATE_DOCS"] === "1") {
      const head = lines.slice(0, lines.indexOf("|---|---|---|---|") + 1)
      fs.writeFileSync(page, [...head, ...table, ""].join("\n"))
      return
    }
    assert.deepStrictEqual(lines.filter(isRow), table, "run: UPDATE_DOCS=1 npx vitest run test/docs/metrics.test.ts")
  })

  it("stands on comments that give each metric its unit and its meaning", () => {
    for (const { handle } of metrics) {
      const { meaning, unit } = meaningOf(handle)
      assert.isNotEmpty(unit, handle)
      assert.isNotEmpty(meaning, handle)
    }
    assert.isAbove(metrics.length, 15)
  })
})

type Panel = { readonly title: string; readonly targets?: ReadonlyArray<{ readonly expr: string }> }

describe("examples/grafana/duetime.json", () => {
  const { panels } = JSON.parse(read("examples/grafana/duetime.json")) as { readonly panels: ReadonlyArray<Panel> }
  const used = new Set(
    panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => expr.match(/duetime_[a-z_]+/g) ?? []))
  )

  it("asks only for time series that there are, and for some of every metric", () => {
    const series = metrics.flatMap(({ name, type }) =>
      type === "histogram"
        ? ["_bucket", "_sum", "_count"].map((part) => ({ name, series: name + part }))
        : [{ name, series: name }]
    )
    assert.deepStrictEqual(
      [...used].filter((one) => !series.some((known) => known.series === one)),
      []
    )
    const shown = new Set(series.filter((known) => used.has(known.series)).map(({ name }) => name))
    assert.sameMembers(
      [...shown],
      metrics.map(({ name }) => name)
    )
  })

  it("has something to ask in every panel, and alerts of the guide that name metrics as they are", () => {
    for (const { targets, title } of panels) assert.isNotEmpty(targets ?? [], title)
    const names = read("docs/guide/observing.md").match(/duetime_[a-z_]+_(ms|total|tasks)\b/g) ?? []
    assert.includeMembers(
      metrics.map(({ name }) => name),
      [...names]
    )
  })
})
