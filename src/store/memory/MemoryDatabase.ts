import { type Clock, Effect, Queue, Result } from "effect"
import { askWaitsMs } from "../../core/asks.ts"
import { isSuspect } from "../../core/deaths.ts"
import { decide } from "../../core/decide.ts"
import { priorities, rankOf } from "../../core/Priority.ts"
import type { TaskCommand } from "../../core/TaskCommand.ts"
import type { ExpiryReason } from "../../core/TaskEvent.ts"
import type { EventId, TaskId } from "../../core/TaskId.ts"
import { isOver, type TaskState } from "../../core/TaskState.ts"
import { parkingOf } from "../parkingOf.ts"
import { leaseMsDefault } from "../Session.ts"
import type {
  Acted,
  BacklogRow,
  Claimed,
  ClaimedTask,
  ClaimRequest,
  Expired,
  ExpiredTasks,
  Finished,
  FinishRequest,
  NewTask,
  Parked,
  PauseTarget,
  PullRequest,
  ReconcileRequest,
  Scheduled,
  Started,
  TooEarly,
  StartDueRequest,
  StartRequest,
  Wish
} from "../TaskStore.ts"
import { DeadLetters } from "./DeadLetters.ts"
import { type KeyHolder, Keys } from "./Keys.ts"
import type { MemoryTransaction } from "./MemoryTransaction.ts"
import { Paces } from "./Paces.ts"
import { Recurrences } from "./Recurrences.ts"
import { Sessions } from "./Sessions.ts"
import { Streams } from "./Streams.ts"

/** A later earliest due time is not told to claimers: by then they have asked again. */
export const nextDueWithinMs = 86_400_000
/** Due tasks of a kind counted for a backlog row before the count stops. */
export const backlogCountMax = 10_000
/** Wake-ups waiting for one subscriber; older ones are dropped, since any of them makes an engine look. */
export const wakeUpsMax = 1_024

/**
 * What a database would keep, in memory: one truth that the stores of several processes stand on. Every operation
 * takes each task through `decide` and appends what it says, in one synchronous step, so operations never overlap
 * and each is its own transaction. Time is the database's own clock, the one of the fiber that made it.
 */
export class MemoryDatabase {
  readonly leaseMs: number
  readonly sessions = new Sessions()
  readonly streams = new Streams()
  readonly deadLetters = new DeadLetters(this.streams)
  readonly recurrences = new Recurrences({
    now: () => this.now(),
    schedule: (batch) => this.schedule(batch, null),
    stateOf: (taskId) => this.streams.stateOf(taskId),
    cancel: (taskId, eventId, reason) => this.act(taskId, eventId, { _tag: "Cancel", reason }),
    policyOf: (kind) => this.sessions.policyOf(kind)
  })
  readonly #paces = new Paces()
  readonly #keys = new Keys((holder) => this.#isKeyFree(holder))
  readonly #clock: Clock.Clock
  readonly #subscribers = new Set<Queue.Enqueue<number>>()

  constructor(clock: Clock.Clock, leaseMs: number) {
    this.#clock = clock
    this.leaseMs = leaseMs
  }

  now(): number {
    return Number(this.#clock.currentTimeNanosUnsafe()) / 1e6
  }

  schedule(batch: ReadonlyArray<NewTask>, transaction: MemoryTransaction | null): ReadonlyArray<Scheduled> {
    return batch.map((task) => {
      const known = this.#answerOf(task) ?? transaction?.answerOf(task)
      if (known !== undefined && known !== null) return known
      if (transaction === null) this.#create(task)
      else transaction.add(task)
      return { _tag: "Created", taskId: task.taskId }
    })
  }

  claim(request: ClaimRequest, eventId: () => EventId): Claimed {
    const { caps, kinds, limit } = request
    if (caps === undefined) return { ...this.#claim(request, eventId), cappedForMs: null }
    const [kind] = kinds
    if (kind === undefined || kinds.length > 1) throw new Error(`caps are of one kind, not of ${kinds.length}`)
    const atMs = this.now()
    const inProgressCount = this.streams.count(kind, "claimed") + this.streams.count(kind, "running")
    const allowance = this.#paces.allowance(kind, caps, limit, inProgressCount, atMs)
    const claimed = this.#claim({ ...request, lookAheadMs: 0, limit: allowance.limit }, eventId)
    this.#paces.take(kind, caps, claimed.tasks.length, atMs)
    return { ...claimed, cappedForMs: allowance.cappedForMs(claimed.tasks.length) }
  }

  #claim(
    { kinds, limit, lookAheadMs, priorities: asked, sessionId }: ClaimRequest,
    eventId: () => EventId
  ): Omit<Claimed, "cappedForMs"> {
    const atMs = this.now()
    const served = new Set(kinds.filter((kind) => !this.sessions.isPaused(kind)))
    const tasks: Array<ClaimedTask> = []
    const lanes = this.streams.lanes
    const lanesAsked = priorities.filter((priority) => asked?.includes(priority) ?? true)
    for (const priority of this.sessions.isAlive(sessionId, atMs) ? lanesAsked : []) {
      while (tasks.length < limit) {
        const entry = lanes.oldest(served, priority)
        if (entry === undefined || entry.dueAtMs > atMs + lookAheadMs) break
        const state = this.#apply(entry.taskId, { _tag: "Claim", sessionId, atMs, eventId: eventId() })
        // The lanes hold pending tasks only, and a pending task can be claimed.
        if (state === null) break
        tasks.push(...claimedTaskOf(state))
      }
    }
    const nextDueAtMs = lanes.earliest(served, lanesAsked)?.dueAtMs ?? null
    return { tasks, nextDueAtMs: nextDueAtMs !== null && nextDueAtMs <= atMs + nextDueWithinMs ? nextDueAtMs : null }
  }

  claimedBy(sessionId: number, dueBeforeMs: number, limit: number): ReadonlyArray<ClaimedTask> {
    return this.streams
      .heldBy(sessionId)
      .filter((state) => state.stage === "claimed" && state.dueAtMs < dueBeforeMs)
      .toSorted(urgentFirst)
      .slice(0, limit)
      .flatMap(claimedTaskOf)
  }

  pull({ fromLowest, kinds, limit, overdueMs, suspectsMax }: PullRequest): ReadonlyArray<ClaimedTask> {
    const served = new Set(kinds.filter((kind) => !this.sessions.isPaused(kind)))
    const nowMs = this.now()
    const dueByMs = nowMs - overdueMs
    let suspectsLeft = suspectsMax
    const overdue = this.streams
      .inProgress()
      .filter((state) => state.stage === "claimed" && served.has(state.kind) && state.dueAtMs <= dueByMs)
      .filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs)
      .toSorted(urgentFirst)
      .filter((state) => !isSuspect(state.deaths) || suspectsLeft-- > 0)
    const first = overdue.slice(0, Math.max(0, limit - fromLowest))
    const lowest = overdue.slice(first.length).toSorted(leastUrgentFirst)
    return [...first, ...lowest.slice(0, limit - first.length)].flatMap(claimedTaskOf)
  }

  pause(target: PauseTarget, isPaused: boolean): void {
    this.sessions.pause(target, isPaused)
    if (isPaused) return
    const resumed = Array.from(this.streams.kinds()).filter((kind) => {
      const isMeant =
        target._tag === "Kind" ? kind === target.kind : this.sessions.policyOf(kind).queue === target.queue
      return isMeant && !this.sessions.isPaused(kind)
    })
    const earliest = this.streams.lanes.earliest(resumed, priorities)
    if (earliest !== undefined) this.#wakeUp(earliest.dueAtMs)
  }

  release(taskId: TaskId, command: Extract<TaskCommand, { _tag: "ReleaseClaim" }>): "Released" | "Lost" {
    if (this.streams.eventOf(taskId, command.eventId) !== null) return "Released"
    return this.#apply(taskId, command) === null ? "Lost" : "Released"
  }

  start(sessionId: number, request: StartRequest): Started | { readonly _tag: "Lost" } | TooEarly {
    const { dispatchedAtMs, eventId, fence, taskId, timeoutMs } = request
    const current = this.streams.stateOf(taskId)
    if (current === null) return { _tag: "Lost" }
    // A repeated request whose start still holds the task; one that has lost it since must not run the handler.
    if (current.stage === "running" && current.fence?.eventId === eventId) return this.#startedOf(current)
    const atMs = this.now()
    if (!this.sessions.isAlive(sessionId, atMs) || this.sessions.isPaused(current.kind)) return { _tag: "Lost" }
    const command: TaskCommand = { _tag: "Start", fence, sessionId, timeoutMs, dispatchedAtMs, atMs, eventId }
    const decision = decide(command, current)
    if (Result.isFailure(decision)) {
      if (decision.failure._tag !== "TooEarly") return { _tag: "Lost" }
      return { _tag: "TooEarly", dueInMs: Math.ceil(current.dueAtMs - atMs) }
    }
    const state = this.#apply(taskId, command)
    return state === null ? { _tag: "Lost" } : this.#startedOf(state)
  }

  startDue({ eventIds, kinds, sessionId }: StartDueRequest, claimId: () => EventId): ReadonlyArray<Started> {
    const atMs = this.now()
    if (!this.sessions.isAlive(sessionId, atMs)) return []
    const timeoutMsOf = new Map(kinds.map(({ kind, timeoutMs }) => [kind, timeoutMs]))
    const served = new Set([...timeoutMsOf.keys()].filter((kind) => !this.sessions.isPaused(kind)))
    const started: Array<Started> = []
    for (const priority of priorities) {
      for (let eventId = eventIds[started.length]; eventId !== undefined; eventId = eventIds[started.length]) {
        const taskId = this.streams.lanes.oldest(served, priority)?.taskId
        const due = taskId === undefined ? null : this.streams.stateOf(taskId)
        // What comes behind one that may not be started is left to a claim, too.
        if (due === null || due.dueAtMs > atMs || isSuspect(due.deaths)) break
        if (due.expiresAtMs !== null && due.expiresAtMs <= atMs) break
        const claimed = this.#apply(due.taskId, { _tag: "Claim", sessionId, atMs, eventId: claimId() })
        if (claimed === null || claimed.fence === null) break
        const timeoutMs = timeoutMsOf.get(due.kind) ?? 0
        const start = { fence: claimed.fence, sessionId, timeoutMs, dispatchedAtMs: null, atMs, eventId }
        const state = this.#apply(due.taskId, { _tag: "Start", ...start })
        if (state === null) break
        started.push(this.#startedOf(state))
      }
    }
    return started
  }

  startedWith(eventIds: ReadonlyArray<EventId>): ReadonlyArray<Started> {
    return this.streams
      .inProgress()
      .filter(({ fence, stage }) => stage === "running" && fence !== null && eventIds.includes(fence.eventId))
      .map((state) => this.#startedOf(state))
  }

  finish({ eventId, outcome, policy, started }: FinishRequest): Finished {
    const { fence, taskId } = started
    const made = this.streams.eventOf(taskId, eventId)
    const state = made?.state ?? this.#apply(taskId, { ...outcome, fence, policy, atMs: this.now(), eventId })
    return state === null ? { _tag: "Lost" } : { _tag: "Recorded", stage: state.stage }
  }

  /** All the tasks of the transaction and the outcome, or neither. */
  commit(transaction: MemoryTransaction, request: FinishRequest): "Committed" | "Lost" | "KeyTaken" {
    // A repeat after a lost answer: the first time committed, so this one's changes must not come on top.
    if (this.streams.eventOf(request.started.taskId, request.eventId) !== null) return "Committed"
    if (transaction.tasks.some((task) => this.#answerOf(task) !== null)) return "KeyTaken"
    if (this.finish(request)._tag === "Lost") return "Lost"
    for (const task of transaction.tasks) this.#create(task)
    for (const effect of transaction.effects) effect()
    return "Committed"
  }

  anyExpired(): boolean {
    const atMs = this.now()
    const isHeldByTheDead = Array.from(this.streams.holders()).some(
      (id) => !this.sessions.isAlive(id, atMs) && this.#endedWith(id).length > 0
    )
    return (
      isHeldByTheDead ||
      this.sessions.anyPassed(atMs) ||
      this.streams.overdue(atMs, 1, this.#isKnown).length > 0 ||
      this.streams.anyLate(atMs)
    )
  }

  expire(limit: number, eventId: () => EventId, asOfMs = Number.POSITIVE_INFINITY): ReadonlyArray<Expired> {
    const atMs = this.now()
    const endedAtMs = Math.min(atMs, asOfMs)
    const expired: Array<Expired> = []
    this.sessions.endPassed(endedAtMs)
    for (const sessionId of Array.from(this.streams.holders())) {
      if (this.sessions.isAlive(sessionId, endedAtMs)) continue
      const reason = this.sessions.hasLeft(sessionId) ? "session-left" : "session-lost"
      for (const held of this.#endedWith(sessionId).slice(0, limit - expired.length)) {
        expired.push(...this.#expire(held, reason, atMs, eventId()))
      }
    }
    for (const overdue of this.streams.overdue(endedAtMs, limit - expired.length, this.#isKnown)) {
      expired.push(...this.#expire(overdue, "deadline", atMs, eventId()))
    }
    return expired
  }

  expireTasks(limit: number, eventId: () => EventId): ExpiredTasks {
    const atMs = this.now()
    const late = this.streams.takeLate(atMs, limit)
    const taskIds = late.filter(
      (taskId) => this.#apply(taskId, { _tag: "ExpireTask", atMs, eventId: eventId() }) !== null
    )
    return { taskIds, lookedAtCount: late.length }
  }

  takeParked({
    kinds,
    limit
  }: {
    readonly kinds: ReadonlyArray<string>
    readonly limit: number
  }): ReadonlyArray<Parked> {
    const atMs = this.now()
    const asked = new Set(kinds.filter((kind) => !this.sessions.isPaused(kind)))
    const waiting = Array.from(this.streams.parked).flatMap(([taskId, ask]) => {
      const { askAtMs } = ask
      const isMeant = asked.has(this.streams.stateOf(taskId)?.kind ?? "")
      return isMeant && askAtMs !== null && askAtMs <= atMs ? [{ taskId, ask, askAtMs }] : []
    })
    const first = waiting.toSorted((a, b) => a.askAtMs - b.askAtMs || (a.taskId < b.taskId ? -1 : 1)).slice(0, limit)
    return first.flatMap(({ ask, taskId }) => {
      const waitMs = askWaitsMs[ask.askedCount]
      ask.askedCount++
      ask.askAtMs = waitMs === undefined ? null : atMs + waitMs
      const parking = parkingOf(this.streams.events(taskId) ?? [])
      return parking === null ? [] : [{ ...parking, askedCount: ask.askedCount, isLastAsk: ask.askAtMs === null }]
    })
  }

  reconcile({ taskId, ...request }: ReconcileRequest): Finished {
    const made = this.streams.eventOf(taskId, request.eventId)
    const state = made?.state ?? this.#apply(taskId, { _tag: "Reconcile", ...request, atMs: this.now() })
    return state === null ? { _tag: "Lost" } : { _tag: "Recorded", stage: state.stage }
  }

  /** Null if there is no such task. */
  act(taskId: TaskId, eventId: EventId, wish: Wish): Acted | null {
    const current = this.streams.stateOf(taskId)
    if (current === null) return null
    const made = this.streams.eventOf(taskId, eventId)
    if (made !== null) return { _tag: "Done", state: made.state ?? current }
    const command: TaskCommand = { ...wish, atMs: this.now(), eventId }
    const decision = decide(command, current)
    if (Result.isFailure(decision)) return { _tag: "Rejected", state: current, rejection: decision.failure }
    return { _tag: "Done", state: this.#apply(taskId, command) ?? current }
  }

  backlog(): ReadonlyArray<BacklogRow> {
    const atMs = this.now()
    const { lanes } = this.streams
    return Array.from(this.streams.kinds())
      .toSorted()
      .map((kind) => {
        const oldestDueAtMs = lanes.earliest([kind], priorities)?.dueAtMs ?? null
        return {
          kind,
          dueCount: lanes.countDue(kind, atMs, backlogCountMax),
          oldestDueAtMs: oldestDueAtMs !== null && oldestDueAtMs <= atMs ? oldestDueAtMs : null,
          inProgressCount: this.streams.count(kind, "claimed") + this.streams.count(kind, "running"),
          parkedCount: this.streams.count(kind, "parked"),
          deadCount: this.streams.count(kind, "dead")
        }
      })
  }

  subscribe(queue: Queue.Enqueue<number>): void {
    this.#subscribers.add(queue)
  }

  unsubscribe(queue: Queue.Enqueue<number>): void {
    this.#subscribers.delete(queue)
  }

  #answerOf(task: NewTask): Scheduled | null {
    const events = this.streams.eventOf(task.taskId, task.eventId)
    if (events !== null) return { _tag: "Created", taskId: task.taskId }
    return this.streams.stateOf(task.taskId) === null
      ? this.#keys.answerOf(task)
      : { _tag: "Existing", taskId: task.taskId }
  }

  #isKeyFree({ keptMs, taskId }: KeyHolder): boolean {
    const stage = this.streams.stateOf(taskId)?.stage
    if (keptMs === null || stage === undefined || !isOver(stage)) return false
    const endedAtMs = this.streams.events(taskId)?.at(-1)?.atMs
    return endedAtMs !== undefined && endedAtMs + keptMs <= this.now()
  }

  #create(task: NewTask): void {
    const { taskId, eventId, keyKeptMs: _, ...schedule } = task
    this.#apply(taskId, { _tag: "Schedule", ...schedule, atMs: this.now(), eventId })
    this.#keys.add(task)
  }

  /** The state after the command, or null if it is rejected or appends nothing. */
  #apply(taskId: TaskId, command: TaskCommand): TaskState | null {
    const decision = decide(command, this.streams.stateOf(taskId))
    if (Result.isFailure(decision)) return null
    let state: TaskState | null = null
    for (const body of decision.success) state = this.streams.append(taskId, body, command.eventId, command.atMs)
    if (state?.stage === "pending") this.#wakeUp(state.dueAtMs)
    const followUp = state?.followed === true ? this.streams.followUpOf(taskId) : null
    if (followUp !== null) this.#create(followUp)
    return state
  }

  readonly #isKnown = (kind: string) => this.sessions.knows(kind)

  /** Attempts of kinds that nobody has announced wait: `expire` of the port. */
  #endedWith(sessionId: number): ReadonlyArray<TaskState> {
    return this.streams.heldBy(sessionId).filter(({ kind, stage }) => stage === "claimed" || this.#isKnown(kind))
  }

  #expire(held: TaskState, reason: ExpiryReason, atMs: number, eventId: EventId): ReadonlyArray<Expired> {
    const { fence, kind, stage: from, taskId } = held
    if (fence === null || (from !== "claimed" && from !== "running")) return []
    const policy = this.sessions.policyOf(kind)
    const state = this.#apply(taskId, { _tag: "Expire", fence, reason, policy, atMs, eventId })
    return state === null ? [] : [{ taskId, from, stage: state.stage }]
  }

  #startedOf(state: TaskState): Started {
    const { attempt, charged, dueAtMs, fence, followed, kind, priority, taskId } = state
    const startedAtMs = fence === null ? undefined : this.streams.eventOf(taskId, fence.eventId)?.event.atMs
    if (fence === null || startedAtMs === undefined || state.deadlineAtMs === null) {
      throw new Error(`task ${taskId} is running without the event of its start`)
    }
    const { deadlineAtMs } = state
    const payload = this.streams.payload(taskId)
    const traced = this.streams.tracedOf(taskId)
    return {
      _tag: "Started",
      taskId,
      kind,
      priority,
      dueAtMs,
      startedAtMs,
      deadlineAtMs,
      attempt,
      charged,
      fence,
      payload,
      followed,
      ...(traced === null ? {} : { traced })
    }
  }

  #wakeUp(dueAtMs: number): void {
    for (const queue of this.#subscribers) Queue.offerUnsafe(queue, dueAtMs)
  }
}

/** A new empty database on the clock of the calling fiber. */
export const make = (options?: { readonly leaseMs?: number }): Effect.Effect<MemoryDatabase> =>
  Effect.clockWith((clock) => Effect.succeed(new MemoryDatabase(clock, options?.leaseMs ?? leaseMsDefault)))

const urgentFirst = (one: TaskState, other: TaskState): number =>
  rankOf(one.priority) - rankOf(other.priority) || oldestFirst(one, other)

const leastUrgentFirst = (one: TaskState, other: TaskState): number =>
  rankOf(other.priority) - rankOf(one.priority) || oldestFirst(one, other)

const oldestFirst = (one: TaskState, other: TaskState): number =>
  one.dueAtMs - other.dueAtMs || (one.taskId < other.taskId ? -1 : 1)

const claimedTaskOf = ({ deaths, dueAtMs, fence, kind, priority, taskId }: TaskState): ReadonlyArray<ClaimedTask> =>
  fence === null ? [] : [{ taskId, kind, priority, dueAtMs, fence, isSuspect: isSuspect(deaths) }]
