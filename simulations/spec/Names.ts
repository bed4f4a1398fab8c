/** Between the spec's names and one store's ids, both ways, as of the last look at the store's streams. */
import type { AttemptError, TaskEvent } from "../../src/core/TaskEvent.ts"
import type { Fence, TaskState } from "../../src/core/TaskState.ts"
import type { ClaimedTask, Parked, Started, StoredStream } from "../../src/store/TaskStore.ts"
import type { Request } from "./Operation.ts"

export class Names {
  readonly #idByName = new Map<string, string>()
  readonly #nameById = new Map<string, string>()
  readonly #events = new Map<string, ReadonlyArray<TaskEvent>>()
  /** As the store has answered them: whoever records an outcome has one in its hands. */
  readonly #started = new Map<string, Started>()
  readonly #sessionIds: ReadonlyArray<number>

  /** @param sessionIds of the store, in the order of the spec's numbers */
  constructor(sessionIds: ReadonlyArray<number>) {
    this.#sessionIds = sessionIds
  }

  sessionId(index: number): number {
    const id = this.#sessionIds[index]
    if (id === undefined) throw new Error(`no session ${index} was opened`)
    return id
  }

  add(name: string, id: string): void {
    this.#idByName.set(name, id)
    this.#nameById.set(id, name)
  }

  idOf(name: string): string {
    return this.#idByName.get(name) ?? nobody
  }

  nameOf(id: string): string {
    return this.#nameById.get(id) ?? `unknown ${id}`
  }

  fenceOf(name: string, version: number): Fence {
    const event = this.#events.get(this.idOf(name))?.[version - 1]
    return { version, eventId: event?.eventId ?? nobody }
  }

  kindOf(name: string): string {
    const [first] = this.#events.get(this.idOf(name)) ?? []
    return first?._tag === "TaskScheduled" ? first.kind : ""
  }

  startedOf(name: string, version: number): Started {
    const started = this.#started.get(`${name}@${version}`)
    if (started === undefined) throw new Error(`the store has told of no start ${name}@${version}`)
    return started
  }

  keep(started: Started): void {
    this.#started.set(`${this.nameOf(started.taskId)}@${started.fence.version}`, started)
  }

  /** What the store has named itself gets the name of the end that it follows. */
  learn(streams: ReadonlyArray<StoredStream>): void {
    for (const { events, taskId } of streams) {
      this.#events.set(taskId, events)
      const [first] = events
      if (first?._tag !== "TaskScheduled" || first.follows === undefined || this.#nameById.has(taskId)) continue
      this.add(`${this.nameOf(first.follows.taskId)}@${first.follows.version}>`, taskId)
    }
  }

  stream({ events, projections, taskId }: StoredStream): unknown {
    return { task: this.nameOf(taskId), facts: events.map((event) => this.fact(event)), projections }
  }

  fact(event: TaskEvent): unknown {
    const loose: Loose & TaskEvent = { ...event }
    const { _tag, atMs, error, eventId, follows, sessionId, taskId, version, ...rest } = loose
    return {
      tag: _tag,
      ...rest,
      ...(this.#nameById.has(taskId) ? {} : { taskId }),
      version,
      atMs,
      by: requestOf(eventId),
      ...(error === undefined ? {} : { error: error === null ? null : withoutStoreWords(error) }),
      ...(follows === undefined ? {} : { follows: { task: this.nameOf(follows.taskId), version: follows.version } }),
      ...(sessionId === undefined ? {} : { session: this.#sessionOf(sessionId) })
    }
  }

  state({ eventId, fence, sessionId, taskId, version, ...rest }: TaskState): unknown {
    const session = sessionId === null ? null : this.#sessionOf(sessionId)
    const last = this.#fence(taskId, { version, eventId })
    return { ...rest, version: last, session, fence: fence === null ? null : this.#fence(taskId, fence) }
  }

  claimed({ fence, taskId, ...rest }: ClaimedTask): Named {
    return { task: this.nameOf(taskId), ...rest, fence: this.#fence(taskId, fence) }
  }

  started({ _tag, fence, taskId, ...rest }: Started): Named {
    return { tag: _tag, task: this.nameOf(taskId), ...rest, fence: this.#fence(taskId, fence) }
  }

  parked({ attemptFence, fence, taskId, ...rest }: Parked): Named {
    return {
      task: this.nameOf(taskId),
      ...rest,
      attemptFence: this.#fence(taskId, attemptFence),
      fence: this.#fence(taskId, fence)
    }
  }

  /** The version alone, if the history has that event there. */
  #fence(taskId: string, { eventId, version }: Fence): unknown {
    return this.#events.get(taskId)?.[version - 1]?.eventId === eventId ? version : { version, eventId }
  }

  #sessionOf(id: number): unknown {
    const index = this.#sessionIds.indexOf(id)
    return index < 0 ? `session ${id}` : index
  }
}

/** In the spec's words, of one task. */
export type Named = { readonly task: string; readonly [field: string]: unknown }

/** What some events have. */
type Loose = {
  readonly [field: string]: unknown
  readonly error?: AttemptError | null
  readonly follows?: { readonly taskId: string; readonly version: number }
  readonly sessionId?: number
}

/** The words are the store's and for people. */
const withoutStoreWords = (error: AttemptError): AttemptError =>
  error.name === "AttemptExpired" ? { name: error.name, message: "" } : error

const requestPrefix = "00000000-0000-4000-8000-"
/** An id that nothing has. */
const nobody = "00000000-0000-7000-9000-000000000000"

export const eventIdOf = (request: Request): string => `${requestPrefix}${request.toString(16).padStart(12, "0")}`

const requestOf = (eventId: string): Request | null =>
  eventId.startsWith(requestPrefix) ? Number.parseInt(eventId.slice(requestPrefix.length), 16) : null
