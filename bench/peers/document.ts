import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { page, readResult } from "./page.ts"
import { missingOf } from "./peers.ts"
import { markOf, plotsOf } from "./plots.ts"

const docs = new URL("../../docs/", import.meta.url)
const folder = new URL("benchmarks/", docs)

/** Why docs/benchmarks.md and its plots cannot be written here, and the way out; undefined if they can. */
export const documentObstacle = (versionOf?: (name: string) => string | undefined): string | undefined =>
  missingOf(["vega", "vega-lite"], versionOf)

/** Writes docs/benchmarks.md and docs/benchmarks/*.svg anew from bench/results; the same reports give the same bytes. */
export const writeDocument = async (): Promise<void> => {
  // Not by name: only `npm run bench:install` brings what it imports.
  const { draw }: { draw: (specification: string) => Promise<string> } = await import(
    new URL("draw.ts", import.meta.url).href
  )
  const plots = plotsOf(readResult)
  const drawings = await Promise.all(
    plots.map(async (plot) => ({ file: plot.file, text: `${markOf(plot)}\n${await draw(plot.specification)}\n` }))
  )
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(folder)) if (file.endsWith(".svg")) rmSync(new URL(file, folder))
  for (const { file, text } of drawings) writeFileSync(new URL(file, folder), text)
  writeFileSync(new URL("benchmarks.md", docs), page())
}
