/**
 * The judge: holds every history against what the client, the application's table and the outside have seen. It asks nobody and
 * knows no clock; what it is told, it judges.
 */
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { StoredStream } from "../../src/store/TaskStore.ts"
import { againstRevisions } from "./againstRevisions.ts"
import { Call, CallOnce, Commit, Doomed, type Revision } from "./kinds.ts"
import type { OutsideCall } from "./outside.ts"

/** What others than duetime have seen. */
export type Witnesses = {
  /** Task id to kind, as the client was told. */
  readonly acknowledged: ReadonlyMap<string, string>
  /** Task id to the attempts that left a row in the application's table. */
  readonly effects: ReadonlyMap<string, ReadonlyArray<number>>
  /** Idempotency key, which is the task's id, to the calls that arrived. */
  readonly calls: ReadonlyMap<string, ReadonlyArray<OutsideCall>>
  /** Session id to the revision of the kinds that its process runs. */
  readonly revisions: ReadonlyMap<number, Revision>
}

export const oracles = {
  lost: "every acknowledged task ended exactly once",
  unknown: "no task that the client did not schedule, and none twice",
  effects: "one row per succeeded transactional task, and none of any other",
  calls: "every call has a start, and every repeated one an interruption or failure before it",
  early: "no attempt started before its due time",
  deadLetters: "dead letters are those that fail for ever, and all of those",
  revisions: "each revision of the kinds runs what it knows, as it knows it"
} as const

export type Oracle = keyof typeof oracles
export type Finding = { readonly oracle: Oracle; readonly taskId: string; readonly message: string }

type Started = Extract<TaskEvent, { _tag: "AttemptStarted" }>

/** An instant that has been through a float of 1970 is good to the microsecond. */
const precisionMs = 0.001

export class Judge {
  readonly findings: Array<Finding> = []
  readonly #witnesses: Witnesses
  readonly #seen = new Set<string>()
  succeededCount = 0
  deadCount = 0
  attemptsCount = 0
  pulledCount = 0
  interruptedCount = 0
  parkedCount = 0
  claimsGivenBackCount = 0
  callsCount = 0
  repeatedCallsCount = 0
  /** Calls that came after one of a later attempt: a receiver that remembers the greatest fence would have refused them. */
  staleCallsCount = 0

  constructor(witnesses: Witnesses) {
    this.#witnesses = witnesses
  }

  judge(stream: StoredStream): void {
    const { events, taskId } = stream
    this.#seen.add(taskId)
    const [scheduled] = events
    const kind = scheduled?._tag === "TaskScheduled" ? scheduled.kind : "unknown"
    if (!this.#witnesses.acknowledged.has(taskId)) this.#find("unknown", taskId, "nobody was told of it")
    this.#count(events)
    this.#judgeEnd(taskId, kind, events)
    this.#judgeEarly(taskId, events)
    this.#judgeEffects(taskId, kind, events)
    this.#judgeCalls(taskId, kind, events)
    for (const message of againstRevisions(kind, events, this.#witnesses.revisions)) {
      this.#find("revisions", taskId, message)
    }
  }

  /** Once all streams have been seen. */
  close(): void {
    const { acknowledged, calls, effects } = this.#witnesses
    for (const taskId of acknowledged.keys()) {
      if (!this.#seen.has(taskId)) this.#find("lost", taskId, "acknowledged, and has no history")
    }
    for (const taskId of effects.keys()) {
      if (!this.#seen.has(taskId)) this.#find("effects", taskId, "a row of a task without history")
    }
    for (const taskId of calls.keys()) {
      if (!this.#seen.has(taskId)) this.#find("calls", taskId, "a call of a task without history")
    }
  }

  #judgeEnd(taskId: string, kind: string, events: ReadonlyArray<TaskEvent>): void {
    const ends = events.filter(({ _tag }) => endTags.has(_tag)).map(({ _tag }) => _tag)
    if (ends.length !== 1) this.#find("lost", taskId, `${kind} ended ${ends.length} times: ${ends.join(", ")}`)
    const isDead = ends.includes("TaskDeadLettered")
    if (isDead !== (kind === Doomed.kind)) this.#find("deadLetters", taskId, `${kind} ended with ${ends.join(", ")}`)
  }

  #judgeEarly(taskId: string, events: ReadonlyArray<TaskEvent>): void {
    let dueAtMs = Number.NEGATIVE_INFINITY
    for (const event of events) {
      if (event._tag === "AttemptStarted" && event.atMs < dueAtMs - precisionMs) {
        this.#find("early", taskId, `attempt ${event.attempt} started ${dueAtMs - event.atMs} ms early`)
      }
      if ("dueAtMs" in event) dueAtMs = event.dueAtMs
    }
  }

  #judgeEffects(taskId: string, kind: string, events: ReadonlyArray<TaskEvent>): void {
    const rows = this.#witnesses.effects.get(taskId) ?? []
    const succeeded = kind === Commit.kind ? events.find(({ _tag }) => _tag === "AttemptSucceeded") : undefined
    const wanted = succeeded?._tag === "AttemptSucceeded" ? [succeeded.attempt] : []
    if (rows.join() !== wanted.join()) {
      this.#find("effects", taskId, `rows of attempts [${rows.join()}], and attempts [${wanted.join()}] succeeded`)
    }
  }

  #judgeCalls(taskId: string, kind: string, events: ReadonlyArray<TaskEvent>): void {
    const calls = this.#witnesses.calls.get(taskId) ?? []
    this.callsCount += calls.length
    if (kind !== Call.kind && kind !== CallOnce.kind) {
      if (calls.length > 0) this.#find("calls", taskId, `${kind} calls nobody, and ${calls.length} calls came`)
      return
    }
    const starts = new Map(events.filter(isStart).map((start) => [start.attempt, start]))
    const called = new Set<number>()
    let latest = 0
    for (const { attempt, fence } of calls) {
      if (starts.get(attempt)?.version !== fence) {
        this.#find("calls", taskId, `a call of attempt ${attempt} with fence ${fence}, which is no start`)
      }
      if (called.has(attempt)) this.#find("calls", taskId, `two calls of attempt ${attempt}`)
      called.add(attempt)
      if (attempt < latest) this.staleCallsCount++
      latest = Math.max(latest, attempt)
    }
    this.repeatedCallsCount += Math.max(0, called.size - 1)
    for (const attempt of called) {
      if (attempt === latest || mayBeRepeated(kind, attempt, events)) continue
      this.#find("calls", taskId, `attempt ${attempt} was followed by another call, and nothing had interrupted it`)
    }
    const succeeded = events.find(({ _tag }) => _tag === "AttemptSucceeded")
    if (succeeded?._tag === "AttemptSucceeded" && !called.has(succeeded.attempt)) {
      this.#find("calls", taskId, `attempt ${succeeded.attempt} succeeded without its call`)
    }
  }

  #count(events: ReadonlyArray<TaskEvent>): void {
    for (const event of events) {
      if (event._tag === "AttemptSucceeded") this.succeededCount++
      if (event._tag === "TaskDeadLettered") this.deadCount++
      if (event._tag === "AttemptExpired" || event._tag === "AttemptReleased") this.interruptedCount++
      if (event._tag === "TaskParked") this.parkedCount++
      if (event._tag === "ClaimReleased") this.claimsGivenBackCount++
      if (event._tag !== "AttemptStarted") continue
      this.attemptsCount++
      if (event.dispatchedAtMs === null) this.pulledCount++
    }
  }

  #find(oracle: Oracle, taskId: string, message: string): void {
    this.findings.push({ oracle, taskId, message })
  }
}

const endTags = new Set<TaskEvent["_tag"]>([
  "AttemptSucceeded",
  "TaskReconciled",
  "TaskDeadLettered",
  "TaskCancelled",
  "TaskExpired"
])

const isStart = (event: TaskEvent): event is Started => event._tag === "AttemptStarted"

/** The attempt failed, or nobody knows how far it had come; where the policy parks, a person has let it go on as well. */
const mayBeRepeated = (kind: string, attempt: number, events: ReadonlyArray<TaskEvent>): boolean => {
  const outcome = events.find(
    (event) => "attempt" in event && event._tag !== "AttemptStarted" && event.attempt === attempt
  )
  switch (outcome?._tag) {
    case "AttemptFailed":
      return true
    case "AttemptReleased":
    case "AttemptExpired":
      return kind !== CallOnce.kind
    case "TaskParked":
      return events[outcome.version]?._tag === "TaskResumed"
    default:
      return false
  }
}
