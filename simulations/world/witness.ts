/**
 * Judges every event when it is appended (`appendAudit.ts`), and sees what cannot be seen in the end any more: who held a lease when an
 * event was appended, which tasks a claim has passed over, and what has left the store for others to read.
 */
import { Logger } from "effect"
import type { Broker, Dispatch } from "../../src/broker/Broker.ts"
import type { DeadLetter } from "../../src/core/DeadLetter.ts"
import { priorities, rankOf } from "../../src/core/Priority.ts"
import type { EventBody } from "../../src/core/TaskEvent.ts"
import type { TaskId } from "../../src/core/TaskId.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type {
  Claimed,
  ClaimRequest,
  Finished,
  FinishRequest,
  Started,
  StartDueRequest,
  StartRequest
} from "../../src/store/TaskStore.ts"
import { AppendAudit } from "./appendAudit.ts"
import { type Call, policies, secret } from "./handlers.ts"
import type { History } from "./History.ts"
import { announcedIn } from "./Standby.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"

export class Witness {
  readonly broken: Array<Broken> = []
  /** Outcomes that came too late and were refused. */
  lostOutcomesCount = 0
  readonly logger = Logger.make(({ message }) => this.leaves("a log line", message))
  /** Ms since the history began, by task and version. */
  readonly appendedAtMs = new Map<string, number>()
  #database: MemoryDatabase | null = null
  #isAlive: (sessionId: number, nowMs: number) => boolean = () => false
  readonly #isAliveIn = new Map<MemoryDatabase, (sessionId: number, nowMs: number) => boolean>()
  readonly #sinceStartMs: () => number
  readonly #history: History
  /** Judges calls; null: there has been a failover, and which starts it has taken is told when all is over. */
  #calls: AppendAudit | null = null

  constructor(history: History, sinceStartMs: () => number) {
    this.#history = history
    this.#sinceStartMs = sinceStartMs
  }

  /** Before anything is broken on purpose. */
  knows(database: MemoryDatabase): void {
    const { sessions } = database
    this.#isAliveIn.set(database, sessions.isAlive.bind(sessions))
  }

  /** Looks at every event before it is appended. */
  watch(database: MemoryDatabase): void {
    const { streams } = database
    const left = this.#database === null ? policies : announcedIn(database)
    const unannounced = new Set([...policies.keys()].filter((kind) => !left.has(kind)))
    const audit = new AppendAudit(database, this.#history, unannounced, this.#found)
    this.#calls = this.#database === null ? audit : null
    this.#database = database
    this.#isAlive = this.#isAliveIn.get(database) ?? this.#isAlive
    const finish = database.finish.bind(database)
    database.finish = (request) => {
      const answer = finish(request)
      if (answer._tag === "Recorded") this.#finished(request)
      return answer
    }
    const append = streams.append.bind(streams)
    streams.append = (taskId, body, eventId, atMs) => {
      this.#appends(taskId, body, streams.stateOf(taskId), atMs)
      const state = append(taskId, body, eventId, atMs)
      this.appendedAtMs.set(`${taskId} ${state.version}`, this.#sinceStartMs())
      audit.appended(taskId, state)
      return state
    }
    const commit = database.commit.bind(database)
    database.commit = (transaction, request) => {
      const answer = commit(transaction, request)
      audit.committed(request.started.taskId)
      return answer
    }
  }

  readonly #found = (broken: Broken): void => {
    this.broken.push({ ...broken, atMs: this.#sinceStartMs() })
  }

  #appends(taskId: TaskId, body: EventBody, before: TaskState | null, atMs: number): void {
    if (body._tag === "TaskClaimed" || body._tag === "AttemptStarted") {
      if (!this.#isAlive(body.sessionId, atMs)) {
        this.#found({ id: "S5", taskId, message: `${body._tag} by session ${body.sessionId} without a lease` })
      }
      return
    }
    const saysLost = "reason" in body && (body.reason === "session-lost" || body.reason === "quarantined")
    const isRepair = body._tag !== "AttemptReleased" && saysLost
    const sessionId = before?.sessionId ?? null
    if (isRepair && sessionId !== null && this.#isAlive(sessionId, atMs)) {
      const message = `${body._tag}: session ${sessionId} is said to be lost and has its lease`
      this.#found({ id: "S5", taskId, message })
    }
  }

  get #watched(): MemoryDatabase {
    if (this.#database === null) throw new Error("the witness has no database yet")
    return this.#database
  }

  called(call: Call): void {
    this.#calls?.called(call)
  }

  /** A claim answered short leaves nothing behind (L6); one that was cut short by its limit, nothing more urgent (L5). */
  claimed(request: ClaimRequest, { tasks }: Claimed): void {
    const { caps, kinds, limit, lookAheadMs, priorities: asked, sessionId } = request
    const { sessions, streams } = this.#watched
    if (caps !== undefined) return
    if (tasks.length < limit) {
      if (this.#isAlive(sessionId, this.#watched.now())) this.#leavesNothing(request)
      return
    }
    if (tasks.length === 0) return
    const served = kinds.filter((kind) => !sessions.isPaused(kind))
    const leastRank = Math.max(...tasks.map(({ priority }) => rankOf(priority)))
    for (const priority of priorities) {
      if (rankOf(priority) >= leastRank || asked?.includes(priority) === false) continue
      const left = streams.lanes.oldest(served, priority)
      if (left === undefined || left.dueAtMs > this.#watched.now() + lookAheadMs) continue
      const message = `is ${priority}, due and left behind by a claim that took less urgent ones`
      this.#found({ id: "L5", taskId: left.taskId, message })
    }
  }

  #leavesNothing({ kinds, lookAheadMs, priorities: asked }: ClaimRequest): void {
    const { sessions, streams } = this.#watched
    const served = kinds.filter((kind) => !sessions.isPaused(kind))
    for (const priority of priorities) {
      if (asked?.includes(priority) === false) continue
      const left = streams.lanes.oldest(served, priority)
      if (left === undefined || left.dueAtMs > this.#watched.now() + lookAheadMs) continue
      const message = `waits, and an engine that asked for more than it was given was not given it`
      this.#found({ id: "L6", taskId: left.taskId, message })
    }
  }

  /** S19: a start is refused over something that has happened. */
  #isJustified(sessionId: number, { fence, taskId }: StartRequest): boolean {
    const { sessions, streams } = this.#watched
    const state = streams.stateOf(taskId)
    const isAsClaimed = state?.stage === "claimed" && state.fence?.eventId === fence.eventId
    if (state === null || !isAsClaimed) return true
    const nowMs = this.#watched.now()
    const isLate = state.expiresAtMs !== null && state.expiresAtMs <= nowMs
    return isLate || sessions.isPaused(state.kind) || !this.#isAlive(sessionId, nowMs)
  }

  /** Whoever was given a start has asked with the claim that stands right before it. */
  started(
    sessionId: number,
    batch: ReadonlyArray<StartRequest>,
    answers: ReadonlyArray<{ readonly _tag: string }>
  ): void {
    for (const [index, request] of batch.entries()) {
      const { eventId, fence, taskId } = request
      if (answers[index]?._tag === "Lost" && !this.#isJustified(sessionId, request)) {
        const message = `a start with the claim of version ${fence.version} is refused, and nothing has happened to it`
        this.#found({ id: "S19", taskId, message })
      }
      if (answers[index]?._tag !== "Started") continue
      const events = this.#watched.streams.events(taskId) ?? []
      const start = events.findLast((event) => event.eventId === eventId)
      const isOfClaim = events.some((event) => event.version === fence.version && event.eventId === fence.eventId)
      if (isOfClaim && start?.version === fence.version + 1) continue
      const message = `a start that asked with the claim of version ${fence.version} has won version ${start?.version ?? "-"}`
      this.#found({ id: "S6", taskId, message })
    }
  }

  /** Whoever starts what is due has claimed it in the same step, out of what was waiting, under the names that it gave. */
  startedDue({ eventIds, sessionId }: StartDueRequest, answers: ReadonlyArray<Started>): void {
    for (const { fence, taskId } of answers) {
      const events = this.#watched.streams.events(taskId) ?? []
      const start = events.find(({ version }) => version === fence.version)
      const claim = events.find(({ version }) => version === fence.version - 1)
      const isOwn = start?.eventId === fence.eventId && eventIds.includes(fence.eventId)
      const isClaimed = claim?._tag === "TaskClaimed" && claim.sessionId === sessionId && claim.atMs === start?.atMs
      if (start?._tag === "AttemptStarted" && isOwn && isClaimed) continue
      const message = `a direct start has won version ${fence.version} without a claim of its own before it`
      this.#found({ id: "S6", taskId, message })
    }
  }

  /** An outcome is of the attempt that it was made for. */
  #finished({ eventId, started }: FinishRequest): void {
    const { streams } = this.#watched
    const events = streams.events(started.taskId) ?? []
    const outcome = events.find((event) => event.eventId === eventId)
    const start = events.findLast((event) => event._tag === "AttemptStarted" && event.version < (outcome?.version ?? 0))
    if (start?._tag === "AttemptStarted" && start.eventId === started.fence.eventId) return
    const message = `an outcome of attempt ${started.attempt} is recorded ${start?._tag === "AttemptStarted" ? `of attempt ${start.attempt}` : "nowhere"}`
    this.#found({ id: "S4", taskId: started.taskId, message })
  }

  /** A broker whose dispatches and letters are looked at. */
  watched(broker: Broker["Service"]): Broker["Service"] {
    return {
      ...broker,
      publish: (batch) => {
        for (const dispatch of batch) this.leaves("a dispatch", dispatch)
        return broker.publish(batch)
      }
    }
  }

  finished(answers: ReadonlyArray<Finished>): void {
    for (const { _tag } of answers) if (_tag === "Lost") this.lostOutcomesCount++
  }

  /** For whoever listens: it must not hold what a payload holds. */
  leaves(where: string, what: Dispatch | ReadonlyArray<DeadLetter> | unknown): void {
    const text = typeof what === "string" ? what : JSON.stringify(what)
    if (text?.includes(secret)) {
      this.#found({ id: "S20", taskId: null, message: `${where} holds what only a payload should` })
    }
  }
}
