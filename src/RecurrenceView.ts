import type { Decided, Fate } from "./core/recurrence/fates.ts"
import type { Policies } from "./core/recurrence/Policies.ts"
import type { Rule } from "./core/recurrence/Rule.ts"
import type { Priority } from "./core/Priority.ts"
import type { FollowUp, Json } from "./core/TaskEvent.ts"
import type { TaskId } from "./core/TaskId.ts"
import type { LedgerLine, Recurrence } from "./store/RecurrenceStore.ts"

export type RecurrenceView = {
  readonly name: string
  readonly kind: string
  readonly rule: Rule
  readonly policies: Policies
  /** Null: the kind's. */
  readonly priority: Priority | null
  readonly payload: Json
  /** What the success, and the death, of each of its tasks are to schedule. */
  readonly onSuccess: FollowUp | null
  readonly onDead: FollowUp | null
  /** Counts edits, pauses and resumptions, from 1. */
  readonly revision: number
  readonly createdAt: Date
  readonly revisedAt: Date
  readonly pausedAt: Date | null
  /** Every instant up to it has a fate. */
  readonly settledUntil: Date
  /** The first instant without a fate; null while it is paused, and where the rule has ended. */
  readonly nextAt: Date | null
  /** The task of the latest instant that fired. */
  readonly lastTaskId: TaskId | null
}

/** What becomes of the instants from `nominalAt` to `until`, both included. */
export type FateView = {
  readonly nominalAt: Date
  readonly until: Date
  readonly fate: Fate
  /** When the task is due; null if there is none. */
  readonly dueAt: Date | null
}

/** A line of the ledger. */
export type LineView = {
  readonly nominalAt: Date
  readonly until: Date
  readonly fate: Fate
  readonly revision: number
  readonly taskId: TaskId | null
  readonly decidedAt: Date
}

export const viewOf = (recurrence: Recurrence): RecurrenceView => ({
  name: recurrence.name,
  kind: recurrence.kind,
  rule: recurrence.rule,
  policies: recurrence.policies,
  priority: recurrence.priority,
  payload: recurrence.payload,
  onSuccess: recurrence.followUps?.onSuccess ?? null,
  onDead: recurrence.followUps?.onDead ?? null,
  revision: recurrence.revision,
  createdAt: new Date(recurrence.createdAtMs),
  revisedAt: new Date(recurrence.revisedAtMs),
  pausedAt: dateOf(recurrence.pausedAtMs),
  settledUntil: new Date(recurrence.settledUntilMs),
  nextAt: dateOf(recurrence.nextAtMs),
  lastTaskId: recurrence.lastTaskId
})

export const fateViewOf = ({ dueAtMs, fate, nominalAtMs, untilMs }: Decided): FateView => ({
  nominalAt: new Date(nominalAtMs),
  until: new Date(untilMs),
  fate,
  dueAt: dateOf(dueAtMs)
})

export const lineViewOf = ({ decidedAtMs, fate, nominalAtMs, revision, taskId, untilMs }: LedgerLine): LineView => ({
  nominalAt: new Date(nominalAtMs),
  until: new Date(untilMs),
  fate,
  revision,
  taskId,
  decidedAt: new Date(decidedAtMs)
})

const dateOf = (atMs: number | null): Date | null => (atMs === null ? null : new Date(atMs))
