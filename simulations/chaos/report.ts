/** What a run leaves: one document, and the same as a table for people. */
import { type Check, check, checkLines } from "../Check.ts"
import { leaseMs, nameOf } from "./Action.ts"
import { type Count, countsOf } from "./counts.ts"
import type { Ledger } from "./load.ts"
import type { Fleet } from "./fleet.ts"
import type { Injected } from "./inject.ts"
import { type Oracle, oracles } from "./judge.ts"
import type { Plan } from "./plan.ts"
import { type Summary, summaryOf } from "./repair.ts"
import type { Verdict } from "./verdict.ts"

export type Report = {
  readonly ok: boolean
  readonly seed: number
  readonly minutes: number
  readonly ratePerSecond: number
  readonly leaseMs: number
  /** How often each kind of fault was injected, also those of which there were none. */
  readonly faults: Readonly<Record<string, number>>
  /** What half an hour is asked for, scaled to this run, and what it has gone through. */
  readonly counts: ReadonlyArray<Count>
  readonly injected: ReadonlyArray<Injected>
  readonly figures: Readonly<Record<string, number>>
  readonly repair: { readonly attempts: Summary; readonly claims: Summary }
  readonly checks: ReadonlyArray<Check>
}

/** Above the lease: the supervisor's tick, and a repair that waits for its turn on a busy machine. */
const repairMsMax = leaseMs + 2_000
const nameWidth = 52

export const reportOf = (run: {
  readonly plan: Plan
  readonly ratePerSecond: number
  readonly injected: ReadonlyArray<Injected>
  readonly ledger: Ledger
  readonly fleet: Fleet
  readonly isOver: boolean
  readonly drainMs: number
  /** Processes that have no lease although all is whole. */
  readonly leaseless: ReadonlyArray<string>
  readonly verdict: Verdict
}): Report => {
  const { fleet, injected, isOver, ledger, plan, verdict } = run
  const { judge, repairs, violations } = verdict
  const repair = { attempts: summaryOf(repairs.attempts), claims: summaryOf(repairs.claims) }
  const unanswered = ledger.offeredCount - ledger.acknowledged.size
  const found = (oracle: Oracle): Check => {
    const own = judge.findings.filter((finding) => finding.oracle === oracle)
    return check(
      oracle,
      oracles[oracle],
      own.length === 0,
      `${own.length} against it`,
      own.map(({ message, taskId }) => `${taskId}: ${message}`)
    )
  }
  const ended = fleet.members.flatMap(({ unasked }) => unasked)
  const unclean = fleet.members.flatMap((member) => member.unclean)
  const checks = [
    check("over", "after the faults all is answered and over", isOver, `${ms(run.drainMs)}, ${unanswered} unanswered`),
    ...Object.keys(oracles)
      .filter((name): name is Oracle => name in oracles)
      .map(found),
    check(
      "audit",
      "the audit of all histories finds nothing",
      violations.length === 0,
      `${verdict.eventsCount} events`,
      violations
    ),
    check(
      "whole",
      "every process of the fleet has come back to itself",
      run.leaseless.length === 0,
      "a live lease each",
      run.leaseless.map((name) => `${name} has none`)
    ),
    check("ended", "no process ended by itself", ended.length === 0, `${fleet.members.length} places`, ended),
    check("stopped", "what was stopped in order ended in order", unclean.length === 0, "exit code 0", unclean),
    ...(["attempts", "claims"] as const).map((what) =>
      check(
        `${what}-repaired`,
        `${what} of killed processes are repaired within lease + 2 s (p99)`,
        repair[what].p99Ms <= repairMsMax,
        `${repair[what].count}: p50 ${ms(repair[what].p50Ms)}, p99 ${ms(repair[what].p99Ms)}, max ${ms(repair[what].maxMs)}`
      )
    ),
    check(
      "void",
      "the run is not void: half of what was scheduled succeeded",
      judge.succeededCount * 2 >= ledger.offeredCount,
      `${judge.succeededCount} of ${ledger.offeredCount}`
    )
  ]
  return {
    ok: checks.every(({ ok }) => ok),
    seed: plan.seed,
    minutes: plan.durationMs / 60_000,
    ratePerSecond: run.ratePerSecond,
    leaseMs,
    faults: Object.fromEntries(
      [...new Set(plan.faults.map(({ action }) => nameOf(action)))]
        .toSorted()
        .map((what) => [what, injected.reduce((sum, fault) => (fault.what === what ? sum + fault.times : sum), 0)])
    ),
    counts: countsOf(plan.durationMs / 60_000, injected, ledger.offeredCount),
    injected,
    figures: {
      scheduled: ledger.offeredCount,
      acknowledged: ledger.acknowledged.size,
      "requests repeated": ledger.repeatsCount,
      "found scheduled by a repeat": ledger.foundCount,
      succeeded: judge.succeededCount,
      "dead letters": judge.deadCount,
      attempts: judge.attemptsCount,
      "attempts pulled": judge.pulledCount,
      "attempts interrupted": judge.interruptedCount,
      "tasks parked": judge.parkedCount,
      "claims given back": judge.claimsGivenBackCount,
      "outside calls": judge.callsCount,
      "outside calls repeated": judge.repeatedCallsCount,
      "outside calls with a stale fence": judge.staleCallsCount
    },
    repair,
    checks
  }
}

const ms = (value: number) => (value < 1_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(1)} s`)

/** For people. */
export const textOf = (report: Report): string => {
  const rows = (title: string, values: Readonly<Record<string, number>>) =>
    Object.entries(values).map(
      ([name, value], index) => `${(index === 0 ? title : "").padEnd(9)}${name.padEnd(nameWidth)}${value}`
    )
  return [
    `duetime chaos  seed ${report.seed}, ${report.minutes} min, ${report.ratePerSecond} tasks/s, lease ${ms(report.leaseMs)}`,
    "",
    ...rows("faults", report.faults),
    "",
    ...report.counts.map(
      ({ asked, askedPer30Minutes, done, what }, index) =>
        `${(index === 0 ? "counts" : "").padEnd(9)}${what.padEnd(nameWidth)}${done} of ${asked} asked (${askedPer30Minutes} per 30 min)`
    ),
    "",
    ...rows("figures", report.figures),
    "",
    ...checkLines(report.checks)
  ].join("\n")
}
