/** What a run leaves: one document, and the same for people. */
import type { LedgerViolation } from "../../src/core/recurrence/auditLedger.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { TaskId } from "../../src/core/TaskId.ts"
import type { LedgerLine } from "../../src/store/RecurrenceStore.ts"
import { type Check, check, checkLines } from "../Check.ts"

export type Followed = {
  readonly name: string
  readonly createdAtMs: number
  readonly lines: ReadonlyArray<LedgerLine>
  readonly violations: ReadonlyArray<LedgerViolation>
  /** Of what fired. */
  readonly histories: ReadonlyMap<TaskId, ReadonlyArray<TaskEvent>>
  readonly isOver: boolean
}

export type Report = {
  readonly ok: boolean
  readonly seed: number
  readonly engines: number
  readonly seconds: number
  readonly kills: number
  readonly recurrences: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly checks: ReadonlyArray<Check>
}

export const reportOf = (run: {
  readonly seed: number
  readonly engines: number
  readonly seconds: number
  readonly kills: number
  /** Every instant of the rule between the two has to have a fate. */
  readonly fromMs: number
  readonly untilMs: number
  readonly followed: ReadonlyArray<Followed>
  readonly unasked: ReadonlyArray<string>
}): Report => {
  const { engines, followed, fromMs, kills, seconds, seed, unasked, untilMs } = run
  const checks = [
    ...followed.flatMap(({ histories, isOver, lines, name, violations }) => {
      const instants = instantsBetween(fromMs, untilMs)
      const fated = instants.filter((atMs) => lines.filter((line) => covers(line, atMs)).length === 1)
      const succeeded = [...histories.values()].filter((events) => endsOf(events) === 1)
      const early = [...histories.values()].flatMap((events) => latenessOf(events)).filter((ms) => ms < 0)
      return [
        check(
          `${name}-one-fate`,
          `every instant of ${name} has exactly one fate`,
          fated.length === instants.length,
          `${fated.length} of ${instants.length}`
        ),
        check(
          `${name}-ledger`,
          `the ledger of ${name} passes its audit`,
          violations.length === 0,
          `${violations.length} violations`,
          violations.map(({ detail, law }) => `${law}: ${detail}`)
        ),
        check(
          `${name}-once`,
          `what fired of ${name} has succeeded exactly once`,
          isOver && succeeded.length === histories.size,
          `${succeeded.length} of ${histories.size}`
        ),
        check(`${name}-early`, `nothing of ${name} started early`, early.length === 0, `${early.length} early`)
      ]
    }),
    check("unasked", "no engine ended by itself", unasked.length === 0, `${unasked.length} did`, unasked),
    check("kills", "engines were killed", kills > 0, `${kills} times`)
  ]
  return {
    ok: checks.every(({ ok }) => ok),
    seed,
    engines,
    seconds,
    kills,
    recurrences: Object.fromEntries(followed.map((one) => [one.name, figuresOf(one)])),
    checks
  }
}

export const textOf = ({ checks, kills, recurrences }: Report): string =>
  [
    `${kills} kills`,
    ...Object.entries(recurrences).map(
      ([name, figures]) =>
        `${name.padEnd(12)}${Object.entries(figures)
          .map(([what, count]) => `${what} ${count}`)
          .join(", ")}`
    ),
    "",
    ...checkLines(checks)
  ].join("\n")

/** Whole seconds: the rule's grid begins at 1970. */
const instantsBetween = (fromMs: number, untilMs: number): ReadonlyArray<number> => {
  const first = Math.ceil(fromMs / 1_000)
  return Array.from({ length: Math.max(0, Math.floor(untilMs / 1_000) - first + 1) }, (_, n) => (first + n) * 1_000)
}

const covers = ({ nominalAtMs, untilMs }: LedgerLine, atMs: number): boolean => nominalAtMs <= atMs && atMs <= untilMs

const endsOf = (events: ReadonlyArray<TaskEvent>): number =>
  events.filter(({ _tag }) => _tag === "AttemptSucceeded").length

const latenessOf = (events: ReadonlyArray<TaskEvent>): ReadonlyArray<number> => {
  let dueAtMs = Number.NaN
  return events.flatMap((event) => {
    if ("dueAtMs" in event) dueAtMs = event.dueAtMs
    return event._tag === "AttemptStarted" ? [event.atMs - dueAtMs] : []
  })
}

/** Fates, and how late the first attempts started: those beside a kill by as much as a lease and a restart take. */
const figuresOf = ({ histories, lines }: Followed): Readonly<Record<string, number>> => {
  const fates: Record<string, number> = {}
  for (const { fate } of lines) fates[fate] = (fates[fate] ?? 0) + 1
  const late = [...histories.values()].flatMap((events) => latenessOf(events).slice(0, 1)).toSorted((a, b) => a - b)
  const at = (share: number) => Math.round((late[Math.ceil(share * late.length) - 1] ?? Number.NaN) * 10) / 10
  return { ...fates, startP50Ms: at(0.5), startP99Ms: at(0.99) }
}
