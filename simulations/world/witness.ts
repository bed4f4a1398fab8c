/**
 * Judges every event when it is appended (`appendAudit.ts`), and sees what cannot be seen in the end any more: who held a lease when an event was appended, which tasks a claim has passed over, and
 * what has left the store for others to read.
 */
import { Logger } from "effect"
import type { Dispatch } from "../../src/broker/Broker.ts"
import type { AuditOptions } from "../../src/core/audit.ts"
import type { DeadLetter } from "../../src/core/DeadLetter.ts"
import { priorities, rankOf } from "../../src/core/Priority.ts"
import type { EventBody } from "../../src/core/TaskEvent.ts"
import type { TaskId } from "../../src/core/TaskId.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Claimed, ClaimRequest, Finished, FinishRequest, StartRequest } from "../../src/store/TaskStore.ts"
import { AppendAudit } from "./appendAudit.ts"
import { type Call, secret } from "./handlers.ts"
import type { Broken } from "./Broken.ts"

export class Witness {
  readonly broken: Array<Broken> = []
  /** Outcomes that came too late and were refused. */
  lostOutcomesCount = 0
  readonly logger = Logger.make(({ message }) => this.leaves("a log line", message))
  readonly #database: MemoryDatabase
  readonly #isAlive: (sessionId: number, nowMs: number) => boolean

  readonly #found: (broken: Broken) => void
  readonly #audit: AppendAudit

  /** @param nowMs of the history */
  constructor(database: MemoryDatabase, options: AuditOptions, nowMs: () => number) {
    this.#database = database
    this.#found = (broken) => this.broken.push({ ...broken, atMs: nowMs() })
    this.#audit = new AppendAudit(database, options, this.#found)
    const { sessions } = database
    // As they are before anything is broken on purpose.
    this.#isAlive = sessions.isAlive.bind(sessions)
  }

  /** Looks at every event before it is appended. */
  watch(): void {
    const { streams } = this.#database
    const finish = this.#database.finish.bind(this.#database)
    this.#database.finish = (request) => {
      const answer = finish(request)
      if (answer._tag === "Recorded") this.#finished(request)
      return answer
    }
    const append = streams.append.bind(streams)
    streams.append = (taskId, body, eventId, atMs) => {
      this.#appends(taskId, body, streams.stateOf(taskId), atMs)
      const state = append(taskId, body, eventId, atMs)
      this.#audit.appended(taskId, state)
      return state
    }
    const commit = this.#database.commit.bind(this.#database)
    this.#database.commit = (transaction, request) => {
      const answer = commit(transaction, request)
      this.#audit.committed(request.started.taskId)
      return answer
    }
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

  called(call: Call): void {
    this.#audit.called(call)
  }

  /** A claim answered short leaves nothing behind (L6); one that was cut short by its limit, nothing more urgent (L5). */
  claimed(request: ClaimRequest, { tasks }: Claimed): void {
    const { caps, kinds, limit, lookAheadMs, priorities: asked, sessionId } = request
    const { sessions, streams } = this.#database
    if (caps !== undefined) return
    if (tasks.length < limit) {
      if (this.#isAlive(sessionId, this.#database.now())) this.#leavesNothing(request)
      return
    }
    if (tasks.length === 0) return
    const served = kinds.filter((kind) => !sessions.isPaused(kind))
    const leastRank = Math.max(...tasks.map(({ priority }) => rankOf(priority)))
    for (const priority of priorities) {
      if (rankOf(priority) >= leastRank || asked?.includes(priority) === false) continue
      const left = streams.lanes.oldest(served, priority)
      if (left === undefined || left.dueAtMs > this.#database.now() + lookAheadMs) continue
      const message = `is ${priority}, due and left behind by a claim that took less urgent ones`
      this.#found({ id: "L5", taskId: left.taskId, message })
    }
  }

  #leavesNothing({ kinds, lookAheadMs, priorities: asked }: ClaimRequest): void {
    const { sessions, streams } = this.#database
    const served = kinds.filter((kind) => !sessions.isPaused(kind))
    for (const priority of priorities) {
      if (asked?.includes(priority) === false) continue
      const left = streams.lanes.oldest(served, priority)
      if (left === undefined || left.dueAtMs > this.#database.now() + lookAheadMs) continue
      const message = `waits, and an engine that asked for more than it was given was not given it`
      this.#found({ id: "L6", taskId: left.taskId, message })
    }
  }

  /** S19: a start is refused over something that has happened. */
  #isJustified(sessionId: number, { fence, taskId }: StartRequest): boolean {
    const { sessions, streams } = this.#database
    const state = streams.stateOf(taskId)
    const isAsClaimed = state?.stage === "claimed" && state.fence?.eventId === fence.eventId
    if (state === null || !isAsClaimed) return true
    const nowMs = this.#database.now()
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
      const start = this.#database.streams.eventOf(taskId, eventId)?.event
      if (start !== undefined && start.version === fence.version + 1) continue
      const message = `a start that asked with the claim of version ${fence.version} has won version ${start?.version ?? "-"}`
      this.#found({ id: "S6", taskId, message })
    }
  }

  /** An outcome is of the attempt that it was made for. */
  #finished({ eventId, started }: FinishRequest): void {
    const { streams } = this.#database
    const events = streams.events(started.taskId) ?? []
    const outcome = events.find((event) => event.eventId === eventId)
    const start = events.findLast((event) => event._tag === "AttemptStarted" && event.version < (outcome?.version ?? 0))
    if (start?._tag === "AttemptStarted" && start.attempt === started.attempt) return
    const message = `an outcome of attempt ${started.attempt} is recorded ${start?._tag === "AttemptStarted" ? `of attempt ${start.attempt}` : "nowhere"}`
    this.#found({ id: "S4", taskId: started.taskId, message })
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
