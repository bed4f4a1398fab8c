import { Result } from "effect"
import { compile } from "../../src/core/recurrence/Rule.ts"
import { comparedBeforeMs, comparedFromMs, firstDifferenceMs, type Offsets } from "./Offsets.ts"
import { ask, expectedFires, type Fold, folds, type Gap, gaps } from "./oracle.ts"
import { sampledOffsets } from "./sampledOffsets.ts"
import { offsetsOfFile } from "./zoneFile.ts"

/** Compared over all years. */
export const expressionsThroughout = [
  "30 2 * * *",
  "0 0 * * *",
  "15 1,3 * * 0",
  "0 9 1,15 * 5",
  "30 0 29 2 *",
  "0 30 1 31 * *"
]

/** Compared from two days before each change of the clocks to two days after it. */
export const expressionsAtChanges = [
  "30 2 * * *",
  "0 0 * * *",
  "0,20,40 0-4 * * *",
  "0 0-23 * * *",
  "*/15 * * * *",
  "0 * * * *",
  "5/25 1-3 * * *",
  "15 1,2,3 * * 0,6",
  "0 12 1-7 * 1",
  "10 2 */2 * 0",
  "15,45 30 2 * * *",
  "*/30 59 23 * * *",
  "0 0 3 1 4,10 *",
  "30 0 30 12 *"
]

const windowMs = 2 * 86_400_000
/** Of one zone, kept for the report. */
const problemsMax = 3

export type ZoneReport = {
  readonly zone: string
  /** Where the offsets of the oracle came from. */
  readonly source: "files" | "samples"
  /** The first instant from which PostgreSQL's file and the process's ICU say different things. */
  readonly differsFrom: string | null
  readonly changes: number
  readonly compared: number
  readonly missing: number
  readonly extra: number
  readonly problems: ReadonlyArray<string>
}

/** Of the policies for gap and fold, over all years: three that have each of them once, or all nine. */
export type Pairs = "each" | "all"

const pairsOf = (pairs: Pairs): ReadonlyArray<readonly [Gap, Fold]> =>
  pairs === "all"
    ? gaps.flatMap((gap) => folds.map((fold) => [gap, fold] as const))
    : gaps.map((gap, at) => [gap, folds[at] ?? "first"] as const)

/** With the files of PostgreSQL; if they are of another release for this zone, with samples of the process's ICU. */
export const compareZone = (zone: string, folder: string, pairs: Pairs = "each"): ZoneReport => {
  const compareWith = comparing(pairsOf(pairs))
  const filed = offsetsOfFile(folder, zone)
  if (filed !== null) {
    const report = compareWith(zone, filed, "files", null)
    if (report.missing + report.extra === 0) return report
  }
  const sampled = sampledOffsets(zone)
  const differsMs = filed === null ? comparedFromMs : firstDifferenceMs(filed, sampled)
  // The same offsets, so the fires are wrong.
  if (filed !== null && differsMs === null) return compareWith(zone, filed, "files", null)
  return compareWith(zone, sampled, "samples", differsMs)
}

const comparing =
  (throughout: ReadonlyArray<readonly [Gap, Fold]>) =>
  (zone: string, offsets: Offsets, source: ZoneReport["source"], differsMs: number | null): ZoneReport => {
    const changesMs = offsets.map(({ fromMs }) => fromMs).filter((at) => at >= comparedFromMs && at < comparedBeforeMs)
    const windows = changesMs.map((atMs) => [atMs - windowMs, atMs + windowMs] as const)
    let [compared, missing, extra] = [0, 0, 0]
    const problems: Array<string> = []
    const compareOver = (expression: string, gap: Gap, fold: Fold, fromMs: number, beforeMs: number) => {
      const expected = expectedFires(ask(expression), offsets, gap, fold, fromMs, beforeMs)
      const { next } = Result.getOrThrow(compile({ _tag: "Cron", expression, zone, gap, fold }))
      let index = 0
      // One more than expected is enough to tell, and a rule that does not advance must end.
      let left = expected.length * 2 + 100
      const problem = (what: string, atMs: number) => {
        if (problems.length < problemsMax)
          problems.push(`${zone} "${expression}" ${gap} ${fold}: ${what} ${new Date(atMs).toISOString()}`)
      }
      for (let at = next(fromMs - 1); at !== null && at < beforeMs && left > 0; at = next(at)) {
        left -= 1
        for (; (expected[index] ?? Number.POSITIVE_INFINITY) < at; index += 1) {
          missing += 1
          problem("missing", expected[index] ?? 0)
        }
        if (expected[index] === at) index += 1
        else {
          extra += 1
          problem("extra", at)
        }
      }
      for (; index < expected.length; index += 1) {
        missing += 1
        problem("missing", expected[index] ?? 0)
      }
      compared += expected.length
    }
    for (const expression of expressionsThroughout)
      for (const [gap, fold] of throughout) compareOver(expression, gap, fold, comparedFromMs, comparedBeforeMs)
    for (const expression of expressionsAtChanges)
      for (const gap of gaps)
        for (const fold of folds)
          for (const [fromMs, beforeMs] of windows) compareOver(expression, gap, fold, fromMs, beforeMs)
    return {
      zone,
      source,
      differsFrom: differsMs === null ? null : new Date(differsMs).toISOString(),
      changes: changesMs.length,
      compared,
      missing,
      extra,
      problems
    }
  }
