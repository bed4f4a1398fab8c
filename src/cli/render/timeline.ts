import { followUpOf } from "../../core/followUps.ts"
import type { TaskEvent } from "../../core/TaskEvent.ts"
import type { TaskView } from "../../TaskView.ts"
import { attemptsOf, type AttemptRecord } from "../attempts.ts"
import { latenessOf } from "../lateness.ts"
import { followUpText } from "./followUp.ts"
import { type Paint, paintStage } from "./paint.ts"
import { counted } from "./table.ts"
import { jsonLine, oneLine } from "./text.ts"
import { instant, offset, span } from "./time.ts"

/**
 * A task's history for people: what was asked for, then one line per event with its distance from the first due time.
 * Each start says how late it was and where the time went.
 */
export const timeline = (view: TaskView, history: ReadonlyArray<TaskEvent>, paint: Paint): string => {
  const [first] = history
  const dueAtMs = first?._tag === "TaskScheduled" ? first.dueAtMs : view.dueAt.getTime()
  const attempts = attemptsOf(history)
  const lines = history.flatMap((event): ReadonlyArray<Line> => {
    const place = offset(event.atMs - dueAtMs)
    const attempt =
      event._tag === "AttemptStarted" ? attempts.find(({ number }) => number === event.attempt) : undefined
    const late = attempt === undefined ? null : latenessOf(history, attempt)
    const followUp = first?._tag === "TaskScheduled" ? followUpOf(first, event) : null
    return [
      { ...lineOf(event, attempts), offset: place },
      ...(late === null ? [] : [{ label: "", offset: "", note: `late: ${late.sentence}` }]),
      ...(followUp === null
        ? []
        : [{ label: "followed", offset: place, note: `by ${followUp.taskId}, ${followUp.kind}` }])
    ]
  })
  const facts: ReadonlyArray<readonly [label: string, value: string]> = [
    ["payload", jsonLine(view.payload)],
    ...ifGiven("key", view.key, oneLine),
    ["due", instant(new Date(dueAtMs))],
    ...ifGiven("expires", view.expiresAt, instant),
    ...ifGiven("follows", view.follows, plain),
    ...ifGiven("on success", view.onSuccess, followUpText),
    ...ifGiven("on death", view.onDead, followUpText)
  ]
  const widthOf = (cells: ReadonlyArray<string>) => Math.max(9, ...cells.map((cell) => cell.length))
  const labelWidth = widthOf([...facts.map(([label]) => label), ...lines.map(({ label }) => label)])
  const offsetWidth = widthOf(lines.map((line) => line.offset))
  return [
    `${paint.strong(view.id)}  ${view.kind}  ${view.priority}  ${paintStage(paint, view.stage, headline(view))}`,
    ...facts.map(([label, value]) => `  ${label.padEnd(labelWidth)}  ${value}`),
    "",
    ...lines.map((line) =>
      [
        "",
        (line.paint?.(paint) ?? plain)(line.label.padEnd(labelWidth)),
        line.offset.padEnd(offsetWidth),
        (line.attempt === undefined ? "" : `#${line.attempt}`).padEnd(3),
        line.note
      ]
        .join("  ")
        .trimEnd()
    ),
    "",
    paint.quiet(`  ${counted(history.length, "event")}, version ${history.at(-1)?.version ?? 0}`)
  ].join("\n")
}

type Line = {
  readonly label: string
  readonly offset: string
  readonly attempt?: number
  readonly note: string
  readonly paint?: (paint: Paint) => (text: string) => string
}

/** Instants of wishes are rounded up to the next millisecond. */
const roundingMs = 1

const plain = (text: string) => text

const ifGiven = <A>(
  label: string,
  value: A | null,
  text: (value: A) => string
): ReadonlyArray<readonly [label: string, value: string]> => (value === null ? [] : [[label, text(value)]])

const headline = (view: TaskView): string => {
  switch (view.stage) {
    case "succeeded":
      return view.attempts === 1 ? "SUCCEEDED" : `SUCCEEDED on attempt ${view.attempts}`
    case "dead":
      return `DEAD after ${counted(view.attempts, "attempt")}${view.deadReason === null ? "" : `, ${view.deadReason}`}`
    case "running":
      return `RUNNING attempt ${view.attempts}${view.cancelRequested ? ", to be cancelled" : ""}`
    default:
      return view.stage.toUpperCase()
  }
}

const lineOf = (event: TaskEvent, attempts: ReadonlyArray<AttemptRecord>): Omit<Line, "offset"> => {
  const attempt = "attempt" in event ? attempts.find(({ number }) => number === event.attempt) : undefined
  const took = attempt?.ended?.event === event._tag ? `took ${span(attempt.ended.tookMs)}` : ""
  const next =
    "dueAtMs" in event
      ? `due ${event.dueAtMs - event.atMs > roundingMs ? `in ${span(event.dueAtMs - event.atMs)}` : "now"}`
      : ""
  const note = (...parts: ReadonlyArray<string>) => parts.filter((part) => part !== "").join("; ")
  switch (event._tag) {
    case "TaskScheduled":
      return { label: "scheduled", note: "" }
    case "TaskClaimed":
      return { label: "claimed", note: `session ${event.sessionId}` }
    case "ClaimReleased":
      return { label: "released", note: event.reason }
    case "AttemptStarted":
      return { label: "started", attempt: event.attempt, note: note(`session ${event.sessionId}`, driftOf(attempt)) }
    case "AttemptSucceeded": {
      const result = event.result === null ? "" : `result ${jsonLine(event.result)}`
      return { label: "succeeded", attempt: event.attempt, note: note(took, result), paint: (paint) => paint.good }
    }
    case "AttemptFailed": {
      const error = `${oneLine(event.error.name)}: ${oneLine(event.error.message)}`
      return { label: "failed", attempt: event.attempt, note: note(took, error, next), paint: (paint) => paint.bad }
    }
    case "AttemptSnoozed":
      return { label: "snoozed", attempt: event.attempt, note: note(took, next) }
    case "AttemptReleased":
      return { label: "given back", attempt: event.attempt, note: note(took, event.reason, next) }
    case "AttemptExpired":
      return { label: "expired", attempt: event.attempt, note: note(event.reason, next), paint: (paint) => paint.bad }
    case "TaskParked":
      return { label: "parked", attempt: event.attempt, note: event.reason, paint: (paint) => paint.bad }
    case "TaskResumed":
      return { label: "resumed", note: note(event.reason, next) }
    case "TaskReconciled": {
      const result = event.result === null ? "" : `result ${jsonLine(event.result)}`
      return { label: "reconciled", attempt: event.attempt, note: note("done", result), paint: (paint) => paint.good }
    }
    case "TaskDeadLettered": {
      const error = `${oneLine(event.error.name)}: ${oneLine(event.error.message)}`
      return {
        label: "dead",
        attempt: event.attempt,
        note: note(took, event.reason, error),
        paint: (paint) => paint.bad
      }
    }
    case "TaskRedriven":
      return { label: "redriven", note: next }
    case "TaskRescheduled":
      return { label: "rescheduled", note: next }
    case "TaskReprioritised":
      return { label: "reprioritised", note: event.priority }
    case "CancelRequested":
      return { label: "cancel asked", note: oneLine(event.reason ?? "") }
    case "TaskCancelled":
      return { label: "cancelled", note: oneLine(event.reason ?? "") }
    case "TaskExpired": {
      const error = event.error === null ? "" : `${oneLine(event.error.name)}: ${oneLine(event.error.message)}`
      return { label: "too late", note: error, paint: (paint) => paint.bad }
    }
  }
}

const driftOf = (attempt: AttemptRecord | undefined): string => {
  if (attempt === undefined) return ""
  const parts = [
    ...(attempt.claimLagMs > 0 ? [`claim ${span(attempt.claimLagMs)}`] : []),
    ...(attempt.dispatchLagMs === null ? [] : [`dispatch ${span(attempt.dispatchLagMs)}`]),
    `${attempt.dispatchLagMs === null ? "pull" : "delivery"} ${span(attempt.deliveryLagMs)}`
  ]
  return `drift ${span(attempt.driftMs)} = ${parts.join(" + ")}`
}
