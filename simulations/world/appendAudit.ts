/**
 * Judges every event as it is appended, every commit as it is answered and every call as it is made: what breaks is told with its
 * instant. The same sentences are held against the whole history in the end, where what is known already is not told again.
 */
import { Predicate } from "effect"
import { type AuditOptions, StreamAuditor } from "../../src/core/audit.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { TaskId } from "../../src/core/TaskId.ts"
import { isEnded, type TaskState } from "../../src/core/TaskState.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { type Call, policies, receipt, timeoutMsOf } from "./handlers.ts"
import { attemptsEndUnknown, clockStepMsMaxOf, type History, leasesEndUnknown } from "./History.ts"

export class AppendAudit {
  readonly #database: MemoryDatabase
  readonly #options: AuditOptions
  readonly #history: History
  readonly #found: (broken: Broken) => void
  readonly #auditors = new Map<TaskId, StreamAuditor>()
  readonly #taskIdOfEvent = new Map<string, TaskId>()
  /** The task that a key belongs to while it lives, by kind and key. */
  readonly #holders = new Map<string, TaskId>()
  readonly #keyOf = new Map<TaskId, { readonly kind: string; readonly key: string }>()
  /** Attempts whose effects are there, by the task that made them. */
  readonly #effects = new Map<string, Array<unknown>>()
  readonly #called = new Set<string>()
  readonly #fences = new Map<string, number>()

  /**
   * Goes on from the streams that are there: those that a failover has left.
   *
   * @param unannounced kinds whose policy it may have taken: by what their tasks are decided about is not held against them
   * @param found told at the instant at which it breaks
   */
  constructor(
    database: MemoryDatabase,
    history: History,
    unannounced: ReadonlySet<string>,
    found: (broken: Broken) => void
  ) {
    this.#database = database
    this.#history = history
    this.#options = {
      policyOf: (kind) => (unannounced.has(kind) ? undefined : policies.get(kind)),
      clockStepMsMax: clockStepMsMaxOf(history)
    }
    this.#found = found
    for (const { events, taskId } of database.streams.page(null, Number.MAX_SAFE_INTEGER)) this.#knows(taskId, events)
  }

  /** What breaks in these was told when it was appended, or is found in the end. */
  #knows(taskId: TaskId, events: ReadonlyArray<TaskEvent>): void {
    const auditor = new StreamAuditor(taskId, this.#options)
    this.#auditors.set(taskId, auditor)
    for (const event of events) {
      auditor.append(event)
      this.#taskIdOfEvent.set(event.eventId, taskId)
      if (event._tag !== "TaskScheduled") continue
      if (event.key !== null) this.#keyOf.set(taskId, { kind: event.kind, key: event.key })
      if (event.kind === receipt.kind) this.#effectOf(taskId)
    }
    const own = this.#keyOf.get(taskId)
    if (own === undefined || auditor.state === null || isEnded(auditor.state.stage)) return
    this.#holders.set(`${own.kind}\n${own.key}`, taskId)
  }

  /** After each append, with the state that the store now has. */
  appended(taskId: TaskId, state: TaskState): void {
    const event = this.#database.streams.last(taskId)
    if (event === null) return
    let auditor = this.#auditors.get(taskId)
    if (auditor === undefined) this.#auditors.set(taskId, (auditor = new StreamAuditor(taskId, this.#options)))
    const wasEnded = auditor.state !== null && isEnded(auditor.state.stage)
    for (const { invariant, message, version } of auditor.append(event)) {
      this.#found({ id: invariant, taskId, message: `version ${version ?? "-"}: ${message}` })
    }
    this.#isFold(state, auditor.state)
    this.#isIdNew(taskId, event)
    this.#keyHolds(taskId, event, wasEnded, isEnded(state.stage))
    if (event._tag === "TaskScheduled" && event.kind === receipt.kind) this.#effectOf(taskId)
  }

  /** S10: what the store goes by is the fold of its events. */
  #isFold(row: TaskState, folded: TaskState | null): void {
    if (folded === null) return
    for (const name of fields) {
      const [found, expected] = [row[name], folded[name]]
      if (found === expected || JSON.stringify(found) === JSON.stringify(expected)) continue
      const message = `version ${folded.version}: ${name} is ${JSON.stringify(found)} in the store and ${JSON.stringify(expected)} in the events`
      this.#found({ id: "S10", taskId: row.taskId, message })
    }
  }

  #isIdNew(taskId: TaskId, { eventId }: TaskEvent): void {
    const other = this.#taskIdOfEvent.get(eventId)
    this.#taskIdOfEvent.set(eventId, taskId)
    if (other === undefined || other === taskId) return
    this.#found({ id: "S1", taskId, message: `version -: event id ${eventId} stands in the stream of ${other}, too` })
  }

  /** S15: nothing is born, or lives again, under a key whose task is alive. */
  #keyHolds(taskId: TaskId, event: TaskEvent, wasEnded: boolean, isOver: boolean): void {
    if (event._tag === "TaskScheduled" && event.key !== null) {
      this.#keyOf.set(taskId, { kind: event.kind, key: event.key })
    } else if (!wasEnded && !isOver) return
    const own = this.#keyOf.get(taskId)
    if (own === undefined) return
    const name = `${own.kind}\n${own.key}`
    const holderId = this.#holders.get(name)
    if (isOver) {
      if (holderId === taskId) this.#holders.delete(name)
      return
    }
    if (holderId !== undefined && holderId !== taskId) {
      const message = `version -: lives at the same time as ${holderId} under the key ${own.key} of ${own.kind}`
      this.#found({ id: "S15", taskId, message })
    }
    this.#holders.set(name, taskId)
  }

  #effectOf(taskId: TaskId): void {
    const payload = this.#database.streams.payload(taskId)
    if (!Predicate.hasProperty(payload, "of") || !Predicate.hasProperty(payload, "attempt")) return
    const of = String(payload.of)
    const known = this.#effects.get(of)
    if (known === undefined) this.#effects.set(of, [payload.attempt])
    else known.push(payload.attempt)
  }

  /** S7: once a commit is answered, the task's effects are those of its success, or none. */
  committed(taskId: TaskId): void {
    const last = this.#database.streams.last(taskId)
    const expected = last?._tag === "AttemptSucceeded" ? [last.attempt] : []
    const found = this.#effects.get(taskId) ?? []
    if (found.join() === expected.join()) return
    const message = `effects of the attempts [${found.join()}], succeeded is [${expected.join()}]`
    this.#found({ id: "S7", taskId, message })
  }

  /** S5, S6 and S9: a call is of a start that was won, once, under a lease, and behind none of a greater fence. */
  called({ atMs, attempt, begunForMs, fence, isLeaseOver, node, taskId }: Call): void {
    const find = (id: string, message: string) => this.#found({ id, taskId, message })
    if (isLeaseOver && !leasesEndUnknown(this.#history, atMs - begunForMs))
      find("S5", `${node} calls attempt ${attempt} after its lease has ended`)
    const start = this.#database.streams.events(taskId)?.[fence - 1]
    const isWon = start?._tag === "AttemptStarted" && start.attempt === attempt
    if (!isWon) find("S6", `${node} calls attempt ${attempt}, which no start gives the right to`)
    const name = `${taskId} ${attempt}`
    if (this.#called.has(name)) find("S6", `attempt ${attempt} is called twice`)
    this.#called.add(name)
    const greatest = this.#fences.get(taskId) ?? 0
    const timeoutMs = timeoutMsOf(this.#database.streams.stateOf(taskId)?.kind ?? null)
    const isUnknown = attemptsEndUnknown(this.#history, atMs, timeoutMs)
    if (begunForMs === 0 && fence < greatest && !isUnknown) find("S9", `fence ${fence} comes after a greater one`)
    if (begunForMs === 0) this.#fences.set(taskId, Math.max(fence, greatest))
  }
}

const fields = [
  "stage",
  "kind",
  "priority",
  "dueAtMs",
  "expiresAtMs",
  "version",
  "eventId",
  "fence",
  "sessionId",
  "attempt",
  "charged",
  "deaths",
  "deadlineAtMs",
  "cancelRequested",
  "followed"
] as const satisfies ReadonlyArray<keyof TaskState>
