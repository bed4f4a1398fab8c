import type { Check } from "../demo/check.ts"
import { count, milliseconds } from "../demo/format.ts"
import { type Summary, textOf as summaryTextOf } from "../demo/summary.ts"
import type { Cluster } from "./cluster.ts"
import type { Fault } from "./faults.ts"

/** What `--json` prints. */
export type ClusterSummary = Summary & {
  readonly faults: ReadonlyArray<Fault>
  readonly starts: {
    /** By a hint of Kafka's. */
    readonly dispatched: number
    /** From the database, since no hint had come. */
    readonly pulled: number
    /** Hints that engines gave again; of those killed, as far as they had told. */
    readonly republished: number
  }
}

export const clusterSummaryOf = (
  summary: Summary,
  run: {
    readonly faults: ReadonlyArray<Fault>
    readonly members: Cluster["members"]
    readonly pulled: number
  }
): ClusterSummary => {
  const { faults, members, pulled } = run
  const checks = [...summary.checks, ...checksOf(faults, members)]
  const republished = members.reduce((total, member) => total + member.republished, 0)
  return {
    ...summary,
    ok: checks.every(({ ok }) => ok),
    checks,
    faults,
    starts: { dispatched: summary.attempts.started - pulled, pulled, republished }
  }
}

const checksOf = (faults: ReadonlyArray<Fault>, members: Cluster["members"]): ReadonlyArray<Check> => {
  const stopped = faults.flatMap(({ stopped, what }) => (stopped === null ? [] : [{ what, ...stopped }]))
  const unclean = stopped.filter(({ exitCode }) => exitCode !== 0)
  const unasked = members.flatMap((member) => member.unasked)
  return [
    {
      name: "what was stopped in order ended in order",
      ok: unclean.length === 0,
      detail: stopped.map(({ tookMs, what }) => `${what} took ${milliseconds(tookMs)}`).join(", "),
      problems: unclean.map(({ exitCode, what }) => `${what} ended with ${exitCode}`)
    },
    {
      name: "no process ended unasked",
      ok: unasked.length === 0,
      detail: `${members.length} processes`,
      problems: unasked
    }
  ]
}

export const textOf = (summary: ClusterSummary, stream: NodeJS.WriteStream): string => {
  const { faults, starts } = summary
  return summaryTextOf(summary, stream, [
    [
      "starts",
      `${count(starts.dispatched)} dispatched, ${count(starts.pulled)} pulled, ${count(starts.republished)} hints repeated`
    ],
    ["", ""],
    ...faults.map(
      ({ atMs, awayMs, what }, index) =>
        [index === 0 ? "faults" : "", `${what} at ${milliseconds(atMs)}, back after ${milliseconds(awayMs)}`] as const
    )
  ])
}
