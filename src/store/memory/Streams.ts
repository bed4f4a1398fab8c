import { evolve, fold } from "../../core/evolve.ts"
import { type FollowingTask, followUpOf, isFollowed, linksOf } from "../../core/followUps.ts"
import type { EventBody, Json, TaskEvent } from "../../core/TaskEvent.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import { isOver, type Stage, type TaskState } from "../../core/TaskState.ts"
import type { FindFilter, FindPage, Projection, StoredStream } from "../TaskStore.ts"
import { Heap } from "./Heap.ts"
import { Lanes } from "./Lanes.ts"

/**
 * The event streams with the state each one folds to, and the indexes over those states: lanes of what is pending,
 * what each session holds, deadlines of what is running, and counts by kind. `append` is the only way in and
 * updates all of them in one step.
 */
export class Streams {
  readonly #records = new Map<TaskId, StreamRecord>()
  /** Ids in order once `#sortedIds` has been asked for; new ones are behind the sorted part until then. */
  readonly #ids: Array<TaskId> = []
  #sortedCount = 0
  readonly #held = new Map<number, Set<TaskId>>()
  readonly #deadlines = new Heap<Deadline>((one, other) => one.deadlineAtMs < other.deadlineAtMs)
  /**
   * Every task that expires, until it has been looked at; again when it waits once more. That it then waits past its instant takes a
   * clock that was set back meanwhile: otherwise it is not tried again (`core/machine.ts`).
   */
  readonly #expiring = new Heap<{ readonly taskId: TaskId; readonly expiresAtMs: number }>(
    (one, other) => one.expiresAtMs < other.expiresAtMs
  )
  /** What is in there. */
  readonly #expiringIds = new Set<TaskId>()
  readonly #counts = new Map<string, Record<Stage, number>>()
  /** Dead letters not announced yet, the first to die first, with the version of their death. */
  readonly unannounced = new Map<TaskId, number>()
  /** All dead letters with the version of their death. */
  readonly dead = new Map<TaskId, number>()
  /** What is parked, and when the outside is asked about it next; null: only a person decides. */
  readonly parked = new Map<TaskId, { askAtMs: number | null; askedCount: number }>()
  readonly lanes = new Lanes((entry) => {
    const state = this.#records.get(entry.taskId)?.state
    return state !== undefined && state.version === entry.version && state.stage === "pending"
  })

  stateOf(taskId: TaskId): TaskState | null {
    return this.#records.get(taskId)?.state ?? null
  }

  /** Appends at the next version: nothing else runs between a decision and its append, so no check is due here. */
  append(taskId: TaskId, body: EventBody, eventId: EventId, atMs: number): TaskState {
    const record = this.#records.get(taskId)
    const before = record?.state ?? null
    const event: TaskEvent = { ...withoutJson(body), taskId, version: (before?.version ?? 0) + 1, eventId, atMs }
    const state = evolve(before, event)
    if (record === undefined) {
      this.#records.set(taskId, { events: [event], state, payloadText: jsonOf(body), resultText: "null" })
      this.#ids.push(taskId)
    } else {
      record.events.push(event)
      record.state = state
      if (hasResult(body)) record.resultText = jsonOf(body)
    }
    this.#reindex(before, state, atMs)
    return state
  }

  events(taskId: TaskId): ReadonlyArray<TaskEvent> | null {
    const record = this.#records.get(taskId)
    return record === undefined ? null : record.events.map((event) => withJson(event, record))
  }

  /** The event that was appended last, without payload or result. */
  last(taskId: TaskId): TaskEvent | null {
    return this.#records.get(taskId)?.events.at(-1) ?? null
  }

  /** What follows the last event of the stream. */
  followUpOf(taskId: TaskId): FollowingTask | null {
    const events = this.#records.get(taskId)?.events ?? []
    const [born] = events
    const last = events.at(-1)
    return born?._tag !== "TaskScheduled" || last === undefined ? null : followUpOf(born, last)
  }

  /** That the attempts are given now. */
  payload(taskId: TaskId): Json {
    const record = this.#records.get(taskId)
    const edited = record?.events.findLast((event) => event._tag === "TaskRedriven" && event.payload !== undefined)
    return edited?._tag === "TaskRedriven" && edited.payload !== undefined
      ? structuredClone(edited.payload)
      : JSON.parse(record?.payloadText ?? "null")
  }

  /** The event with its state, if this stream holds one of that id: how a repeated request is recognised. */
  eventOf(taskId: TaskId, eventId: EventId): { readonly event: TaskEvent; readonly state: TaskState | null } | null {
    const events = this.#records.get(taskId)?.events ?? []
    for (let index = events.length - 1; index >= 0; index--) {
      const event = events[index]
      if (event?.eventId === eventId) return { event, state: fold(events.slice(0, index + 1)) }
    }
    return null
  }

  /** The span that scheduled the task, and when it was claimed last; null: nobody traced it. */
  tracedOf(taskId: TaskId): { readonly traceparent: string; readonly claimedAtMs: number } | null {
    const events = this.#records.get(taskId)?.events ?? []
    const [born] = events
    if (born?._tag !== "TaskScheduled" || born.traceparent === undefined) return null
    const claim = events.findLast(({ _tag }) => _tag === "TaskClaimed")
    return { traceparent: born.traceparent, claimedAtMs: claim?.atMs ?? born.atMs }
  }

  /** Claims and attempts of a session. */
  heldBy(sessionId: number): ReadonlyArray<TaskState> {
    return Array.from(this.#held.get(sessionId) ?? []).flatMap((taskId) => this.stateOf(taskId) ?? [])
  }

  /** Claimed and running, of every session. */
  inProgress(): ReadonlyArray<TaskState> {
    return Array.from(this.#held.keys()).flatMap((sessionId) => this.heldBy(sessionId))
  }

  holders(): Iterable<number> {
    return this.#held.keys()
  }

  /** Running attempts of these kinds whose deadline has passed. */
  overdue(atMs: number, limit: number, isOfKind: (kind: string) => boolean): ReadonlyArray<TaskState> {
    const found: Array<TaskState> = []
    const kept: Array<Deadline> = []
    for (let head = this.#deadlines.peek(); head !== undefined; head = this.#deadlines.peek()) {
      const state = this.stateOf(head.taskId)
      if (state?.stage === "running" && state.attempt === head.attempt) {
        if (head.deadlineAtMs > atMs || found.length >= limit) break
        if (isOfKind(state.kind)) found.push(state)
        kept.push(head)
      }
      this.#deadlines.pop()
    }
    // Whoever asked may not end them; a stale entry is dropped the next time it comes to the top.
    for (const deadline of kept) this.#deadlines.push(deadline)
    return found
  }

  anyLate(atMs: number): boolean {
    const head = this.#expiring.peek()
    return head !== undefined && head.expiresAtMs <= atMs
  }

  /** Tasks whose instant has passed, each once. */
  takeLate(atMs: number, limit: number): ReadonlyArray<TaskId> {
    const taskIds: Array<TaskId> = []
    for (let head = this.#expiring.peek(); head !== undefined; head = this.#expiring.peek()) {
      if (head.expiresAtMs > atMs || taskIds.length >= limit) break
      taskIds.push(head.taskId)
      this.#expiring.pop()
      this.#expiringIds.delete(head.taskId)
    }
    return taskIds
  }

  count(kind: string, stage: Stage): number {
    return this.#counts.get(kind)?.[stage] ?? 0
  }

  kinds(): Iterable<string> {
    return this.#counts.keys()
  }

  /** @param isMeant what the filter says besides stage and kind */
  find({ after, kind, limit, stage }: FindFilter, isMeant: (taskId: TaskId) => boolean = () => true): FindPage {
    const tasks: Array<TaskState> = []
    const ids = this.#sortedIds()
    for (let index = firstAfter(ids, after ?? null); index < ids.length; index++) {
      const state = this.stateOf(ids[index] ?? "")
      if (state === null || state.stage !== stage || (kind !== undefined && state.kind !== kind)) continue
      if (!isMeant(state.taskId)) continue
      const last = tasks.at(-1)
      if (tasks.length === limit && last !== undefined) return { tasks, next: last.taskId }
      tasks.push(state)
    }
    return { tasks, next: null }
  }

  page(after: TaskId | null, limit: number): ReadonlyArray<StoredStream> {
    const ids = this.#sortedIds()
    const start = firstAfter(ids, after)
    return ids.slice(start, start + limit).map((taskId) => {
      const state = this.stateOf(taskId)
      return { taskId, events: this.events(taskId) ?? [], projections: state === null ? [] : projectionsOf(state) }
    })
  }

  #reindex(before: TaskState | null, after: TaskState, atMs: number): void {
    const { attempt, deadlineAtMs, dueAtMs, kind, priority, stage, taskId, version } = after
    if (stage === "pending" && after.expiresAtMs !== null && !this.#expiringIds.has(taskId)) {
      this.#expiring.push({ taskId, expiresAtMs: after.expiresAtMs })
      this.#expiringIds.add(taskId)
    }
    if (before?.stage === "pending") this.lanes.leave(before.kind, before.priority)
    if (stage === "pending") this.lanes.enter(kind, priority, { taskId, dueAtMs, version })
    if (before?.stage === "dead") {
      this.unannounced.delete(taskId)
      this.dead.delete(taskId)
    }
    if (stage === "dead") {
      this.unannounced.set(taskId, version)
      this.dead.set(taskId, version)
    }
    if (before?.stage === "parked") this.parked.delete(taskId)
    if (stage === "parked") this.parked.set(taskId, { askAtMs: atMs, askedCount: 0 })
    if (stage === "running" && before?.stage !== "running" && deadlineAtMs !== null) {
      this.#deadlines.push({ taskId, attempt, deadlineAtMs })
    }
    if (before !== null && before.sessionId !== null && before.sessionId !== after.sessionId) {
      const held = this.#held.get(before.sessionId)
      held?.delete(taskId)
      if (held?.size === 0) this.#held.delete(before.sessionId)
    }
    if (after.sessionId !== null && before?.sessionId !== after.sessionId) {
      const held = this.#held.get(after.sessionId)
      if (held === undefined) this.#held.set(after.sessionId, new Set([taskId]))
      else held.add(taskId)
    }
    const counts = this.#counts.get(kind) ?? noneOf()
    this.#counts.set(kind, counts)
    if (before !== null) counts[before.stage]--
    counts[stage]++
  }

  #sortedIds(): ReadonlyArray<TaskId> {
    if (this.#sortedCount < this.#ids.length) {
      this.#ids.sort()
      this.#sortedCount = this.#ids.length
    }
    return this.#ids
  }
}

/** JSON is kept as text, as in a database: nobody can change a stored payload through a reference to it. */
type StreamRecord = {
  readonly events: Array<TaskEvent>
  state: TaskState
  readonly payloadText: string
  resultText: string
}

type Deadline = { readonly taskId: TaskId; readonly attempt: number; readonly deadlineAtMs: number }

const hasResult = <Body extends EventBody>(body: Body): body is Extract<Body, { readonly result: Json }> =>
  body._tag === "AttemptSucceeded" || body._tag === "TaskReconciled"

const jsonOf = (body: EventBody): string =>
  JSON.stringify(body._tag === "TaskScheduled" ? body.payload : hasResult(body) ? body.result : null)

const withoutJson = (body: EventBody): EventBody => {
  if (body._tag === "TaskScheduled") {
    const own = isFollowed(body) ? structuredClone(linksOf(body)) : {}
    return { ...body, payload: null, ...own }
  }
  if (body._tag === "TaskRedriven") return structuredClone(body)
  return hasResult(body) ? { ...body, result: null } : body
}

const withJson = (event: TaskEvent, record: StreamRecord): TaskEvent => {
  if (event._tag === "TaskScheduled") return { ...event, payload: JSON.parse(record.payloadText) }
  if (event._tag === "TaskRedriven") return structuredClone(event)
  return hasResult(event) ? { ...event, result: JSON.parse(record.resultText) } : event
}

const projectionsOf = (state: TaskState): ReadonlyArray<Projection> => {
  const { attempt, charged, dueAtMs, kind, priority, stage, version } = state
  return isOver(stage) ? [] : [{ stage, kind, priority, dueAtMs, version, attempt, charged }]
}

const noneOf = (): Record<Stage, number> => ({
  pending: 0,
  claimed: 0,
  running: 0,
  parked: 0,
  dead: 0,
  succeeded: 0,
  cancelled: 0,
  expired: 0
})

/** Index of the first id greater than `after`, by bisection. */
const firstAfter = (ids: ReadonlyArray<TaskId>, after: TaskId | null): number => {
  if (after === null) return 0
  let low = 0
  let high = ids.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ids[middle] ?? "") <= after) low = middle + 1
    else high = middle
  }
  return low
}
