/**
 * What the event table tells about a run, read once, page by page: the facts of each task for the check, the drifts
 * for the summary, and the verdict of duetime's own auditor.
 */
import { Effect } from "effect"
import { build, type Histogram } from "hdr-histogram-js"
import { AuditTally, type Violation } from "../../src/core/audit.ts"
import { AcrossStreams } from "../../src/core/audit/AcrossStreams.ts"
import { fold } from "../../src/core/evolve.ts"
import type { Priority } from "../../src/core/Priority.ts"
import type { Json } from "../../src/core/TaskEvent.ts"
import type { Stage } from "../../src/core/TaskState.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { SendEmail } from "../email.ts"
import { CollectPayment } from "../payments.ts"
import { BuildReport } from "../reports.ts"

export type TaskFacts = {
  readonly taskId: string
  readonly kind: string
  readonly key: string | null
  readonly priority: Priority
  readonly payload: Json
  readonly stage: Stage
  readonly attempts: number
  /** Attempts whose handler may have acted although they are not the one that succeeded. */
  readonly unsuccessful: number
  /** Of the first attempt. */
  readonly driftMs: number | null
}

export type Evidence = {
  readonly tasks: ReadonlyMap<string, TaskFacts>
  readonly driftUs: (isMeant: (task: TaskFacts) => boolean) => Histogram
  readonly attempts: number
  /** Of these, how many no dispatch had brought: the worker found the claim in the database. */
  readonly pulled: number
  readonly failed: number
  readonly expired: number
  readonly released: number
  readonly earlyStarts: ReadonlyArray<string>
  readonly audit: { readonly streams: number; readonly events: number; readonly violations: ReadonlyArray<Violation> }
}

const pageStreams = 500
const policies = [SendEmail, CollectPayment, BuildReport].map(({ policy }) => policy)

export const readEvidence = Effect.gen(function* () {
  const tally = new AuditTally({ policyOf: (name) => policies.find(({ kind }) => kind === name) })
  const across = new AcrossStreams()
  const violations: Array<Violation> = []
  const earlyStarts: Array<string> = []
  const tasks = new Map<string, TaskFacts>()
  const counts = { attempts: 0, pulled: 0, failed: 0, expired: 0, released: 0 }

  yield* eachStream((stream) => {
    violations.push(...tally.check(stream))
    for (const found of across.check(stream)) violations.push({ ...found, version: null })
    for (const event of stream.events) {
      const { _tag } = event
      if (_tag === "AttemptStarted") {
        counts.attempts++
        if (event.dispatchedAtMs === null) counts.pulled++
      } else if (_tag === "AttemptFailed") counts.failed++
      else if (_tag === "AttemptExpired" || _tag === "TaskParked") counts.expired++
      else if (_tag === "AttemptReleased") counts.released++
    }
    earlyStarts.push(...earlyStartsOf(stream))
    const facts = factsOf(stream)
    if (facts !== null) tasks.set(facts.taskId, facts)
  })

  return {
    tasks,
    ...counts,
    earlyStarts,
    audit: { streams: tally.streamsCount, events: tally.eventsCount, violations },
    driftUs: (isMeant) => {
      const histogram = build({ highestTrackableValue: 86_400_000_000, numberOfSignificantValueDigits: 3 })
      for (const task of tasks.values()) {
        if (task.driftMs !== null && isMeant(task)) histogram.recordValue(Math.round(Math.max(0, task.driftMs) * 1_000))
      }
      return histogram
    }
  } satisfies Evidence
})

/** Keys of the tasks that a run before this one has scheduled, and how many of those have ended. */
export const readScheduled = Effect.gen(function* () {
  const keys = new Set<string>()
  let endedCount = 0
  yield* eachStream((stream) => {
    const facts = factsOf(stream)
    if (facts === null) return
    keys.add(`${facts.kind} ${facts.key}`)
    if (
      facts.stage === "succeeded" ||
      facts.stage === "dead" ||
      facts.stage === "cancelled" ||
      facts.stage === "expired"
    )
      endedCount++
  })
  return { keys, endedCount }
})

const eachStream = Effect.fnUntraced(function* (look: (stream: StoredStream) => void) {
  const store = yield* TaskStore
  let page = yield* store.streams(null, pageStreams)
  while (page.length > 0) {
    page.forEach(look)
    page = yield* store.streams(page.at(-1)?.taskId ?? null, pageStreams)
  }
})

const factsOf = ({ events, taskId }: StoredStream): TaskFacts | null => {
  const [born] = events
  const state = fold(events)
  if (state === null || born?._tag !== "TaskScheduled") return null
  const first = events.find((event) => event._tag === "AttemptStarted")
  return {
    taskId,
    kind: state.kind,
    key: born.key,
    priority: state.priority,
    payload: born.payload,
    stage: state.stage,
    attempts: state.attempt,
    unsuccessful: state.attempt - (state.stage === "succeeded" ? 1 : 0),
    driftMs: first === undefined ? null : first.atMs - born.dueAtMs
  }
}

/** The auditor says it too (S13); this is the same rule read off the plain events, without any of its code. */
const earlyStartsOf = ({ events, taskId }: StoredStream): ReadonlyArray<string> => {
  const early: Array<string> = []
  let dueAtMs = 0
  for (const event of events) {
    if (event._tag === "AttemptStarted" && event.atMs < dueAtMs - microsecondMs) {
      early.push(`${taskId} attempt ${event.attempt} by ${dueAtMs - event.atMs} ms`)
    }
    if ("dueAtMs" in event) dueAtMs = event.dueAtMs
  }
  return early
}

/** PostgreSQL keeps instants to the microsecond; they come back as binary fractions of a millisecond. */
const microsecondMs = 0.001
