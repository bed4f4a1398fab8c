import type { Histogram } from "hdr-histogram-js"
import { type Priority, priorities } from "../../src/core/Priority.ts"
import type { Verdict } from "./check.ts"
import type { Evidence } from "./evidence.ts"
import { clockTime, colouredFor, count, milliseconds } from "./format.ts"
import type { Plan } from "./taskFile.ts"

type Drift = { readonly tasks: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }

/** What `--json` prints. Drift is that of first attempts, by the database's clock. */
export type Summary = {
  readonly ok: boolean
  readonly plan: Plan
  readonly resumed: boolean
  readonly elapsedMs: number
  readonly drift: {
    /** Tasks of the file and of the steady stream. */
    readonly steady: Drift
    /** Tasks that were due in the same millisecond. */
    readonly burst: Readonly<Partial<Record<Priority, Drift>>>
  }
  readonly attempts: Readonly<Record<"started" | "failed" | "expired" | "released", number>>
  readonly deliveries: Verdict["deliveries"]
  readonly audit: { readonly tasks: number; readonly events: number; readonly violations: number }
  readonly checks: Verdict["checks"]
}

export const summaryOf = (run: {
  readonly plan: Plan
  readonly resumed: boolean
  readonly elapsedMs: number
  readonly burstKeys: ReadonlySet<string>
  readonly evidence: Evidence
  readonly verdict: Verdict
}): Summary => {
  const { burstKeys, elapsedMs, evidence, plan, resumed, verdict } = run
  const isBurst = (key: string | null) => key !== null && burstKeys.has(key)
  return {
    ok: verdict.ok,
    plan,
    resumed,
    elapsedMs: Math.round(elapsedMs),
    drift: {
      steady: driftOf(evidence.driftUs(({ key }) => !isBurst(key))),
      burst: Object.fromEntries(
        priorities
          .map(
            (lane) => [lane, driftOf(evidence.driftUs((task) => isBurst(task.key) && task.priority === lane))] as const
          )
          .filter(([, { tasks }]) => tasks > 0)
      )
    },
    attempts: {
      started: evidence.attempts,
      failed: evidence.failed,
      expired: evidence.expired,
      released: evidence.released
    },
    deliveries: verdict.deliveries,
    audit: {
      tasks: evidence.audit.streams,
      events: evidence.audit.events,
      violations: evidence.audit.violations.length
    },
    checks: verdict.checks
  }
}

export const textOf = (summary: Summary, stream: NodeJS.WriteStream): string => {
  const coloured = colouredFor(stream)
  const [bold, dim, green, red] = [coloured("bold"), coloured("dim"), coloured("green"), coloured("red")]
  const { attempts, audit, deliveries, drift } = summary
  const driftText = ({ maxMs, p50Ms, p99Ms, tasks }: Drift) =>
    `p50 ${milliseconds(p50Ms).padStart(7)}   p99 ${milliseconds(p99Ms).padStart(7)}   max ${milliseconds(maxMs).padStart(7)}` +
    dim(`   ${count(tasks)} tasks`)
  const row = (label: string, text: string) => `  ${dim(label.padEnd(11))}${text}`
  const delivered = (label: string, { asked, distinct, repeated }: Verdict["deliveries"]["emails"]) =>
    row(label, `${count(distinct)} of ${count(asked)}${dim(repeated === 0 ? "" : `   ${count(repeated)} repeated`)}`)

  return [
    "",
    `  ${bold(`${count(audit.tasks)} tasks in ${clockTime(summary.elapsedMs)}`)}${dim(summary.resumed ? "   resumed" : "")}`,
    "",
    row("drift", driftText(drift.steady)),
    ...Object.entries(drift.burst).map(([lane, found], index) =>
      row(index === 0 ? "burst" : "", `${driftText(found)} ${dim(lane)}`)
    ),
    row(
      "attempts",
      `${count(attempts.started)} started, ${count(attempts.failed)} failed, ` +
        `${count(attempts.expired)} cut off, ${count(attempts.released)} given back`
    ),
    "",
    delivered("emails", deliveries.emails),
    delivered("charges", deliveries.charges),
    delivered("reports", deliveries.reports),
    "",
    ...summary.checks.flatMap(({ detail, name, ok, problems }) => [
      `  ${ok ? green("✔") : red("✘")} ${name} ${dim(`· ${detail}`)}`,
      ...problems.map((problem) => red(`      ${problem}`))
    ]),
    "",
    summary.ok ? `  ${bold(green("Every promise held."))}` : `  ${bold(red("A promise was broken."))}`,
    ""
  ].join("\n")
}

const driftOf = (driftUs: Histogram): Drift => ({
  tasks: driftUs.totalCount,
  p50Ms: driftUs.getValueAtPercentile(50) / 1_000,
  p99Ms: driftUs.getValueAtPercentile(99) / 1_000,
  maxMs: driftUs.maxValue / 1_000
})
