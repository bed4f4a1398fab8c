import type { KindPolicy } from "../../core/KindPolicy.ts"
import { type Decided, decideFates } from "../../core/recurrence/fates.ts"
import { decideAtMsOf, leadMsMax } from "../../core/recurrence/occurrence.ts"
import { revise } from "../../core/recurrence/revise.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import { isEnded, type TaskState } from "../../core/TaskState.ts"
import { isUnstarted } from "../isUnstarted.ts"
import { occurrenceTask } from "../occurrenceTask.ts"
import { changed, standingOf, standsAs, stoodAs } from "../recurrenceChange.ts"
import {
  type LedgerLine,
  type Recurrence,
  type RecurrenceChange,
  type RecurrenceDefinition,
  type RecurrenceRevision,
  type Revised,
  type Seen,
  type Settled,
  settleTasksMax
} from "../RecurrenceStore.ts"
import type { NewTask } from "../TaskStore.ts"

/** What recurrences need of the database that they are in. */
type Tasks = {
  readonly now: () => number
  readonly schedule: (batch: ReadonlyArray<NewTask>) => unknown
  readonly stateOf: (taskId: TaskId) => TaskState | null
  readonly cancel: (taskId: TaskId, eventId: EventId, reason: string) => unknown
  readonly policyOf: (kind: string) => KindPolicy
}

type Row = { recurrence: Recurrence; readonly ledger: Map<number, LedgerLine> }

/** Recurrences and their ledger, each operation one step: as the database decides, on the same core. */
export class Recurrences {
  readonly #tasks: Tasks
  readonly #rows = new Map<string, Row>()
  readonly #revisions = new Map<number, Array<RecurrenceRevision & { readonly digest: string }>>()
  readonly #ledgers = new Map<number, Map<number, LedgerLine>>()
  readonly #decide = new Set<(decideAtMs: number) => void>()
  #lastId = 0

  constructor(tasks: Tasks) {
    this.#tasks = tasks
  }

  create(
    name: string,
    definition: RecurrenceDefinition
  ): { readonly created: boolean; readonly recurrence: Recurrence } {
    const known = this.#rows.get(name)
    if (known !== undefined) return { created: false, recurrence: known.recurrence }
    const atMs = Math.floor(this.#tasks.now())
    const made: Recurrence = {
      ...definition,
      recurrenceId: ++this.#lastId,
      name,
      revision: 1,
      createdAtMs: atMs,
      revisedAtMs: atMs,
      pausedAtMs: null,
      settledUntilMs: atMs,
      nextAtMs: null,
      lastTaskId: null
    }
    const recurrence = { ...made, nextAtMs: standingOf(made).next(atMs) }
    const ledger = new Map<number, LedgerLine>()
    this.#ledgers.set(recurrence.recurrenceId, ledger)
    this.#rows.set(name, { recurrence, ledger })
    this.#beginRevision(recurrence)
    return { created: true, recurrence }
  }

  /** Null if there is none. */
  revise(name: string, change: RecurrenceChange, eventId: () => EventId, repeatOf?: Seen): Revised | null {
    const row = this.#rows.get(name)
    if (row === undefined) return null
    const before = row.recurrence
    if (repeatOf !== undefined && repeatOf.recurrenceId !== before.recurrenceId) return null
    if (standsAs(before, change)) return { _tag: "Unchanged", recurrence: before }
    const revisions = this.#revisions.get(before.recurrenceId) ?? []
    if (repeatOf !== undefined) {
      const since = revisions.filter(({ revision }) => revision >= repeatOf.revision)
      if (since.some((revision) => stoodAs(revision, change))) return { _tag: "Unchanged", recurrence: before }
    }
    if (change._tag === "Edit" && change.unlessSuperseded) {
      const { digest } = change.definition
      if (revisions.some((revision) => revision.digest === digest)) return { _tag: "Superseded", recurrence: before }
    }
    const atMs = Math.max(Math.floor(this.#tasks.now()), before.revisedAtMs)
    const after = changed(before, change, atMs)
    const ahead = [...row.ledger.values()]
      .filter(({ untilMs }) => untilMs > atMs)
      .map(({ fate, nominalAtMs, taskId, untilMs }) => {
        const state = taskId === null ? null : this.#tasks.stateOf(taskId)
        const isFree = fate !== "fired" || (state !== null && isUnstarted(state))
        if (fate === "fired" && taskId !== null && isFree)
          this.#tasks.cancel(taskId, eventId(), `its recurrence was changed: ${change._tag.toLowerCase()}`)
        return { fate, nominalAtMs, untilMs, isFree }
      })
    const revised = revise({
      before: standingOf(before),
      after: after === null ? null : standingOf(after),
      settledUntilMs: before.settledUntilMs,
      atMs,
      isBusy: this.#isBusy(before),
      ahead
    })
    const pastTaskId = this.#write(row, before, revised.past, eventId)
    if (revised.cancelsPrevious) this.#cancelPrevious(before, eventId)
    for (const { fate, nominalAtMs } of revised.dropped) {
      const line = row.ledger.get(nominalAtMs)
      if (line !== undefined) row.ledger.set(nominalAtMs, { ...line, fate, decidedAtMs: this.#tasks.now() })
    }
    if (after === null) {
      this.#rows.delete(name)
      this.#revisions.delete(before.recurrenceId)
      return { _tag: "Changed", recurrence: before }
    }
    const takenTaskId = this.#write(row, after, revised.taken, eventId)
    row.recurrence = {
      ...after,
      settledUntilMs: revised.settledUntilMs,
      nextAtMs: revised.nextAtMs,
      lastTaskId: takenTaskId ?? pastTaskId ?? before.lastTaskId
    }
    this.#beginRevision(row.recurrence)
    return { _tag: "Changed", recurrence: row.recurrence }
  }

  settle(limit: number, eventId: () => EventId): Settled {
    const nowMs = Math.floor(this.#tasks.now())
    let recurrencesCount = 0
    let tasksCount = 0
    for (const row of this.#due(nowMs).slice(0, limit)) {
      if (tasksCount >= settleTasksMax) break
      const { recurrence } = row
      const { policies, settledUntilMs } = recurrence
      const { next, openedMs } = standingOf(recurrence)
      const decision = decideFates({
        next,
        openedMs,
        policies,
        settledUntilMs,
        nowMs,
        untilMs: policies.overlap === "allow" ? nowMs + leadMsMax : nowMs,
        isBusy: this.#isBusy(recurrence)
      })
      const lastTaskId = this.#write(row, recurrence, decision.decided, eventId)
      if (decision.cancelsPrevious) this.#cancelPrevious(recurrence, eventId)
      row.recurrence = {
        ...recurrence,
        settledUntilMs: decision.settledUntilMs,
        nextAtMs: decision.nextAtMs,
        lastTaskId: lastTaskId ?? recurrence.lastTaskId
      }
      recurrencesCount++
      tasksCount += decision.decided.filter(({ fate }) => fate === "fired").length
    }
    const nextMs = this.#all().reduce(
      (earliest, { recurrence }) => Math.min(earliest, decideAtMsOfRow(recurrence)),
      Infinity
    )
    return { recurrencesCount, tasksCount, nextInMs: nextMs === Infinity ? null : Math.max(0, nextMs - nowMs) }
  }

  find(name: string): Recurrence | null {
    return this.#rows.get(name)?.recurrence ?? null
  }

  list(after: string | null, limit: number): ReadonlyArray<Recurrence> {
    return this.#all()
      .map(({ recurrence }) => recurrence)
      .filter(({ name }) => after === null || name > after)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .slice(0, limit)
  }

  revisions(recurrenceId: number): ReadonlyArray<RecurrenceRevision> {
    return (this.#revisions.get(recurrenceId) ?? []).map(({ fromMs, isPaused, policies, revision, rule }) => ({
      revision,
      fromMs,
      isPaused,
      rule,
      policies
    }))
  }

  /** By instant. */
  ledger(recurrenceId: number): ReadonlyArray<LedgerLine> {
    const lines = this.#ledgers.get(recurrenceId)?.values() ?? []
    return Array.from(lines).toSorted((a, b) => a.nominalAtMs - b.nominalAtMs)
  }

  /** As if it had been made, and last decided, so much earlier. */
  rewind(name: string, ms: number): void {
    const row = this.#rows.get(name)
    if (row === undefined) return
    const { recurrence } = row
    const settledUntilMs = recurrence.settledUntilMs - ms
    row.recurrence = { ...recurrence, settledUntilMs, nextAtMs: standingOf(recurrence).next(settledUntilMs) }
    const revisions = this.#revisions.get(recurrence.recurrenceId) ?? []
    const last = revisions.pop()
    if (last !== undefined) revisions.push({ ...last, fromMs: last.fromMs - ms })
  }

  subscribe(decide: (decideAtMs: number) => void): () => void {
    this.#decide.add(decide)
    return () => this.#decide.delete(decide)
  }

  #all(): ReadonlyArray<Row> {
    return Array.from(this.#rows.values())
  }

  #due(nowMs: number): ReadonlyArray<Row> {
    return this.#all()
      .filter(({ recurrence }) => decideAtMsOfRow(recurrence) <= nowMs)
      .toSorted((a, b) => decideAtMsOfRow(a.recurrence) - decideAtMsOfRow(b.recurrence))
  }

  #isBusy({ lastTaskId, policies }: Recurrence): boolean {
    if (policies.overlap === "allow" || lastTaskId === null) return false
    const state = this.#tasks.stateOf(lastTaskId)
    return state !== null && !isEnded(state.stage)
  }

  #cancelPrevious({ lastTaskId }: Recurrence, eventId: () => EventId): void {
    if (lastTaskId !== null) this.#tasks.cancel(lastTaskId, eventId(), "the next occurrence of its recurrence has come")
  }

  /** The task of the last instant of them that fires. */
  #write(row: Row, recurrence: Recurrence, decided: ReadonlyArray<Decided>, eventId: () => EventId): TaskId | null {
    let lastTaskId: TaskId | null = null
    for (const line of decided) {
      const policy = this.#tasks.policyOf(recurrence.kind)
      const tasks = occurrenceTask(recurrence, recurrence.revision, line, policy, eventId)
      this.#tasks.schedule(tasks)
      const taskId = tasks[0]?.taskId ?? null
      lastTaskId = taskId ?? lastTaskId
      const { fate, nominalAtMs, untilMs } = line
      const { revision } = recurrence
      row.ledger.set(nominalAtMs, { nominalAtMs, untilMs, fate, revision, taskId, decidedAtMs: this.#tasks.now() })
    }
    return lastTaskId
  }

  #beginRevision(recurrence: Recurrence): void {
    const { digest, pausedAtMs, policies, recurrenceId, revisedAtMs, revision, rule } = recurrence
    const revisions = this.#revisions.get(recurrenceId) ?? []
    revisions.push({ revision, fromMs: revisedAtMs, isPaused: pausedAtMs !== null, rule, policies, digest })
    this.#revisions.set(recurrenceId, revisions)
    for (const decide of this.#decide) decide(decideAtMsOfRow(recurrence))
  }
}

const decideAtMsOfRow = ({ nextAtMs, policies, recurrenceId }: Recurrence): number =>
  nextAtMs === null ? Infinity : decideAtMsOf(recurrenceId, nextAtMs, policies.overlap === "allow")
