import { assert } from "@effect/vitest"
import { Clock, Context, Effect, type Scope } from "effect"
import { audit, type Violation } from "../../../src/core/audit.ts"
import { fold } from "../../../src/core/evolve.ts"
import { defaultKindPolicy, type KindPolicy } from "../../../src/core/KindPolicy.ts"
import type { Outcome } from "../../../src/core/TaskCommand.ts"
import * as TaskId from "../../../src/core/TaskId.ts"
import type { Stage, TaskState } from "../../../src/core/TaskState.ts"
import { Ids } from "../../../src/store/Ids.ts"
import { Session } from "../../../src/store/Session.ts"
import {
  TaskStore,
  type ClaimedTask,
  type ClaimRequest,
  type Finished,
  type NewTask,
  type Started,
  type StoredStream
} from "../../../src/store/TaskStore.ts"

/** What an adapter's test layer adds, so that the laws never have to wait for time to pass. */
export class StoreControl extends Context.Service<
  StoreControl,
  {
    /** Ends the lease of a session at once, as if it had passed. */
    readonly killSession: (sessionId: number) => Effect.Effect<void>
    /** Ends it as a process does that stops in order. */
    readonly leaveSession: (sessionId: number) => Effect.Effect<void>
    /** Makes the next ask about a parked task due at once, if there is one. */
    readonly hastenAsk: (taskId: string) => Effect.Effect<void>
    /** One more live session that nobody renews, with a lease longer than any test. */
    readonly secondSession: Effect.Effect<number, never, Scope.Scope>
    /**
     * The next operation of this store fails once: its request is lost before it changed anything, or the change is made
     * and its answer is lost.
     */
    readonly failNext: (fault: "before" | "after") => Effect.Effect<void>
    /** What an audit of every column of every row finds, keys included; nothing for a store that has no rows of its own. */
    readonly auditRows: Effect.Effect<ReadonlyArray<Violation>>
  }
>()("duetime/test/StoreControl") {}

export type World = TaskStore | Session | StoreControl

/** One law: its name is the sentence that the store has to keep. After it the whole database is audited. */
export type Law = <A, E>(name: string, body: () => Effect.Effect<A, E, World | Scope.Scope>) => void

const policies = new Map<string, KindPolicy>()

/** A kind of this test only, served by this process's session. */
export const servedKind = Effect.fnUntraced(function* (policy: Partial<KindPolicy> = {}) {
  const kind = yield* unservedKind
  const announced: KindPolicy = { ...defaultKindPolicy(kind), ...policy }
  policies.set(kind, announced)
  yield* (yield* Session).serve([announced])
  return kind
})

export const unservedKind = Effect.sync(() => `kind-${++kindsCount}`)
let kindsCount = 0

export const policyOf = (kind: string): KindPolicy => policies.get(kind) ?? defaultKindPolicy(kind)

/** Keeps the auditor from holding a kind's retries against its policy: its handlers choose their own delays. */
export const withOwnDelays = (kind: string) => Effect.sync(() => ownDelays.add(kind))
const ownDelays = new Set<string>()

/** The store's clock, whole milliseconds; a claim of no kinds freshens the estimate. */
export const storeNowMs = Effect.gen(function* () {
  const store = yield* TaskStore
  yield* store.claim({ sessionId: (yield* Session).id(), kinds: [], lookAheadMs: 0, limit: 1 })
  const nanos = yield* Clock.currentTimeNanos
  return Math.floor(Number(nanos) / 1e6 + store.clockOffsetMs())
})

export const newEventId = Effect.map(Ids, (ids) => ids.eventId())

/** A task due a second ago, unless told otherwise. `dueInMs` is relative to the store's clock. */
export const newTask = Effect.fnUntraced(function* (
  kind: string,
  { dueInMs = -1_000, ...fields }: Partial<NewTask> & { readonly dueInMs?: number } = {}
) {
  const ids = yield* Ids
  const dueAtMs = fields.dueAtMs ?? (yield* storeNowMs) + dueInMs
  const task: NewTask = {
    taskId: TaskId.make(dueAtMs, 0, ids.taskBytes()),
    eventId: ids.eventId(),
    kind,
    priority: "normal",
    dueAtMs,
    key: null,
    payload: null,
    ...fields
  }
  return task
})

/** Schedules a task and answers it. */
export const scheduled = Effect.fnUntraced(function* (...fields: Parameters<typeof newTask>) {
  const task = yield* newTask(...fields)
  const answers = yield* (yield* TaskStore).schedule([task])
  assert.deepStrictEqual(answers, [{ _tag: "Created", taskId: task.taskId }])
  return task
})

/** Claims everything due of these kinds for this process's session, unless told otherwise. */
export const claim = Effect.fnUntraced(function* (kinds: ReadonlyArray<string>, request: Partial<ClaimRequest> = {}) {
  const sessionId = (yield* Session).id()
  return yield* (yield* TaskStore).claim({ sessionId, kinds, lookAheadMs: 0, limit: 1_000, ...request })
})

/** Schedules a task and claims it. */
export const claimed = Effect.fnUntraced(function* (...fields: Parameters<typeof newTask>) {
  const task = yield* scheduled(...fields)
  const { tasks } = yield* claim([task.kind], { lookAheadMs: Math.max(0, fields[1]?.dueInMs ?? 0) + 1_000 })
  return only(tasks.filter(({ taskId }) => taskId === task.taskId))
})

export const start = Effect.fnUntraced(function* (
  { fence, taskId }: ClaimedTask,
  options: { readonly sessionId?: number; readonly timeoutMs?: number; readonly eventId?: string } = {}
) {
  const sessionId = options.sessionId ?? (yield* Session).id()
  const eventId = options.eventId ?? (yield* newEventId)
  const request = { taskId, fence, eventId, timeoutMs: options.timeoutMs ?? 60_000, dispatchedAtMs: null }
  return only(yield* (yield* TaskStore).start(sessionId, [request]))
})

/** Schedules, claims and starts a task. */
export const running = Effect.fnUntraced(function* (...fields: Parameters<typeof newTask>) {
  return startedOf(yield* start(yield* claimed(...fields)))
})

/** Claims what is due of a kind now, or by the next whole millisecond: a retry without delay is due then. */
export const claimNext = Effect.fnUntraced(function* (kind: string) {
  return only((yield* claim([kind], { lookAheadMs: 1_000 })).tasks)
})

/** Starts what is due by the next whole millisecond: for the rest of this one it may be too early. */
export const startWhenDue = Effect.fnUntraced(function* (...claim: Parameters<typeof start>) {
  for (;;) {
    const answer = yield* start(...claim)
    if (answer._tag !== "TooEarly") return startedOf(answer)
  }
})

/** Claims and starts the next attempt of a kind. */
export const nextAttempt = Effect.fnUntraced(function* (kind: string, options?: Parameters<typeof start>[1]) {
  return yield* startWhenDue(yield* claimNext(kind), options)
})

export const startedOf = (answer: Started | { readonly _tag: "Lost" | "TooEarly" }): Started => {
  if (answer._tag !== "Started") throw new Error(`expected Started, was ${answer._tag}`)
  return answer
}

export const finish = Effect.fnUntraced(function* (started: Started, outcome: Outcome, eventId?: string) {
  const request = { started, outcome, eventId: eventId ?? (yield* newEventId), policy: policyOf(started.kind) }
  const answers: ReadonlyArray<Finished> = yield* (yield* TaskStore).finish([request])
  return only(answers)
})

/** Records an outcome that must be accepted. */
export const finished = Effect.fnUntraced(function* (started: Started, outcome: Outcome, stage: Stage) {
  assert.deepStrictEqual(yield* finish(started, outcome), { _tag: "Recorded", stage })
  return started
})

export const succeed: Outcome = { _tag: "Succeed", result: null }
export const failure: Extract<Outcome, { _tag: "Fail" }> = {
  _tag: "Fail",
  error: { name: "Error", message: "no" },
  retryable: true,
  retryInMs: null
}

export const act = Effect.fnUntraced(function* (
  taskId: string,
  wish: Parameters<TaskStore["Service"]["act"]>[2],
  eventId?: string
) {
  return yield* (yield* TaskStore).act(taskId, eventId ?? (yield* newEventId), wish)
})

/** The fold of a task's history: what its projection must equal. */
export const stateOf = Effect.fnUntraced(function* (taskId: string) {
  const state: TaskState | null = fold(yield* (yield* TaskStore).history(taskId))
  if (state === null) throw new Error(`task ${taskId} has an empty history`)
  return state
})

export const tagsOf = Effect.fnUntraced(function* (taskId: string) {
  return (yield* (yield* TaskStore).history(taskId)).map((event) => event._tag)
})

export const only = <A>(list: ReadonlyArray<A>): A => {
  const [first] = list
  if (first === undefined || list.length !== 1) throw new Error(`expected one, was ${JSON.stringify(list)}`)
  return first
}

/** Every stream of the database, page by page. */
export const allStreams = Effect.fnUntraced(function* (pageSize = 500) {
  const store = yield* TaskStore
  const streams: Array<StoredStream> = []
  for (;;) {
    const page = yield* store.streams(streams.at(-1)?.taskId ?? null, pageSize)
    streams.push(...page)
    if (page.length < pageSize) return streams
  }
})

/** Fails the test with every violation of the whole database. */
export const assertAuditIsGreen = Effect.gen(function* () {
  const options = { policyOf: (kind: string) => (ownDelays.has(kind) ? undefined : policies.get(kind)) }
  assert.deepStrictEqual(audit(yield* allStreams(), options), [])
})
