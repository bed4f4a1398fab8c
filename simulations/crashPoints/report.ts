/** What a run leaves: one document, and the same as a table for people. */
import type { Ledger } from "../chaos/load.ts"
import { type Oracle, oracles } from "../chaos/judge.ts"
import { type Check, check, checkLines, problemsMax } from "../Check.ts"
import type { Deed, Found, Point, Role } from "./points.ts"
import { findingsOf, type Verdict } from "./verdict.ts"

export type PointRow = {
  readonly point: string
  readonly role: Role
  readonly place: string
  readonly deed: Deed
  readonly window: number
  readonly says: string
  readonly hits: number
  readonly found: Readonly<Partial<Record<Found, number>>>
  readonly duplicateEffects: number
  readonly lost: number
  readonly early: number
  readonly unexpected: ReadonlyArray<string>
}

export type Report = {
  readonly ok: boolean
  readonly seed: number
  readonly hitsWanted: number
  readonly leaseMs: number
  readonly tookMs: number
  readonly points: ReadonlyArray<PointRow>
  readonly figures: Readonly<Record<string, number>>
  /** Violations by the invariant that the audit names. */
  readonly violations: Readonly<Record<string, number>>
  readonly checks: ReadonlyArray<Check>
}

export const reportOf = (run: {
  readonly seed: number
  readonly hitsWanted: number
  readonly leaseMs: number
  readonly tookMs: number
  readonly points: ReadonlyArray<Point>
  readonly hitsOf: (point: string) => number
  readonly ledger: Ledger
  readonly endedByThemselves: ReadonlyArray<string>
  readonly processesCount: number
  readonly isOver: boolean
  readonly verdict: Verdict
}): Report => {
  const { ledger, points, verdict } = run
  const { audit, followed, judge, violations } = verdict
  const rows = points.map((point): PointRow => {
    const follow = followed.get(point.name) ?? { found: new Map(), unexpected: [], taskIds: new Set<string>() }
    const { deed, name, place, role, says, window } = point
    return {
      point: name,
      role,
      place,
      deed,
      window,
      says,
      hits: run.hitsOf(name),
      found: Object.fromEntries(follow.found),
      duplicateEffects: findingsOf(judge.findings, follow, "effects"),
      lost: findingsOf(judge.findings, follow, "lost"),
      early: findingsOf(judge.findings, follow, "early"),
      unexpected: follow.unexpected.slice(0, problemsMax)
    }
  })
  const short = rows.filter(({ hits }) => hits < run.hitsWanted)
  const unexpected = [...followed].flatMap(([name, follow]) => follow.unexpected.map((text) => `${name}: ${text}`))
  const unanswered = ledger.offeredCount - ledger.acknowledged.size
  const found = (oracle: Oracle): Check => {
    const own = judge.findings.filter((finding) => finding.oracle === oracle)
    const problems = own.map(({ message, taskId }) => `${taskId}: ${message}`)
    return check(oracle, oracles[oracle], own.length === 0, `${own.length} against it`, problems)
  }
  const checks = [
    check(
      "hits",
      `every point has its ${run.hitsWanted} hits`,
      short.length === 0,
      `${rows.reduce((sum, { hits }) => sum + hits, 0)} hits at ${rows.length} points`,
      short.map(({ hits, point }) => `${point}: ${hits}`)
    ),
    check(
      "followed",
      "what a process held when it was hit went on as the point says",
      unexpected.length === 0,
      `${rows.reduce((sum, { found }) => sum + Object.values(found).reduce((all, count) => all + count, 0), 0)} tasks`,
      unexpected
    ),
    check("over", "after the last hit all is answered and over", run.isOver, `${unanswered} unanswered`),
    ...Object.keys(oracles)
      .filter((name): name is Oracle => name in oracles)
      .map(found),
    check(
      "announced",
      "every dead letter was announced",
      verdict.unannouncedCount === 0,
      `${verdict.unannouncedCount} were not`
    ),
    check(
      "audit",
      "the audit of all histories finds nothing",
      violations.length === 0,
      `${audit.eventsCount} events`,
      violations
    ),
    check(
      "ended",
      "no process ended but by a hit",
      run.endedByThemselves.length === 0,
      `${run.processesCount} processes`,
      run.endedByThemselves
    )
  ]
  return {
    ok: checks.every(({ ok }) => ok),
    seed: run.seed,
    hitsWanted: run.hitsWanted,
    leaseMs: run.leaseMs,
    tookMs: run.tookMs,
    points: rows,
    figures: {
      scheduled: ledger.offeredCount,
      acknowledged: ledger.acknowledged.size,
      succeeded: judge.succeededCount,
      "dead letters": judge.deadCount,
      attempts: judge.attemptsCount,
      "attempts interrupted": judge.interruptedCount,
      "tasks parked": judge.parkedCount,
      "claims given back": judge.claimsGivenBackCount,
      "outside calls": judge.callsCount,
      "outside calls repeated": judge.repeatedCallsCount,
      processes: run.processesCount
    },
    violations: Object.fromEntries(audit.violationsByInvariant),
    checks
  }
}

const foundText = (found: PointRow["found"]): string =>
  Object.entries(found)
    .map(([what, count]) => `${what} ${count}`)
    .join(", ")

/** Also as it stands in the documentation. */
export const tableOf = (report: Report): ReadonlyArray<string> => [
  "| point | what is done | where | window | hits | what was found afterwards | twice | lost | early |",
  "|---|---|---|---|---|---|---|---|---|",
  ...report.points.map(
    ({ deed, duplicateEffects, early, found, hits, lost, point, says, window }) =>
      `| \`${point}\` | ${deed} | ${says} | ${window} | ${hits} | ${foundText(found)} | ${duplicateEffects} | ${lost} | ${early} |`
  )
]

/** For people. */
export const textOf = (report: Report): string =>
  [
    `duetime crash points  seed ${report.seed}, ${report.hitsWanted} hits each, lease ${report.leaseMs} ms, ${Math.round(report.tookMs / 1_000)} s`,
    "",
    ...tableOf(report),
    "",
    ...Object.entries(report.figures).map(([name, value]) => `${name.padEnd(26)}${value}`),
    "",
    ...checkLines(report.checks)
  ].join("\n")
