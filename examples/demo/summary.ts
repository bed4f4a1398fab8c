import type { Histogram } from "hdr-histogram-js"
import { type Priority, priorities } from "../../src/core/Priority.ts"
import type { Verdict } from "./check.ts"
import type { Evidence, TaskFacts } from "./evidence.ts"
import { clockTime, colouredFor, count, milliseconds } from "./format.ts"
import type { Plan } from "./taskFile.ts"

type Drift = { readonly tasks: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }

/** Of the lanes that had tasks, most urgent first. */
type Drifts = Readonly<Partial<Record<Priority, Drift>>>

/** What `--json` prints. Drift is that of first attempts, by the database's clock. */
export type Summary = {
  readonly ok: boolean
  readonly plan: Plan
  readonly resumed: boolean
  readonly elapsedMs: number
  readonly drift: {
    /** Tasks of the file and of the steady stream. */
    readonly steady: Drifts
    /** Tasks that were due in the same millisecond. */
    readonly burst: Drifts
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
      steady: driftsOf(evidence, (task) => !isBurst(task.key)),
      burst: driftsOf(evidence, (task) => isBurst(task.key))
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

/** @param more rows of label and text that stand below the attempts */
export const textOf = (
  summary: Summary,
  stream: NodeJS.WriteStream,
  more: ReadonlyArray<readonly [label: string, text: string]> = []
): string => {
  const coloured = colouredFor(stream)
  const [bold, dim, green, red] = [coloured("bold"), coloured("dim"), coloured("green"), coloured("red")]
  const { attempts, audit, deliveries, drift } = summary
  const driftText = (lane: string, { maxMs, p50Ms, p99Ms, tasks }: Drift) =>
    lane.padEnd(10) +
    [p50Ms, p99Ms, maxMs].map((ms) => milliseconds(ms).padStart(9)).join("") +
    count(tasks).padStart(9)
  const drifts = (label: string, lanes: Drifts) =>
    Object.entries(lanes).map(([lane, found], index) => row(index === 0 ? label : "", driftText(lane, found)))
  const row = (label: string, text: string) => `  ${dim(label.padEnd(11))}${text}`
  const delivered = (label: string, { asked, distinct, repeated }: Verdict["deliveries"]["emails"]) =>
    row(label, `${count(distinct)} of ${count(asked)}${dim(repeated === 0 ? "" : `   ${count(repeated)} repeated`)}`)

  return [
    "",
    `  ${bold(`${count(audit.tasks)} tasks in ${clockTime(summary.elapsedMs)}`)}${dim(summary.resumed ? "   resumed: drift has the time it was down" : "")}`,
    "",
    row("drift", dim("                p50      p99      max    tasks")),
    ...drifts("steady", drift.steady),
    ...drifts("burst", drift.burst),
    "",
    row(
      "attempts",
      `${count(attempts.started)} started, ${count(attempts.failed)} failed, ` +
        `${count(attempts.expired)} cut off, ${count(attempts.released)} given back`
    ),
    ...more.map(([label, text]) => row(label, text)),
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

const driftsOf = (evidence: Evidence, isMeant: (task: TaskFacts) => boolean): Drifts =>
  Object.fromEntries(
    priorities
      .map((lane) => [lane, driftOf(evidence.driftUs((task) => task.priority === lane && isMeant(task)))] as const)
      .filter(([, { tasks }]) => tasks > 0)
  )

const driftOf = (driftUs: Histogram): Drift => {
  // The histogram rounds up to its precision, and no percentile lies above the maximum.
  const at = (percentile: number) => Math.min(driftUs.getValueAtPercentile(percentile), driftUs.maxValue) / 1_000
  return { tasks: driftUs.totalCount, p50Ms: at(50), p99Ms: at(99), maxMs: driftUs.maxValue / 1_000 }
}
