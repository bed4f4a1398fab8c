import type { Fate } from "./fates.ts"

/** A revision as the ledger's proof needs it: which instants are its own, by the rule it stood for. */
export type AuditedRevision = {
  readonly revision: number
  /** Its instants lie behind it. */
  readonly fromMs: number
  readonly next: (afterMs: number) => number | null
  readonly isPaused: boolean
}

export type Line = {
  readonly nominalAtMs: number
  readonly untilMs: number
  readonly fate: Fate
  readonly revision: number
}

export type LedgerViolation = {
  readonly law: "none missing" | "none double" | "none invented" | "none while paused"
  readonly nominalAtMs: number
  readonly detail: string
}

/** Violations told of one recurrence; where there are more, the first ones say enough. */
export const ledgerViolationsMax = 100

/**
 * Whether every instant in `(fromMs, untilMs]` has exactly one fate: by the rules of the revisions, each for the time that
 * it stood, and by nothing that an engine remembers.
 *
 * @param revisions in their order
 * @param lines by their first instant
 */
export const auditLedger = (
  revisions: ReadonlyArray<AuditedRevision>,
  lines: ReadonlyArray<Line>,
  fromMs: number,
  untilMs: number
): ReadonlyArray<LedgerViolation> => {
  const violations: Array<LedgerViolation> = []
  const byRevision = new Map(revisions.map((revision) => [revision.revision, revision]))

  lines.forEach((line, index) => {
    const before = lines[index - 1]
    if (before !== undefined && line.nominalAtMs <= before.untilMs)
      violations.push({
        law: "none double",
        nominalAtMs: line.nominalAtMs,
        detail: `it is ${before.fate} and ${line.fate}`
      })
    if (line.fate !== "fired") return
    const revision = byRevision.get(line.revision)
    if (revision?.next(line.nominalAtMs - 1) !== line.nominalAtMs)
      violations.push({
        law: "none invented",
        nominalAtMs: line.nominalAtMs,
        detail: `it fired, and the rule of revision ${line.revision} has no such instant`
      })
    if (revision?.isPaused === true && line.nominalAtMs > revision.fromMs)
      violations.push({
        law: "none while paused",
        nominalAtMs: line.nominalAtMs,
        detail: `it fired in revision ${line.revision}, which was paused`
      })
  })

  let place = 0
  revisions.forEach(({ fromMs: standsFromMs, next, revision }, index) => {
    const endsMs = Math.min(untilMs, revisions[index + 1]?.fromMs ?? Infinity)
    let atMs = next(Math.max(fromMs, standsFromMs))
    while (atMs !== null && atMs <= endsMs && violations.length < ledgerViolationsMax) {
      const instantMs: number = atMs
      while ((lines[place]?.untilMs ?? Infinity) < instantMs) place++
      const line = lines[place]
      if (line !== undefined && line.nominalAtMs <= instantMs) {
        // All that the line covers is covered.
        atMs = next(Math.min(line.untilMs, endsMs))
        continue
      }
      violations.push({
        law: "none missing",
        nominalAtMs: instantMs,
        detail: `the rule of revision ${revision} has it, and the ledger has no fate`
      })
      atMs = next(instantMs)
    }
  })
  return violations.slice(0, ledgerViolationsMax)
}
