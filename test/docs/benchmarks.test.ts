import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { documentObstacle } from "../../bench/peers/document.ts"
import { page, readResult } from "../../bench/peers/page.ts"
import { markOf, plotsOf } from "../../bench/peers/plots.ts"

const wayOut = "run: npm run bench -- docs"

describe("docs/benchmarks.md", () => {
  it("is what `npm run bench -- docs` makes of bench/results", () => {
    assert.strictEqual(fs.readFileSync("docs/benchmarks.md", "utf8"), page(), wayOut)
  })
})

describe("docs/benchmarks/*.svg", () => {
  const plots = plotsOf(readResult)

  it("shows each plot of the page, and none is left behind", () => {
    const shown = Array.from(page().matchAll(/!\[[^\]]+\]\(benchmarks\/([^)]+)\)/g), ([, file]) => file)
    assert.sameMembers(fs.readdirSync("docs/benchmarks"), shown, wayOut)
    assert.sameMembers(
      plots.map(({ file }) => file),
      shown
    )
  })

  it("is drawn from the reports that are kept", () => {
    for (const plot of plots) {
      const [mark, ...svg] = fs.readFileSync(`docs/benchmarks/${plot.file}`, "utf8").split("\n")
      assert.strictEqual(mark, markOf(plot), wayOut)
      assert.match(svg.join("\n"), /^<svg [^]*<\/svg>\n$/)
    }
  })

  it("has every contestant of its report in it", () => {
    for (const plot of plots) {
      const svg = fs.readFileSync(`docs/benchmarks/${plot.file}`, "utf8")
      const report: unknown = JSON.parse(readResult(`peers-${plot.file.replace(".svg", "")}`) ?? "")
      const { figures } = report as { readonly figures: { readonly contestants: Record<string, unknown> } }
      for (const contestant of Object.keys(figures.contestants)) assert.include(svg, `>${contestant}<`)
    }
  })

  it("cannot be drawn without the packages of bench/package.json, which is said with the way out", () => {
    assert.match(documentObstacle(() => undefined) ?? "", /^vega [\d.]+ is not installed; run npm run bench:install$/)
  })
})
