/**
 * S16: which instants a recurrence has is worked out by an oracle, each of them has one fate, what fired has one task, and every
 * fate is one that its policies allow.
 */
import { auditLedger } from "../../src/core/recurrence/auditLedger.ts"
import { isEnded } from "../../src/core/TaskState.ts"
import { fold } from "../../src/core/evolve.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { LedgerLine, RecurrenceRevision } from "../../src/store/RecurrenceStore.ts"
import type { StoredStream } from "../../src/store/TaskStore.ts"
import { type Broken, kindOf, streamsById } from "../../src/testing/simulation/Broken.ts"
import type { RecurrenceNote } from "./clientRecurrences.ts"
import { kinds } from "./handlers.ts"
import type { History } from "./History.ts"
import { epochMs } from "../../src/testing/simulation/Kernel.ts"
import { isOpenAt, isRule, nextOf, openedMs } from "./recurrenceRules.ts"
import type { Outcome } from "./World.ts"

/** What the database has of a recurrence in the end. */
export type Recurred = {
  readonly note: RecurrenceNote
  readonly recurrenceId: number
  readonly revisions: ReadonlyArray<RecurrenceRevision>
  readonly ledger: ReadonlyArray<LedgerLine>
  /** Every instant up to it has to have a fate. */
  readonly untilMs: number
}

/** Keeps the revisions of what is deleted, which the database does not. */
export class Recurrences {
  #database: MemoryDatabase | null = null
  readonly #deleted = new Map<string, Pick<Recurred, "recurrenceId" | "revisions" | "untilMs">>()

  watch(database: MemoryDatabase): void {
    this.#database = database
    // A failover may have taken the deletion, or given the name's number to another one.
    this.#deleted.clear()
    const { recurrences } = database
    const revise = recurrences.revise.bind(recurrences)
    recurrences.revise = (name, change, eventId, repeatOf) => {
      const found = recurrences.find(name)
      const revisions = found === null ? [] : recurrences.revisions(found.recurrenceId)
      const answer = revise(name, change, eventId, repeatOf)
      if (change._tag === "Delete" && found !== null && answer?._tag === "Changed") {
        const untilMs = Math.max(Math.floor(database.now()), found.revisedAtMs)
        this.#deleted.set(name, { recurrenceId: found.recurrenceId, revisions, untilMs })
      }
      return answer
    }
  }

  of(notes: ReadonlyArray<RecurrenceNote>): ReadonlyArray<Recurred> {
    if (this.#database === null) return []
    const { recurrences } = this.#database
    return notes.flatMap((note) => {
      const found = recurrences.find(note.name)
      const stored =
        found === null
          ? this.#deleted.get(note.name)
          : {
              recurrenceId: found.recurrenceId,
              revisions: recurrences.revisions(found.recurrenceId),
              untilMs: found.revisedAtMs
            }
      return stored === undefined ? [] : [{ note, ...stored, ledger: recurrences.ledger(stored.recurrenceId) }]
    })
  }
}

export function* everyInstantHasOneFate({ lost, notes, recurred }: Outcome): Iterable<Broken> {
  for (const note of notes.recurrences) {
    const isKept = recurred.some((one) => one.note === note)
    const isLost = note.isGone || (note.isDeleted && lost.length > 0)
    if (!isKept && !isLost) yield of(note, "was made and is not there")
  }
  for (const { ledger, note, revisions, untilMs } of recurred) {
    const audited = revisions.map(({ fromMs, isPaused, revision, rule }) => ({
      revision,
      fromMs,
      isPaused,
      next: nextOf(rule)
    }))
    for (const { detail, law, nominalAtMs } of auditLedger(audited, ledger, 0, untilMs)) {
      yield of(note, `${law}: ${nominalAtMs - epochMs} ms, ${detail}`)
    }
  }
}

/** From an answer until the next wish it stands as the client was told. */
export function* changesStand({ databaseMsOf, fired, lost, recurred }: Outcome): Iterable<Broken> {
  // A revision never begins before the last one, however far the clock goes back; and what is lost stands no more.
  if (fired.has("DatabaseClockJump@instant") || lost.length > 0) return
  for (const { note, revisions } of recurred) {
    for (const [index, standing] of note.standings.entries()) {
      if (note.isGone) continue
      const nextAskedAtMs = note.standings[index + 1]?.askedAtMs
      const atMs = databaseMsOf(standing.toldAtMs)
      if (nextAskedAtMs !== undefined && databaseMsOf(nextAskedAtMs) < atMs) continue
      const now = revisions.findLast(({ fromMs }) => fromMs <= atMs)
      if (now === undefined || (now.isPaused === standing.isPaused && isRule(now.rule, standing.rule))) continue
      const message = `revision ${now.revision} is ${now.isPaused ? "paused" : "not paused"} with ${JSON.stringify(now.rule)}, and the client was told otherwise`
      yield of(note, message)
    }
  }
}

/** Distinct tasks for distinct instants, and no others. */
export function* whatFiredHasOneTask({ lost, notes, recurred, streams }: Outcome): Iterable<Broken> {
  const left = new Map(
    streams.filter((stream) => kindOf(stream) === kinds.tick.kind).map((stream) => [stream.taskId, stream])
  )
  for (const { ledger, note } of recurred) {
    for (const { fate, nominalAtMs, taskId } of ledger) {
      const instant = `${fate} at ${nominalAtMs - epochMs} ms`
      if (taskId === null) {
        if (fate === "fired") yield of(note, `${instant} without a task`)
        continue
      }
      const stream = left.get(taskId)
      if (stream === undefined) yield of(note, `${instant}: its task is not there, or has another instant, too`, taskId)
      else if (fate !== "fired" && isStarted(stream)) yield of(note, `${instant}, and was started`, taskId)
      const born = stream?.events[0]
      if (born?._tag === "TaskScheduled" && born.dueAtMs < nominalAtMs)
        yield of(note, `${instant} is due ${nominalAtMs - born.dueAtMs} ms before it`, taskId)
      left.delete(taskId)
    }
  }
  // Also of one that a restore has taken: a run that had found it before may have scheduled its task behind it.
  for (const note of notes.recurrences) {
    for (const id of note.runIds) {
      if (!left.delete(id) && !lost.some(({ taskIds }) => taskIds.has(id)))
        yield of(note, "a run that was asked for and answered is not there", id)
    }
  }
  if (lost.length > 0 && notes.recurrences.some(({ isDeleted }) => isDeleted)) return
  // Decided ahead, taken back by an edit, and decided again: another task has the instant.
  const strays = [...left.values()].filter((stream) => !isTakenBack(stream))
  const unansweredCount = notes.recurrences.reduce((sum, note) => sum + note.runsAskedCount - note.runIds.length, 0)
  if (strays.length > unansweredCount) {
    const message = `${strays.length} tasks are of no instant, and ${unansweredCount} runs had no answer`
    yield { id: "S16", taskId: strays[0]?.taskId ?? null, message }
  }
}

export function* fatesFollowPolicies({ fired, recurred, streams }: Outcome): Iterable<Broken> {
  const byId = streamsById(streams)
  const hasJumped = fired.has("DatabaseClockJump@instant")
  for (const { ledger, note, revisions } of recurred) {
    const { maxLatenessMs, misfire, overlap } = note.plan
    const pausedIn = new Set(revisions.filter(({ isPaused }) => isPaused).map(({ revision }) => revision))
    const says = (line: LedgerLine, what: string) =>
      of(note, `${line.fate} at ${line.nominalAtMs - epochMs} ms, decided at ${line.decidedAtMs - epochMs} ms: ${what}`)
    let previous: LedgerLine | null = null
    for (const line of ledger) {
      // Whole milliseconds before the decision.
      const decidedMs = Math.floor(line.decidedAtMs)
      const lateMs = decidedMs - line.nominalAtMs
      const rule = revisions.find(({ revision }) => revision === line.revision)?.rule
      // What was missed runs where its calendar is open, one after the other.
      const isMissed = rule !== undefined && lateMs > misfire.graceMs
      const pacedMs = misfire.paceMs * ledger.filter((other) => mayRunBefore(other, line)).length
      const runsAtMs = isMissed ? openedMs(rule, openedMs(rule, decidedMs) + pacedMs) : decidedMs
      const runsLateMs = runsAtMs - line.nominalAtMs
      switch (line.fate) {
        case "fired":
          if (misfire.run === "skip" && lateMs > misfire.graceMs + clockMs) yield says(line, "missed ones are skipped")
          if (maxLatenessMs !== null && lateMs > maxLatenessMs + clockMs) yield says(line, "is too late")
          if (rule !== undefined && !isDueOpen(rule, byId.get(line.taskId ?? "")))
            yield says(line, "is due on closed time")
          if (overlap === "skip" && !hasJumped && previous?.fate === "fired" && previous.revision === line.revision) {
            const endedAtMs = endOf(byId.get(previous.taskId ?? ""))
            if (endedAtMs > line.decidedAtMs + clockMs) yield says(line, "the one before it has not ended")
          }
          break
        case "skipped-misfire":
          if (Math.floor(line.decidedAtMs) - line.untilMs < misfire.graceMs) yield says(line, "is not missed yet")
          if (misfire.run !== "skip") {
            const runsMax = misfire.run === "all" ? misfire.cap : 1
            const runsCount = ledger.filter(
              (other) => isMadeUp(other, line, misfire.graceMs) || isTakenBackBefore(other, line, misfire.graceMs)
            ).length
            if (runsCount < runsMax) yield says(line, `${runsCount} of ${runsMax} are made up for`)
          }
          break
        case "skipped-too-late":
          if (maxLatenessMs === null || runsLateMs <= maxLatenessMs) yield says(line, "is not too late")
          break
        case "skipped-overlap":
          if (overlap === "allow") yield says(line, "they may overlap")
          break
        case "skipped-paused":
          if (!pausedIn.has(line.revision)) yield says(line, "its revision is not paused")
          break
        default:
          break
      }
      previous = line
    }
  }
}

/** Without faults an instant is decided before it, or within moments where its policy looks at the instant itself. */
export function* fatesAreDecidedInTime({ recurred }: Outcome, { faults }: History): Iterable<Broken> {
  if (faults.some(({ _tag }) => _tag !== "ClockJump")) return
  for (const { ledger, note } of recurred) {
    for (const { decidedAtMs, fate, nominalAtMs } of ledger) {
      if (fate !== "fired" || decidedAtMs <= nominalAtMs + decidedLateMsMax) continue
      const message = `the instant ${nominalAtMs - epochMs} ms is decided ${decidedAtMs - nominalAtMs} ms late, with no fault at all`
      yield { id: "L4", taskId: null, message: `${note.name}: ${message}` }
    }
  }
}

const of = ({ name }: RecurrenceNote, message: string, taskId: string | null = null): Broken => ({
  id: "S16",
  taskId,
  message: `${name}: ${message}`
})

const isStarted = ({ events }: StoredStream): boolean => events.some(({ _tag }) => _tag === "AttemptStarted")

const isTakenBack = (stream: StoredStream): boolean => {
  const last = stream.events.at(-1)
  return (
    last?._tag === "TaskCancelled" &&
    last.reason?.startsWith("its recurrence was changed") === true &&
    !isStarted(stream)
  )
}

const endOf = (stream: StoredStream | undefined): number => {
  const state = fold(stream?.events ?? [])
  return state === null || !isEnded(state.stage) ? Number.POSITIVE_INFINITY : (stream?.events.at(-1)?.atMs ?? 0)
}

const isDueOpen = (rule: RecurrenceRevision["rule"], stream: StoredStream | undefined): boolean => {
  const born = stream?.events[0]
  return born?._tag !== "TaskScheduled" || isOpenAt(rule, born.dueAtMs)
}

/** Of the same outage as what was skipped: decided in the same step, and missed like it. */
const isMadeUp = (other: LedgerLine, skipped: LedgerLine, graceMs: number): boolean =>
  other.decidedAtMs === skipped.decidedAtMs &&
  other.fate !== "skipped-misfire" &&
  Math.floor(other.decidedAtMs) - other.nominalAtMs > graceMs

/** Of those that were missed with it; a change may have decided it once more since. */
const mayRunBefore = (other: LedgerLine, line: LedgerLine): boolean =>
  other.nominalAtMs < line.nominalAtMs &&
  other.decidedAtMs >= line.decidedAtMs &&
  other.fate !== "skipped-misfire" &&
  other.fate !== "skipped-too-late"

/** Made up for, and then ahead of a clock that was set back: a change or the end has cancelled it, or a change decided it again. */
const isTakenBackBefore = (other: LedgerLine, skipped: LedgerLine, graceMs: number): boolean =>
  (other.revision > skipped.revision || other.fate === "cancelled-by-edit" || other.fate === "cancelled-by-delete") &&
  other.decidedAtMs < skipped.decidedAtMs &&
  other.nominalAtMs > skipped.untilMs &&
  Math.floor(skipped.decidedAtMs) - other.nominalAtMs > graceMs

/** Decisions are made in whole milliseconds. */
const clockMs = 2
/** An idle look of the engine's at recurrences that nobody told of is 5 s; what is made or changed is told of. */
const decidedLateMsMax = 1_500
