/** What the client does with recurrences: makes, edits, pauses, resumes, runs and deletes them, and writes down what it was told. */
import { Effect, Schedule } from "effect"
import { Recurrences } from "../../src/Recurrences.ts"
import { kinds, secret } from "./handlers.ts"
import type { Kernel } from "../../src/testing/simulation/Kernel.ts"
import type { PlannedRecurrence } from "./PlannedRecurrence.ts"
import type { PlannedRule } from "./recurrenceRules.ts"

/** As the client was told that it stands, from one answer to its next wish. */
export type Standing = {
  readonly rule: PlannedRule
  readonly isPaused: boolean
  readonly askedAtMs: number
  readonly toldAtMs: number
}

export type RecurrenceNote = {
  readonly name: string
  readonly plan: PlannedRecurrence
  readonly standings: Array<Standing>
  /** Runs that were asked for, with the ids of those that were answered. */
  runsAskedCount: number
  readonly runIds: Array<string>
  /** It is told to be deleted. */
  isDeleted: boolean
  /** It was there, and is not any more, though nobody has deleted it. */
  isGone: boolean
  isOver: boolean
}

export const recurrenceNameOf = (index: number): string => `recurrence-${index}`

export const clientRecurrence = Effect.fnUntraced(function* (
  plan: PlannedRecurrence,
  index: number,
  kernel: Kernel,
  notes: Array<RecurrenceNote>,
  /** Whatever is told before it may be lost. */
  settledFromMs: number
) {
  const recurrences = yield* Recurrences
  const name = recurrenceNameOf(index)
  const { failures, maxLatenessMs, misfire, overlap, workMs } = plan
  const optionsOf = (rule: PlannedRule) => ({
    ...("cron" in rule
      ? { cron: rule.cron, zone: rule.zone, gap: rule.gap, fold: rule.fold }
      : { every: rule.everyMs, anchor: new Date(rule.anchorMs) }),
    ...rule.open,
    payload: { workMs, failures, hangs: 0, secret },
    overlap,
    misfire: { run: misfire.run, cap: misfire.cap, pace: misfire.paceMs, grace: misfire.graceMs },
    ...(maxLatenessMs === null ? {} : { maxLateness: maxLatenessMs })
  })
  let { rule } = plan
  let isPaused = false
  yield* Effect.sleep(plan.atMs)
  const note: RecurrenceNote = {
    name,
    plan,
    standings: [],
    runsAskedCount: 0,
    runIds: [],
    isDeleted: false,
    isGone: false,
    isOver: false
  }
  const tell = <A, E, R>(asked: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const askedAtMs = kernel.nowMs
      return Effect.tap(asked, () =>
        Effect.sync(() => note.standings.push({ rule, isPaused, askedAtMs, toldAtMs: kernel.nowMs }))
      )
    })
  yield* tell(recurrences.create(kinds.tick, name, optionsOf(rule)).pipe(Effect.retry(again)))
  notes.push(note)
  const change = Effect.fnUntraced(function* (wish: PlannedRecurrence["changes"][number]) {
    yield* Effect.sleep(wish.inMs)
    if (note.isDeleted || kernel.nowMs >= plan.untilMs) return
    switch (wish.change) {
      case "edit":
        rule = wish.rule
        return yield* tell(recurrences.edit(kinds.tick, name, optionsOf(rule)).pipe(Effect.retry(againIfLost)))
      case "pause":
      case "resume":
        isPaused = wish.change === "pause"
        return yield* tell(recurrences[wish.change](name).pipe(Effect.retry(againIfLost)))
      case "runNow":
        note.runsAskedCount++
        return yield* recurrences.runNow(name).pipe(
          Effect.map(({ id }) => void note.runIds.push(id)),
          Effect.catchTag("StoreUnavailable", () => Effect.void)
        )
      case "delete":
        return yield* recurrences.delete(name).pipe(
          Effect.retry(againIfLost),
          // The first of several tries may have been heard.
          Effect.catchTag("RecurrenceNotFound", () => Effect.void),
          Effect.map(() => void (note.isDeleted = true))
        )
    }
  })
  yield* Effect.gen(function* () {
    for (const wish of plan.changes) yield* change(wish)
    yield* Effect.sleep(Math.max(0, Math.max(plan.untilMs, settledFromMs) - kernel.nowMs))
    if (note.isDeleted) {
      if (settledFromMs > 0) yield* recurrences.delete(name).pipe(Effect.retry(againIfLost))
      return
    }
    isPaused = true
    yield* tell(recurrences.pause(name).pipe(Effect.retry(againIfLost)))
  }).pipe(Effect.catchTag("RecurrenceNotFound", () => Effect.sync(() => (note.isGone = !note.isDeleted))))
  note.isOver = true
})

const again = { schedule: Schedule.spaced("300 millis") }
const againIfLost = { while: ({ _tag }: { readonly _tag: string }) => _tag === "StoreUnavailable", ...again }
