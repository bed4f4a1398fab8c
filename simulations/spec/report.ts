import { type Check, check, checkLines } from "../Check.ts"
import type { Failure } from "./differential.ts"
import type { Tally } from "./Tally.ts"

export type DifferentialReport = {
  readonly ok: boolean
  readonly isInterrupted: boolean
  readonly seed: number
  readonly sequences: number
  readonly operations: number
  readonly interleavings: number
  readonly distinctInterleavings: number
  readonly requestsReleased: number
  /** Interleavings in which a request waited for another session's. */
  readonly interleavingsBlocked: number
  readonly seconds: number
  /** In the sequences: events by their tag, operations by theirs. */
  readonly events: Readonly<Record<string, number>>
  readonly asked: Readonly<Record<string, number>>
  /** How often two operations met in an interleaving. */
  readonly pairs: Readonly<Record<string, number>>
  readonly differences: ReadonlyArray<Failure & { readonly command: string }>
  readonly checks: ReadonlyArray<Check>
}

export type Asked = { readonly seed: number; readonly sequences: number; readonly interleavings: number }

/** With less nothing rare is to be expected. */
const eventsFromSequences = 1_000
/** Every event of the machine has to occur, and every operation of the spec be asked. */
const eventTags = (
  "TaskScheduled TaskClaimed ClaimReleased AttemptStarted AttemptSucceeded AttemptFailed AttemptSnoozed AttemptReleased AttemptExpired " +
  "TaskParked TaskResumed TaskReconciled TaskDeadLettered TaskRedriven TaskRescheduled TaskReprioritised CancelRequested TaskCancelled TaskExpired"
).split(" ")

export const reportOf = (
  asked: Asked,
  tally: Tally,
  failure: Failure | null,
  isInterrupted: boolean
): DifferentialReport => {
  const of = (part: Failure["part"]) => (failure?.part === part ? [failure.what] : [])
  const unmet = eventTags.filter((tag) => !tally.facts.has(tag))
  const isMeant = tally.sequencesCount >= eventsFromSequences
  const checks = [
    ...(asked.sequences === 0
      ? []
      : [
          check(
            "sequences-agree",
            "the spec, the memory store and PostgreSQL gave the same answers, events and rows",
            of("sequences").length === 0,
            `${tally.sequencesCount} sequences of ${tally.operationsCount} operations`,
            of("sequences")
          ),
          check(
            "events-met",
            "every event of the machine occurred",
            !isMeant || unmet.length === 0,
            isMeant ? `${eventTags.length - unmet.length} of ${eventTags.length}` : "too few sequences to ask for it",
            unmet
          )
        ]),
    ...(asked.interleavings === 0
      ? []
      : [
          check(
            "linearizable",
            "what was done at the same time could have been done one after the other",
            of("interleavings").length === 0,
            `${tally.interleavingsCount} interleavings, ${tally.blockedCount} with a request that was blocked`,
            of("interleavings")
          ),
          check(
            "all-interleaved",
            "as many as were asked for could be made",
            isInterrupted || failure !== null || tally.interleavingsCount >= asked.interleavings,
            `${tally.interleavingsCount} of ${asked.interleavings}`
          )
        ])
  ]
  return {
    ok: !isInterrupted && checks.every(({ ok }) => ok),
    isInterrupted,
    seed: asked.seed,
    sequences: tally.sequencesCount,
    operations: tally.operationsCount,
    interleavings: tally.interleavingsCount,
    distinctInterleavings: tally.distinctInterleavingsCount,
    requestsReleased: tally.releasesCount,
    interleavingsBlocked: tally.blockedCount,
    seconds: Math.round(tally.seconds),
    events: Object.fromEntries(tally.facts),
    asked: Object.fromEntries(tally.operations),
    pairs: Object.fromEntries(tally.pairs),
    differences: failure === null ? [] : [{ ...failure, command: commandOf(failure) }],
    checks
  }
}

const commandOf = ({ part, path, seed }: Failure): string => {
  const [sequences, interleavings] = part === "sequences" ? [1, 0] : [0, 1]
  const at = path === "" ? "" : ` --path ${path}`
  return `npm run simulate:differential -- --sequences ${sequences} --interleavings ${interleavings} --seed ${seed}${at}`
}

export const textOf = (report: DifferentialReport): string =>
  [
    `${report.sequences} sequences of ${report.operations} operations, ${report.interleavings} interleavings (${report.distinctInterleavings} distinct) of ${report.requestsReleased} requests, in ${report.seconds} s`,
    ...(report.isInterrupted ? ["Stopped before all of it was done."] : []),
    ...report.differences.flatMap(({ command, path, seed, steps, what }) => [
      "",
      `Seed ${seed}, path ${path === "" ? "none" : path}: ${what}`,
      ...steps.map((step) => `  ${step}`),
      `Again: ${command}`
    ]),
    "",
    ...checkLines(report.checks)
  ].join("\n")
