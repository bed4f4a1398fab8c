/** Recurrences of a history: what the client makes, and what it does with them. */
import * as fc from "fast-check"
import { calendars, cronRules, minuteRules, type PlannedRule } from "./recurrenceRules.ts"

export type PlannedRecurrence = {
  /** When the client makes it. */
  readonly atMs: number
  readonly rule: PlannedRule
  readonly overlap: "allow" | "skip" | "cancel"
  readonly misfire: {
    readonly run: "skip" | "last" | "all"
    readonly cap: number
    readonly paceMs: number
    readonly graceMs: number
  }
  readonly maxLatenessMs: number | null
  readonly workMs: number
  readonly failures: number
  /** One after the other, each so long after the one before. */
  readonly changes: ReadonlyArray<PlannedChange>
  /** When the client pauses it for good: nothing comes to an end while something recurs. */
  readonly untilMs: number
}

export type PlannedChange = {
  readonly change: "edit" | "pause" | "resume" | "runNow" | "delete"
  readonly inMs: number
  /** Of an edit. */
  readonly rule: PlannedRule
}

const interval = fc.record({
  everyMs: fc.constantFrom(1_000, 1_500, 2_000, 4_000),
  anchorMs: fc.constantFrom(0, 250, 999)
})

const rule: fc.Arbitrary<PlannedRule> = fc.oneof(
  fc.constantFrom(...cronRules),
  interval,
  // Rules of one minute of the day could have all their instants on closed time, which no recurrence may.
  fc
    .record({
      plain: fc.oneof(fc.constantFrom(...minuteRules), interval),
      open: fc.record({ calendar: fc.constantFrom(...calendars), closed: fc.constantFrom("skip", "next", "previous") })
    })
    .map(({ open, plain }) => ({ ...plain, open }))
)

const change: fc.Arbitrary<PlannedChange> = fc.record({
  change: fc.constantFrom("edit", "edit", "pause", "resume", "runNow", "delete"),
  inMs: fc.integer({ min: 0, max: 5_000 }),
  rule
})

export const plannedRecurrence: fc.Arbitrary<PlannedRecurrence> = fc.record({
  rule,
  atMs: fc.integer({ min: 0, max: 3_000 }),
  overlap: fc.constantFrom("allow", "allow", "skip", "cancel"),
  misfire: fc.record({
    run: fc.constantFrom("skip", "last", "all"),
    cap: fc.constantFrom(1, 2, 100),
    paceMs: fc.constantFrom(0, 300),
    graceMs: fc.constantFrom(0, 500, 3_000)
  }),
  maxLatenessMs: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constant(2_500) }),
  workMs: fc.constantFrom(0, 300, 2_500),
  failures: fc.constantFrom(0, 0, 0, 1),
  changes: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 3, arbitrary: fc.array(change, { minLength: 1, maxLength: 4 }) }
  ),
  untilMs: fc.integer({ min: 7_000, max: 15_000 })
})

/** Most histories have none: they take longer with them, and most sentences are of tasks. */
export const plannedRecurrences: fc.Arbitrary<ReadonlyArray<PlannedRecurrence>> = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(plannedRecurrence, { minLength: 1, maxLength: 2 }) }
)
