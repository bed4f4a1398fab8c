/** What transcripts on a page and outputs of a run have in common: everything but ids, times, counts and sizes. */
import * as fs from "node:fs"
import { normalised } from "../cli/runCli.ts"

export const reference = fs.readFileSync("docs/reference/cli.md", "utf8")

/** What stands below a command line in a block of the page. */
export const shownBelow = (page: string, command: string): string => {
  const [, shown = ""] = page.split(`$ ${command}\n`)
  return shown.split("\n```")[0] ?? ""
}

const shapesOf = (text: string): ReadonlyArray<string> =>
  normalised(text)
    .replaceAll(/'postgresql:[^']*'/g, "<url>")
    .replaceAll(/[\d.,]+ ([kKMG]i)?B\b/g, "<size>")
    .replaceAll(/^\d{2}:\d{2}:\d{2}\.\d{3}/gm, "<time>")
    .replaceAll(/(?<![\w.])\d[\d,]*(\.\d+)?(?![\w.])/g, "<n>")
    .replaceAll(/_d\d{8}\b/g, "_d<day>")
    .split("\n")
    .map((line) => line.trim().replaceAll(/\s+/g, " "))

/** The first line of the page that the run has not, or null. A line of three dots stands for any number of lines. */
export const missingLine = (shown: string, ran: string): string | null => {
  const lines = shapesOf(ran.trimEnd())
  let at = 0
  let isOpen = false
  for (const shape of shapesOf(shown)) {
    if (shape === "...") {
      isOpen = true
      continue
    }
    const found = isOpen ? lines.indexOf(shape, at) : lines[at] === shape ? at : -1
    if (found < 0) return `"${shape}", where the run has ${JSON.stringify(lines.slice(at, at + 3))}`
    at = found + 1
    isOpen = false
  }
  return isOpen || at === lines.length ? null : `an end, where the run has ${JSON.stringify(lines.slice(at, at + 3))}`
}

/** Of the lines of the page those that the run has nowhere. */
export const linesNowhere = (shown: string, ran: string): ReadonlyArray<string> => {
  const lines = new Set(shapesOf(ran))
  return shapesOf(shown).filter((shape) => !lines.has(shape))
}
